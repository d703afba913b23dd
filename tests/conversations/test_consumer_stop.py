"""Stopping: the words so far stay, only they are charged, and the provider's stream is closed."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from billing.models import Hold, LedgerEntry
from conversations import cancelling, generation, stops
from conversations.database import in_database
from conversations.models import Conversation, Generation, State
from conversations.runtime import get_runtime
from tests.conversations.conftest import OpenSocket
from tests.conversations.failing import Careless

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_keeps_and_charges_what_was_received(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-1000-5")
    while (await socket.until("delta"))["seq"] < 5:
        pass
    await socket.send("turn.stop", turn_id=turn_id)
    end = await socket.until_end()

    assert end["type"] == "generation.stopped"
    assert end["text"] == "".join(text for _, text in socket.deltas(end["generation_id"]))
    assert end["seq"] < 1000
    assert end["receipt"]["estimated"] is True
    assert end["receipt"]["charged"] is True
    assert 0 < end["receipt"]["output_tokens"] < 1000
    generation = await in_database(Generation.objects.get, pk=end["generation_id"])
    assert (generation.state, generation.text) == (State.STOPPED, end["text"])
    hold = await in_database(Hold.objects.get, pk=generation.hold_id)
    assert hold.state == "settled"


async def test_it_can_be_stopped_from_another_tab(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    writer = await open_socket(conversation.pk, alice_key)
    watcher = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await writer.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-1000-5")
    await watcher.until("delta")
    await watcher.send("turn.stop", turn_id=turn_id)
    assert (await watcher.until_end())["type"] == "generation.stopped"
    assert (await writer.until_end())["type"] == "generation.stopped"


async def test_it_ends_a_waiting_answer_at_once_and_charges_nothing(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-5-0!429x1@30")
    waiting = await socket.until("generation.waiting")
    await socket.send("turn.stop", turn_id=turn_id)
    end = await socket.until_end()
    assert (end["type"], end["generation_id"]) == ("generation.stopped", waiting["generation_id"])
    assert end["receipt"]["charged"] is False
    assert await in_database(LedgerEntry.objects.count) == 0
    assert await in_database(Hold.objects.alive().count) == 0


async def test_it_takes_a_second_stop_quietly(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-1000-5")
    await socket.until("delta")
    for _ in range(3):
        await socket.send("turn.stop", turn_id=turn_id)
    end = await socket.until_end()
    await socket.send("ping")
    await socket.until("pong")
    ends = [event for event in socket.events if event["type"] == "generation.stopped"]
    assert ends == [end]
    assert await in_database(LedgerEntry.objects.count) == 1


async def test_it_finds_a_stop_request_that_only_the_database_holds(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-4000-5")
    await socket.until("delta")
    await in_database(
        stops.stop_turn,
        user_id=conversation.owner_id,
        conversation_id=conversation.pk,
        turn_id=turn_id,
    )
    assert (await socket.until_end())["type"] == "generation.stopped"


async def test_it_does_not_stop_the_answer_of_somebody_else(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, bob: User
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-50-2")
    await socket.until("delta")
    found = await in_database(
        stops.stop_turn,
        user_id=bob.pk,
        conversation_id=conversation.pk,
        turn_id=turn_id,
    )
    assert found is None
    assert (await socket.until_end())["type"] == "generation.completed"


@pytest.mark.parametrize("reason", ["stopped", "stalled", "drained"])
async def test_it_stops_what_swallows_the_first_cancellations(
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    reason: str,
) -> None:
    model = Careless(deaf=3)
    monkeypatch.setattr(generation, "get_provider", lambda profile: model)
    monkeypatch.setattr(cancelling, "AGAIN_SECONDS", 0.02)
    if reason == "stalled":
        settings.STALL_TIMEOUT_SECONDS = settings.FIRST_TOKEN_TIMEOUT_SECONDS = 0.2
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-5-0")
    await model.is_open.wait()
    if reason == "stopped":
        await socket.send("turn.stop", turn_id=turn_id)
    elif reason == "drained":
        (attempt,) = get_runtime().attempts.values()
        attempt.cancel("shutdown")
    end = await socket.until_end()
    assert model.heard == 4
    ended = {"stopped": "stopped", "stalled": "interrupted", "drained": "interrupted"}
    assert (end["type"], end["text"]) == (f"generation.{ended[reason]}", "a word")
    assert await in_database(Hold.objects.alive().count) == 0


async def test_what_hears_no_cancellation_at_all_loses_its_lease(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Careless(deaf=5)
    monkeypatch.setattr(generation, "get_provider", lambda profile: model)
    monkeypatch.setattr(cancelling, "AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(cancelling, "TIMES", 3)
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-5-0")
    await model.is_open.wait()
    (attempt,) = get_runtime().attempts.values()
    await socket.send("turn.stop", turn_id=turn_id)
    async with asyncio.timeout(10):
        while not attempt.deaf:
            await asyncio.sleep(0.01)
    assert model.heard == 3
    while not attempt.task.done():
        attempt.task.cancel()
        await asyncio.sleep(0.01)
