"""When a model cannot answer: another one, an earlier answer, a longer wait, a plain word; and the books."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from billing.books import check_books
from billing.budgets import set_budget
from billing.models import Hold, LedgerEntry
from billing.prices import TierPrice, set_price
from conversations import fallbacks
from conversations.database import in_database
from conversations.models import ApiKey, Conversation, Generation, State, WaitingReason
from conversations.models.call import CallRecord
from conversations.sweeper import sweep_once
from llm.profiles import clear_cache
from tests.conversations.conftest import OpenSocket, Socket

pytestmark = pytest.mark.django_db(transaction=True)

DOWN = "demo:0-9-0!503"
GOOD = "demo:0-5-0"


@pytest.fixture(autouse=True)
def no_patience(settings: Settings) -> None:
    """Retries are told elsewhere: here the first failure is the last."""
    settings.MAX_RETRIES = 0
    settings.FALLBACKS = ["model", "cached", "queue"]


@pytest_asyncio.fixture(autouse=True)
async def books_balance(conversation: Conversation) -> AsyncIterator[None]:
    yield
    waiting = await in_database(
        lambda: list(Generation.objects.live().exclude(hold_id=None).values_list("hold_id", flat=True))
    )
    assert await in_database(lambda: list(Hold.objects.alive().values_list("pk", flat=True))) == waiting
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []


async def ask(socket: Socket, model: str, text: str = "Hello", **fields: Any) -> uuid.UUID:
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text=text, model=model, **fields)
    return turn_id


async def price(model: str, usd: int) -> None:
    await in_database(set_price, model=model, tiers=[TierPrice(usd, usd)])


async def test_it_answers_with_the_next_model_and_says_so(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.FALLBACK_MODELS = ["demo:0-7-0!500", GOOD]
    socket, other = (
        await open_socket(conversation.pk, alice_key),
        await open_socket(conversation.pk, alice_key),
    )
    await ask(socket, DOWN)
    for watcher in (socket, other):
        end = await watcher.until_end()
        assert end["type"] == "generation.completed"
        assert end["receipt"]["model"] == GOOD
        assert end["receipt"]["charged"] is True
        (note,) = end["notes"]
        assert note["code"] == "fallback"
        assert (note["asked_model"], note["model"]) == (DOWN, GOOD)
        assert note["detail"] == "Answered by Demo 0-5-0, because Demo 0-9-0!503 was overloaded."
        starts = [event for event in watcher.events if event["type"] == "generation.started"]
        assert [start["model"] for start in starts] == [DOWN, "demo:0-7-0!500", GOOD]
        assert [start["epoch"] for start in starts] == [1, 2, 3]
        assert starts[-1]["notes"][0]["detail"].startswith("Demo 0-5-0 answers, because")
        assert [seq for seq, _ in watcher.deltas(end["generation_id"])] == [1, 2, 3, 4, 5]
    generation = await in_database(
        Generation.objects.select_related("conversation").get, pk=end["generation_id"]
    )
    assert (generation.model, generation.asked_model) == (GOOD, DOWN)
    assert generation.conversation.model == DOWN  # the next question is asked as this one was
    entry = await in_database(LedgerEntry.objects.get)
    assert (entry.model, entry.bearer) == (GOOD, "user")
    records = await in_database(
        lambda: list(CallRecord.objects.order_by("pk").values_list("model", "is_fallback"))
    )
    assert records == [(DOWN, False), ("demo:0-7-0!500", True), (GOOD, True)]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("404", "was retired"),
        ("401", "is not set up correctly"),
        ("credit", "has no credit left"),
        ("500", "had an error"),
        ("503", "was overloaded"),
        ("408", "could not be reached"),
        ("429", "was busy"),
    ],
)
async def test_it_says_why_another_model_answers(
    fault: str,
    why: str,
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
    settings: Settings,
) -> None:
    settings.FALLBACK_MODELS = [GOOD]
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, f"demo:0-9-0!{fault}")
    end = await socket.until_end()
    assert end["type"] == "generation.completed"
    assert end["notes"][0]["detail"].endswith(f"because Demo 0-9-0!{fault} {why}.")


@pytest.mark.parametrize("fault", ["400", "block", "stall"])
async def test_it_takes_no_other_model_where_the_request_is_the_fault(
    fault: str, conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.FALLBACK_MODELS = [GOOD]
    settings.FIRST_TOKEN_TIMEOUT_SECONDS = 0.1
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, f"demo:0-9-0!{fault}")
    assert (await socket.until_end())["type"] == "generation.failed"


async def test_it_takes_no_other_model_after_the_first_word(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.FALLBACK_MODELS = [GOOD]
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, "demo:0-9-0!die@3")
    end = await socket.until_end()
    assert (end["type"], end["seq"], end["notes"]) == ("generation.interrupted", 3, [])


async def test_it_takes_no_model_that_costs_more_than_was_shown(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.FALLBACK_MODELS = ["demo:0-6-0", GOOD]
    await price(DOWN, 1_000_000)
    await price("demo:0-6-0", 90_000_000)
    await price(GOOD, 2_000_000)
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, DOWN)
    shown = (await socket.until("turn.accepted"))["estimate"]
    end = await socket.until_end()
    # Twice the price, so half the length: it costs no more than what was shown.
    assert end["receipt"]["model"] == GOOD
    hold = await in_database(Hold.objects.get, model=GOOD)
    assert hold.output_cap_tokens < shown["max_output_tokens"]
    first = await in_database(Hold.objects.get, model=DOWN)
    assert hold.cost_nanousd is not None
    assert first.cost_nanousd is not None
    assert hold.cost_nanousd <= first.cost_nanousd


async def test_it_takes_no_model_that_the_budget_refuses(
    conversation: Conversation, alice: User, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.FALLBACK_MODELS = ["demo:0-6-0", GOOD]
    await in_database(
        set_budget,
        scope="user",
        scope_id=alice.pk,
        unit="tokens",
        limit_units=10,
        period="day",
        model="demo:0-6-0",
    )
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, DOWN)
    assert (await socket.until_end())["receipt"]["model"] == GOOD


async def test_it_tries_the_model_that_was_asked_for_again(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.FALLBACK_MODELS = [GOOD]
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, "demo:0-9-0!503x1")
    assert (await socket.until_end())["receipt"]["model"] == GOOD
    await socket.send("turn.retry", turn_id=turn_id, generation_id=uuid.uuid4())
    started = await socket.until("generation.started")
    assert started["model"] == "demo:0-9-0!503x1"


# --- An earlier answer ------------------------------------------------------------------


async def earlier_answer(owner: User, *, model: str, secret: str, open_socket: OpenSocket) -> dict[str, Any]:
    """The answer to Hello as the first question of another chat, when the model was up."""
    chat = await in_database(Conversation.objects.create, owner=owner)
    socket = await open_socket(chat.pk, secret)
    await ask(socket, GOOD)
    end: dict[str, Any] = await socket.until_end()
    request = await in_database(Generation.objects.get, pk=end["generation_id"])
    # The demo's faults are part of its names: give the answer the request of the name that fails.
    probe = await open_socket((await in_database(Conversation.objects.create, owner=owner)).pk, secret)
    turn_id = await ask(probe, model)
    accepted = await probe.until("turn.accepted")
    await probe.until("generation.waiting")
    await probe.send("turn.stop", turn_id=turn_id)
    await probe.until_end()
    asked = await in_database(Generation.objects.get, pk=accepted["generation_id"])
    await in_database(
        Generation.objects.filter(pk=request.pk).update, request_hash=asked.request_hash, model=model
    )
    return end


async def test_it_shows_the_earlier_answer_to_the_same_question_for_nothing(
    conversation: Conversation, alice: User, alice_key: str, open_socket: OpenSocket
) -> None:
    earlier = await earlier_answer(alice, model=DOWN, secret=alice_key, open_socket=open_socket)
    entries = await in_database(LedgerEntry.objects.count)
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, DOWN)
    end = await socket.until_end()
    assert (end["type"], end["finish_reason"]) == ("generation.completed", "cached")
    assert (end["text"], end["html"]) == (earlier["text"], earlier["html"])
    assert (end["receipt"]["total_tokens"], end["receipt"]["charged"]) == (0, False)
    (note,) = end["notes"]
    assert note["code"] == "cached"
    assert note["since"].endswith("Z")
    assert await in_database(LedgerEntry.objects.count) == entries
    # Asked again on purpose, the person wants another answer than that.
    await socket.send("turn.regenerate", turn_id=turn_id, generation_id=uuid.uuid4(), model=GOOD)
    assert (await socket.until_end())["receipt"]["charged"] is True


@pytest.mark.parametrize(
    "change", ["text", "model", "temperature", "max_output_tokens", "person", "age", "system"]
)
async def test_it_shows_no_answer_to_anything_else(
    change: str,
    conversation: Conversation,
    alice: User,
    charlie: User,
    alice_key: str,
    open_socket: OpenSocket,
    settings: Settings,
) -> None:
    settings.FALLBACKS = ["cached", "queue"]
    await earlier_answer(alice, model=DOWN, secret=alice_key, open_socket=open_socket)
    secret, chat, model = alice_key, conversation, DOWN
    fields: dict[str, Any] = {}
    if change == "text":
        fields["text"] = "Hello!"
    elif change == "model":
        model = "demo:0-8-0!503"
    elif change == "temperature":
        fields["temperature"] = 0.1
    elif change == "max_output_tokens":
        fields["max_output_tokens"] = 999
    elif change == "person":
        secret = (await in_database(ApiKey.create, user=charlie))[1]
        chat = await in_database(Conversation.objects.create, owner=charlie)
    elif change == "age":
        settings.CACHED_ANSWER_SECONDS = 0.0
    else:
        await in_database(Conversation.objects.filter(pk=chat.pk).update, system_prompt="Be brief.")
    socket = await open_socket(chat.pk, secret)
    turn_id = await ask(socket, model, **fields)
    waiting = await socket.until("generation.waiting")
    assert waiting["reason"] == "outage"
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()


# --- A longer wait --------------------------------------------------------------------------


async def test_it_queues_until_the_service_recovers(
    conversation: Conversation, alice: User, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, "demo:0-9-0!503x1")
    waiting = await socket.until("generation.waiting")
    assert waiting["reason"] == "outage"
    assert waiting["detail"].startswith("Demo 0-9-0!503x1 is not answering. Your question is kept")
    assert waiting["gives_up_at"] > waiting["retry_at"]
    assert [option["action"] for option in waiting["options"]][-1] == "stop"
    # Nobody else has been answered: it goes on waiting.
    assert await in_database(fallbacks.wake_recovered, now=timezone.now(), limit=10) == 0
    await in_database(_record_answer, waiting["generation_id"], "demo:0-9-0!503x1")
    swept = await in_database(sweep_once)
    assert swept.woken == 1
    generation = await in_database(Generation.objects.get, pk=waiting["generation_id"])
    assert generation.run_after is not None
    assert generation.run_after <= timezone.now()


def _record_answer(generation_id: str, model: str) -> None:
    """Somebody else got an answer from the model, a moment after this one was put off."""
    CallRecord.objects.create(
        generation_id=uuid.uuid4(),
        attempt=1,
        provider="demo",
        model=model,
        purpose="answer",
        outcome=State.COMPLETED,
        is_retry=False,
        is_fallback=False,
        ended_at=timezone.now(),
        input_estimate_tokens=1,
    )


async def test_it_gives_up_in_plain_words_when_the_outage_lasts(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.OUTAGE_QUEUE_SECONDS = 5.0
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, DOWN)
    end = await socket.until_end()
    assert (end["type"], end["error"]["code"]) == ("generation.failed", "provider_overloaded")
    assert end["error"]["detail"] == "AI is unavailable: the model is overloaded. Your question is kept."
    assert [option["action"] for option in end["error"]["options"]] == ["retry", "regenerate"]
    assert end["receipt"]["charged"] is False


async def test_it_holds_nothing_while_it_waits_long(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, "demo:0-9-0!429@700")
    await socket.until("generation.waiting")
    assert await in_database(Hold.objects.alive().count) == 0
    await socket.send("turn.stop", turn_id=turn_id)
    assert (await socket.until_end())["type"] == "generation.stopped"


async def test_it_shows_a_switched_answer_to_a_new_socket_of_a_process_that_knows_no_models_yet(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    first = await open_socket(conversation.pk, alice_key)
    await ask(first, "demo:0-9-0!429@700")
    await first.until("generation.waiting")
    await in_database(Generation.objects.update, asked_model="openai:gone", switch_reason="model_gone")
    clear_cache()
    second = await open_socket(conversation.pk, alice_key)
    waiting = await second.until("generation.waiting")
    assert [note["code"] for note in waiting["notes"]] == ["fallback"]


async def test_it_uses_only_the_ways_that_are_on(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.FALLBACKS = ["none"]
    settings.FALLBACK_MODELS = [GOOD]
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, DOWN)
    assert (await socket.until_end())["type"] == "generation.failed"


# --- The person chooses -----------------------------------------------------------------------


async def test_it_lets_the_person_choose_where_the_hint_exceeds_the_patience(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, "demo:0-5-0!429x1@300")
    waiting = await socket.until("generation.waiting")
    assert (waiting["reason"], waiting["detail"]) == (
        "choice",
        "Demo 0-5-0!429x1@300 takes no more questions for now.",
    )
    assert 299 < waiting["wait_seconds"] <= 300
    actions = [option["action"] for option in waiting["options"]]
    assert actions == ["switch", "switch", "schedule", "stop"]
    assert all(option["cost_usd"] for option in waiting["options"][:2])
    assert waiting["options"][2]["run_at"] == waiting["retry_at"]
    # Undecided, nothing is held and nobody may send it.
    assert await in_database(Hold.objects.alive().count) == 0
    await socket.send("turn.stop", turn_id=turn_id)
    assert (await socket.until_end())["type"] == "generation.stopped"


async def test_it_closes_what_the_person_did_not_decide(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, "demo:0-5-0!daily")
    waiting = await socket.until("generation.waiting")
    assert waiting["detail"] == "Demo 0-5-0!daily has reached its daily limit."
    assert 0 < waiting["wait_seconds"] <= 86_400
    past = timezone.now() - timedelta(seconds=1)
    await in_database(Generation.objects.filter(pk=waiting["generation_id"]).update, run_after=past)
    assert (await in_database(sweep_once)).closed == 1
    end = await socket.until_end()
    assert (end["type"], end["error"]["code"]) == ("generation.failed", "daily_quota")


async def test_it_sends_at_the_time_that_the_person_chose(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, "demo:0-5-0!429x1@300")
    waiting = await socket.until("generation.waiting")
    for _ in range(2):  # twice is no error
        await socket.send("turn.schedule", turn_id=turn_id)
        scheduled = await socket.until("generation.waiting")
        assert (scheduled["reason"], scheduled["retry_at"]) == ("scheduled", waiting["retry_at"])
        assert [option["action"] for option in scheduled["options"]] == ["switch", "switch", "stop"]
    generation = await in_database(Generation.objects.get, pk=waiting["generation_id"])
    assert (generation.waiting_reason, generation.hold_id) == (WaitingReason.SCHEDULED, None)
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()


# --- Another model now -------------------------------------------------------------------------


async def test_it_switches_a_waiting_answer_to_another_model(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.MAX_RETRIES = 5
    socket, other = (
        await open_socket(conversation.pk, alice_key),
        await open_socket(conversation.pk, alice_key),
    )
    turn_id = await ask(socket, "demo:0-9-0!429@50")
    waiting = await socket.until("generation.waiting")
    assert waiting["reason"] == "rate_limit"
    await other.send("turn.switch", turn_id=turn_id, model=GOOD)
    for watcher in (socket, other):
        end = await watcher.until_end()
        assert (end["type"], end["receipt"]["model"]) == ("generation.completed", GOOD)
        assert end["generation_id"] == waiting["generation_id"]
        assert end["notes"][0]["detail"] == "Demo 0-5-0 instead of Demo 0-9-0!429@50, as you chose."
    states = await in_database(lambda: sorted(Hold.objects.values_list("state", flat=True)))
    assert states == ["released", "released", "settled"]


async def test_it_refuses_a_switch_that_cannot_be_and_waits_on(
    conversation: Conversation, alice: User, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.MAX_RETRIES = 5
    await in_database(
        set_budget,
        scope="user",
        scope_id=alice.pk,
        unit="tokens",
        limit_units=10,
        period="day",
        model="demo:0-6-0",
    )
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, "demo:0-9-0!429@50")
    waiting = await socket.until("generation.waiting")
    held = await in_database(lambda: list(Hold.objects.alive().values_list("pk")))
    for model, code in (
        ("demo:0-6-0", "budget_exceeded"),
        ("demo:nothing", "unknown_model"),
        ("", "bad_frame"),
    ):
        await socket.send("turn.switch", turn_id=turn_id, model=model)
        refused = await socket.until("turn.refused", "error")
        assert refused["code"] == code
    assert await in_database(lambda: list(Hold.objects.alive().values_list("pk"))) == held
    generation = await in_database(Generation.objects.get, pk=waiting["generation_id"])
    assert (generation.state, generation.model) == (State.WAITING, "demo:0-9-0!429@50")
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()
    await socket.send("turn.switch", turn_id=turn_id, model=GOOD)
    assert (await socket.until("turn.refused"))["code"] == "not_found"
