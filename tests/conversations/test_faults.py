"""Every fault of the demo model through the whole engine: the state, the words, the money."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django import Settings

from billing.holds import expire_holds
from billing.models import Hold, LedgerEntry
from conversations import endings, generation, statements
from conversations.database import in_database
from conversations.models import Conversation, Generation
from conversations.runtime import get_runtime
from tests.conversations.conftest import OpenSocket, Socket

pytestmark = pytest.mark.django_db(transaction=True)


async def ask(socket: Socket, model: str, **fields: Any) -> dict[str, Any]:
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model=model, **fields)
    return await socket.until_end()


async def entry_of(end: dict[str, Any]) -> LedgerEntry | None:
    hold_id = await in_database(lambda: Generation.objects.get(pk=end["generation_id"]).hold_id)
    assert hold_id is not None
    return await in_database(LedgerEntry.objects.filter(hold_id=hold_id).first)


@pytest.fixture(autouse=True)
async def no_hold_is_left(conversation: Conversation) -> Any:
    yield
    assert await in_database(Hold.objects.alive().count) == 0


async def test_it_keeps_the_partial_answer_when_the_connection_is_lost(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, "demo:0-100-0!die@50")
    assert end["type"] == "generation.interrupted"
    assert end["seq"] == 50
    assert end["text"] == "".join(text for _, text in socket.deltas(end["generation_id"]))
    assert end["error"]["code"] == "connection_failed"
    assert [option["action"] for option in end["error"]["options"]][:1] == ["continue"]
    assert end["receipt"]["charged"] is False
    entry = await entry_of(end)
    assert entry is not None
    assert entry.bearer == "house"


async def test_it_says_that_an_answer_was_cut_at_its_length(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, "demo:0-10-0!cut")
    assert (end["type"], end["finish_reason"]) == ("generation.completed", "length")


async def test_it_charges_nothing_for_a_blocked_question(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, "demo:0-10-0!block")
    assert end["type"] in ("generation.failed", "generation.interrupted")
    assert end["error"]["code"] == "content_blocked"
    assert end["receipt"]["charged"] is False


async def test_it_estimates_when_the_provider_reports_no_usage(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, "demo:0-40-0!nousage")
    assert end["type"] == "generation.completed"
    assert end["receipt"]["estimated"] is True
    assert end["receipt"]["output_tokens"] > 0


async def test_it_counts_cached_input_within_the_input(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    receipt = (await ask(socket, "demo:0-5-0!cached"))["receipt"]
    assert 0 < receipt["cached_tokens"] <= receipt["input_tokens"]
    assert receipt["total_tokens"] == receipt["input_tokens"] + receipt["output_tokens"]


async def test_it_counts_thinking_within_the_output_and_does_not_show_it(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, "demo:0-5-0!think")
    assert 0 < end["receipt"]["thinking_tokens"] < end["receipt"]["output_tokens"]
    assert end["seq"] + end["receipt"]["thinking_tokens"] == end["receipt"]["output_tokens"]


async def test_it_fails_with_the_message_kept_when_no_token_comes(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.FIRST_TOKEN_TIMEOUT_SECONDS = 0.1
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, "demo:0-5-0!stall")
    assert end["type"] == "generation.failed"
    assert end["error"]["code"] == "first_token_timeout"
    assert "Response generation timeout" in end["error"]["detail"]
    assert end["receipt"]["charged"] is False


async def test_it_interrupts_an_answer_that_stops_arriving(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.STALL_TIMEOUT_SECONDS = 0.1
    settings.FIRST_TOKEN_TIMEOUT_SECONDS = 0.1
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, "demo:0-50-0!stall@20")
    assert end["type"] == "generation.interrupted"
    assert (end["seq"], end["error"]["code"]) == (20, "stalled")


async def test_it_ends_an_answer_that_takes_too_long(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.GENERATION_TIMEOUT_SECONDS = 0.2
    settings.FIRST_TOKEN_TIMEOUT_SECONDS = 0.1
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, "demo:0-4000-10")
    assert (end["type"], end["error"]["code"]) == ("generation.interrupted", "deadline")


@pytest.mark.parametrize(("fault", "reason"), [("429", "rate_limit"), ("500", "retry"), ("503", "retry")])
async def test_it_waits_and_says_so_when_the_provider_asks_it_to(
    fault: str,
    reason: str,
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model=f"demo:0-5-0!{fault}")
    waiting = await socket.until("generation.waiting")
    assert waiting["reason"] == reason
    assert (waiting["attempt"], waiting["max_attempts"]) == (1, 5)
    assert waiting["wait_seconds"] > 0
    # The refused attempt cost nothing; the units for the next one are held.
    holds = await in_database(lambda: sorted(Hold.objects.values_list("state", flat=True)))
    assert holds == ["open", "released"]
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()


async def test_it_shows_no_word_of_the_provider_in_an_error(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.MAX_RETRIES = 0
    settings.FALLBACKS = ["none"]
    socket = await open_socket(conversation.pk, alice_key)
    for fault in ("429", "500", "503", "die@3", "block"):
        end = await ask(socket, f"demo:0-5-0!{fault}")
        assert "Traceback" not in str(end)
        assert set(end["error"]) == {"code", "detail", "options"}


async def test_it_ends_an_answer_although_the_database_was_away(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "INSIST_SECONDS", (0.0, 0.0, 0.0))
    finish, failures = endings.finish, iter([True, True])

    def finish_at_the_third_time(*args: Any, **kwargs: Any) -> Any:
        if next(failures, False):
            raise OperationalError
        return finish(*args, **kwargs)

    monkeypatch.setattr(endings, "finish", finish_at_the_third_time)
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, "demo:0-5-0")
    assert end["type"] == "generation.completed"
    assert await in_database(LedgerEntry.objects.count) == 1


async def test_it_ends_an_answer_that_cannot_be_begun(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(statements, "claim_queued", fail)
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, "demo:0-5-0")
    assert (end["type"], end["error"]["code"]) == ("generation.failed", "internal_error")
    assert [option["action"] for option in end["error"]["options"]] == ["retry"]
    # Its hold was never used, and ends with its lease.
    hold = await in_database(Hold.objects.get)
    assert hold.state == "open"
    await in_database(expire_holds, now=hold.lease_expires_at)
    assert await in_database(LedgerEntry.objects.count) == 0


async def test_it_leaves_a_beginning_to_the_sweeper_while_the_database_is_away(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fail(*_: Any, **__: Any) -> None:
        loop.call_soon_threadsafe(failed.set)
        raise OperationalError

    socket = await open_socket(conversation.pk, alice_key)
    with monkeypatch.context() as away:
        away.setattr(statements, "claim_queued", fail)
        await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-5-0")
        await asyncio.wait_for(failed.wait(), 10)
    generation_id = (await socket.until("turn.accepted"))["generation_id"]
    found = await in_database(Generation.objects.get, pk=generation_id)
    assert found.state == "queued"
    get_runtime().spawn(found.pk)
    assert (await socket.until_end())["type"] == "generation.completed"
