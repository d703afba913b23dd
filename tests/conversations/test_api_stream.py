"""Sending over REST with server-sent events."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection

from conversations.api import watching
from conversations.broadcast import _listeners
from conversations.database import in_database
from conversations.models import Conversation, Generation, State
from conversations.runtime import get_runtime
from tests.conversations.conftest import OpenSocket
from tests.conversations.rest import Rest, open_request, parse_events

pytestmark = pytest.mark.django_db(transaction=True)

# A worker's part in an answer: one attempt, in a process of its own.
ONE_ATTEMPT = """
import asyncio, sys, uuid
import django
django.setup()
from conversations.runtime import get_runtime, shut_down
async def attempt():
    await get_runtime().spawn(uuid.UUID(sys.argv[1]))
    await shut_down(seconds=0)
asyncio.run(attempt())
"""


def messages(conversation: Conversation) -> str:
    return f"conversations/{conversation.pk}/messages/"


def deltas(events: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(event["seq"], event["text"]) for event in events if event["type"] == "delta"]


async def test_it_streams_the_stored_text(conversation: Conversation, rest: Rest) -> None:
    events = await rest.events(messages(conversation), {"text": "Hello", "model": "demo:0-20-2"})

    types = [event["type"] for event in events]
    assert types[:2] == ["turn.accepted", "generation.started"]
    assert types[2:] == ["delta"] * 20 + ["generation.completed"]
    assert [(event["id"], event["seq"]) for event in events if event["type"] == "delta"] == [
        (str(seq), seq) for seq in range(1, 21)
    ]
    generation = await in_database(Generation.objects.get, pk=events[-1]["generation_id"])
    assert "".join(text for _, text in deltas(events)) == generation.text == events[-1]["text"] != ""
    assert events[-1]["receipt"]["output_tokens"] == 20


async def test_it_forbids_caches_and_buffers(conversation: Conversation, rest: Rest) -> None:
    response = await rest.post(
        messages(conversation), {"text": "Hello", "model": "demo:0-1-0"}, Accept="text/event-stream"
    )
    parse_events(b"".join([chunk async for chunk in response.streaming_content]))

    assert response["Content-Type"] == "text/event-stream; charset=utf-8"
    assert (response["Cache-Control"], response["X-Accel-Buffering"]) == ("no-cache", "no")


async def test_it_sends_the_events_of_the_socket(
    conversation: Conversation, rest: Rest, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)

    events = await rest.events(messages(conversation), {"text": "Hello", "model": "demo:0-10-2"})
    await socket.until_end()

    end = [event for event in socket.events if event["type"] == "generation.completed"]
    assert end == [events[-1]]
    assert deltas(socket.events) == deltas(events)


async def test_it_goes_on_after_the_last_event_id(conversation: Conversation, rest: Rest) -> None:
    body = {"text": "Hello", "turn_id": str(uuid.uuid4()), "model": "demo:0-60-10"}
    response = await rest.post(messages(conversation), body, Accept="text/event-stream")
    stream = response.streaming_content.__aiter__()
    first: list[dict[str, Any]] = []
    while len(deltas(first)) < 10:
        first += parse_events(await stream.__anext__())
    await stream.aclose()

    last = deltas(first)[-1][0]
    rest_of_it = await rest.events(messages(conversation), body, Last_Event_ID=str(last))

    assert deltas(first + rest_of_it) == deltas(first) + deltas(rest_of_it)
    assert [seq for seq, _ in deltas(first + rest_of_it)] == list(range(1, 61))
    assert "".join(text for _, text in deltas(first + rest_of_it)) == rest_of_it[-1]["text"]


async def test_it_replays_an_answer_that_has_ended(conversation: Conversation, rest: Rest) -> None:
    body = {"text": "Hello", "turn_id": str(uuid.uuid4()), "model": "demo:0-5-0"}
    first = await rest.events(messages(conversation), body)

    again = await rest.events(messages(conversation), body)

    assert again == [first[0], first[-1]]


async def test_it_beats_while_nothing_comes(
    conversation: Conversation, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HEARTBEAT_SECONDS", 0.05)
    response = await rest.post(
        messages(conversation), {"text": "Hello", "model": "demo:400-2-0"}, Accept="text/event-stream"
    )
    raw = b"".join([chunk async for chunk in response.streaming_content])

    assert raw.count(b": still here\n\n") >= 2
    assert parse_events(raw)[-1]["type"] == "generation.completed"


async def test_it_goes_on_and_leaves_nothing_behind_when_the_client_leaves(
    conversation: Conversation, rest: Rest
) -> None:
    body = {"text": "Hello", "model": "demo:0-1000-20"}
    request = await open_request(messages(conversation), rest, body, accept="text/event-stream")
    assert (await request.receive_output(10))["status"] == 200
    while b"delta" not in (await request.receive_output(10))["body"]:
        pass
    runtime = get_runtime()
    [live] = runtime.streams.values()
    assert live.watchers

    await request.send_input({"type": "http.disconnect"})
    await request.wait(10)
    assert not live.watchers
    assert not any(_listeners.values())

    await asyncio.wait_for(live.reach(live.seq + 5), 10)
    runtime.stop(live.generation_id)
    await asyncio.wait_for(live.ended.wait(), 10)
    generation = await in_database(Generation.objects.get, pk=live.generation_id)
    assert (generation.state, generation.seq) == (State.STOPPED, live.seq)


async def test_it_tells_why_an_answer_failed_as_an_event(conversation: Conversation, rest: Rest) -> None:
    events = await rest.events(messages(conversation), {"text": "Hello", "model": "demo:0-5-0!block"})
    assert (events[-1]["type"], events[-1]["error"]["code"]) == ("generation.failed", "content_blocked")


async def test_it_refuses_with_a_problem_before_the_stream(conversation: Conversation, rest: Rest) -> None:
    response = await rest.post(
        messages(conversation), {"text": "Hello", "model": "demo:nonsense"}, Accept="text/event-stream"
    )
    assert (response.status_code, response.json()["code"]) == (422, "unknown_model")
    assert response["Content-Type"] == "application/problem+json"


async def test_it_ends_with_an_answer_that_is_stopped_while_it_waits(
    conversation: Conversation, rest: Rest
) -> None:
    body = {"text": "Hello", "turn_id": str(uuid.uuid4()), "model": "demo:0-5-0!429x1@30"}
    response = await rest.post(messages(conversation), body, Accept="text/event-stream")
    events: list[dict[str, Any]] = []
    async for chunk in response.streaming_content:
        events += parse_events(chunk)
        if events[-1]["type"] == "generation.waiting":
            # Somebody who asks now is told at once what it waits for.
            again = await rest.post(messages(conversation), body, Accept="text/event-stream")
            late = again.streaming_content.__aiter__()
            first = parse_events(await late.__anext__()) + parse_events(await late.__anext__())
            await rest.post(f"turns/{body['turn_id']}/stop/")

    waiting = next(event for event in events if event["type"] == "generation.waiting")
    assert (waiting["reason"], waiting["attempt"]) == ("rate_limit", 1)
    assert [first[0]["type"], first[-1]["type"]] == ["turn.accepted", "generation.waiting"]
    assert events[-1]["type"] == "generation.stopped"


async def test_it_streams_the_second_attempt_of_another_process(
    conversation: Conversation, rest: Rest
) -> None:
    body = {"text": "Hello", "model": "demo:0-40-5!500x1"}
    response = await rest.post(messages(conversation), body, Accept="text/event-stream")
    events: list[dict[str, Any]] = []
    worker = None
    async for chunk in response.streaming_content:
        events += parse_events(chunk)
        if worker is None and events and events[-1]["type"] == "generation.waiting":
            await asyncio.sleep(events[-1]["wait_seconds"] + 0.1)  # what the answer itself waits for
            worker = await _other_process(events[-1]["generation_id"])
    assert worker is not None
    assert await worker.wait() == 0

    assert [event["type"] for event in events if event["type"] != "delta"] == [
        "turn.accepted",
        "generation.started",
        "generation.waiting",
        "generation.started",
        "generation.completed",
    ]
    assert [seq for seq, _ in deltas(events)] == list(range(1, 41))
    assert "".join(text for _, text in deltas(events)) == events[-1]["text"]


async def _other_process(generation_id: str) -> asyncio.subprocess.Process:
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        url = f"sqlite:///{name}"
    else:
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", ONE_ATTEMPT, generation_id, env=environment
    )
