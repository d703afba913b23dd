"""When a model cannot answer another one does, and the books say so."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from billing.budgets import set_budget
from billing.models import Hold, LedgerEntry
from conversations.database import in_database
from conversations.models import Conversation, Generation
from conversations.models.call import CallRecord
from llm.profiles import clear_cache
from tests.conversations.conftest import OpenSocket
from tests.conversations.failing import DOWN, GOOD, ask, price

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_patience", "books_balance"),
]


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
