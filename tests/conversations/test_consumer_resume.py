"""Coming back: exactly the rest after the last number, after a reload, a lost network or the end."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from django.utils import timezone

from conversations import endings, feed
from conversations.attempts import Outcome
from conversations.database import in_database
from conversations.models import Conversation, Generation, State
from conversations.runtime import get_runtime
from conversations.waiting_events import waiting_event
from tests.conversations.conftest import OpenSocket

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_delivers_exactly_the_rest_to_a_client_that_reconnects(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    first = await open_socket(conversation.pk, alice_key)
    await first.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-60-3")
    while (await first.until("delta"))["seq"] < 10:
        pass
    generation_id = first.events[-1]["generation_id"]
    await first.close()

    again = await open_socket(conversation.pk, alice_key)
    announced = await again.until("generation.started")
    await again.send("stream.resume", generation_id=generation_id, after_seq=10)
    end = await again.until_end()

    assert announced["generation_id"] == generation_id
    assert announced["seq"] >= 10
    assert [seq for seq, _ in again.deltas(generation_id)] == list(range(11, 61))
    before = "".join(text for _, text in first.deltas(generation_id)[:10])
    assert before + "".join(text for _, text in again.deltas(generation_id)) == end["text"]


async def test_it_gives_everything_to_a_client_that_does_not_resume(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RESUME_GRACE_SECONDS", 0.01)
    first = await open_socket(conversation.pk, alice_key)
    await first.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-60-3")
    await first.until("delta")
    second = await open_socket(conversation.pk, alice_key)
    end = await second.until_end()
    assert [seq for seq, _ in second.deltas(end["generation_id"])] == list(range(1, 61))


async def test_it_answers_a_resume_after_the_end_with_the_whole_answer(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    first = await open_socket(conversation.pk, alice_key)
    await first.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-10-0")
    end = await first.until_end()
    second = await open_socket(conversation.pk, alice_key)
    await second.send("stream.resume", generation_id=end["generation_id"], after_seq=3)
    assert await second.until_end() == end


async def test_it_starts_over_for_a_resume_from_the_future(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-60-3")
    generation_id = (await socket.until("delta"))["generation_id"]
    socket.events.clear()
    await socket.send("stream.resume", generation_id=generation_id, after_seq=10**6)
    await socket.until("generation.started")
    socket.events.clear()
    await socket.until_end()
    assert [seq for seq, _ in socket.deltas(generation_id)] == list(range(1, 61))


async def test_it_says_not_found_for_a_generation_of_another_conversation(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("stream.resume", generation_id=uuid.uuid4(), after_seq=0)
    assert (await socket.until("error"))["code"] == "not_found"


async def test_it_tells_the_end_where_streams_were_tidied_while_the_socket_opened(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await open_socket(conversation.pk, alice_key)
    await first.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-5-0!429@50")
    generation_id = (await first.until("generation.waiting"))["generation_id"]
    await first.close()
    loop, runtime = asyncio.get_running_loop(), get_runtime()

    def slowly(generation: Generation) -> dict[str, Any]:
        event = waiting_event(generation)
        asyncio.run_coroutine_threadsafe(runtime.following.reconcile(), loop)
        return event

    monkeypatch.setattr("conversations.consumers.waiting_event", slowly)
    again = await open_socket(conversation.pk, alice_key)
    await again.until("generation.waiting")
    # Its end is told of by nobody: it is found in the database.
    await in_database(_fail, generation_id)
    assert (await again.until_end())["generation_id"] == generation_id


def _fail(generation_id: str) -> None:
    endings.close(endings.load(uuid.UUID(generation_id)), Outcome(State.FAILED), timezone.now())
