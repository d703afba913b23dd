"""Sending over REST: the answer as JSON at its end."""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import Any

import orjson
import pytest
from pytest_django import Settings

from billing.models import LedgerEntry
from conversations import request_threads
from conversations.api import sending
from conversations.database import POSTGRESQL_THREADS, in_database
from conversations.models import Conversation, Generation, Turn
from conversations.runtime import get_runtime
from tests.conversations.rest import Rest, open_request

pytestmark = pytest.mark.django_db(transaction=True)


def messages(conversation: Conversation) -> str:
    return f"conversations/{conversation.pk}/messages/"


async def test_it_answers_with_the_stored_text_and_a_receipt(conversation: Conversation, rest: Rest) -> None:
    turn_id = uuid.uuid4()

    response = await rest.post(
        messages(conversation), {"text": "Hello", "turn_id": str(turn_id), "model": "demo:0-5-0"}
    )

    assert response.status_code == 200
    answer = response.json()
    generation = await in_database(Generation.objects.get, pk=answer["generation_id"])
    assert (answer["role"], answer["turn_id"], answer["state"]) == ("assistant", str(turn_id), "completed")
    assert answer["text"] == generation.text != ""
    assert (answer["seq"], answer["versions"], answer["error"], answer["html"]) == (5, 1, None, None)
    entry = await in_database(LedgerEntry.objects.get, hold_id=generation.hold_id)
    assert answer["receipt"]["output_tokens"] == entry.output_visible_tokens == 5
    assert (answer["receipt"]["entry_id"], answer["receipt"]["charged"]) == (str(entry.pk), True)


async def test_it_mints_a_turn_id_and_gives_html_when_asked(conversation: Conversation, rest: Rest) -> None:
    path = messages(conversation) + "?html=true"

    answer = (await rest.post(path, {"text": "Hello", "model": "demo:0-5-0"})).json()

    turn = await in_database(Turn.objects.get, turn_id=answer["turn_id"])
    assert turn.text == "Hello"
    assert answer["html"].startswith("<p>")


async def test_it_replays_a_turn_id_and_charges_once(conversation: Conversation, rest: Rest) -> None:
    body = {"text": "Hello", "turn_id": str(uuid.uuid4()), "model": "demo:0-5-0"}

    first = await rest.post(messages(conversation), body)
    second = await rest.post(messages(conversation), body)

    assert first.json() == second.json()
    assert await in_database(LedgerEntry.objects.count) == 1
    assert await in_database(Turn.objects.count) == 1


@pytest.mark.parametrize(
    ("model", "state"),
    [
        ("demo:0-5-0", "completed"),
        ("demo:0-20-0!cut", "completed"),
        ("demo:0-20-0!die@10", "interrupted"),
        ("demo:0-5-0!nousage", "completed"),
        ("demo:0-5-0!401", "failed"),
    ],
)
async def test_it_tells_a_new_answer_as_the_database_has_it(
    conversation: Conversation, rest: Rest, monkeypatch: pytest.MonkeyPatch, model: str, state: str
) -> None:
    path = messages(conversation) + "?html=true"
    body = {"text": "Hello", "turn_id": str(uuid.uuid4()), "model": model}
    with monkeypatch.context() as unread:
        unread.delattr(sending, "read_answer")  # its end has told it
        told = (await rest.post(path, body)).json()

    read = (await rest.post(path, body)).json()

    told, read = told.get("message", told), read.get("message", read)
    assert (told["state"], told["turn_id"]) == (state, body["turn_id"])
    assert told == read


async def test_it_counts_the_versions_of_an_answer_that_is_not_the_first(
    conversation: Conversation, rest: Rest
) -> None:
    first = (await rest.post(messages(conversation), {"text": "Hello", "model": "demo:0-5-0"})).json()

    second = (await rest.post(f"turns/{first['turn_id']}/retry/", {})).json()

    assert (first["versions"], second["versions"]) == (1, 2)


async def test_it_waits_on_the_same_answer_when_a_turn_id_comes_twice_at_once(
    conversation: Conversation, rest: Rest
) -> None:
    body = {"text": "Hello", "turn_id": str(uuid.uuid4()), "model": "demo:50-20-5"}

    first, second = await asyncio.gather(*(rest.post(messages(conversation), body) for _ in range(2)))

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert await in_database(LedgerEntry.objects.count) == 1


async def test_it_keeps_what_came_before_an_answer_was_lost(conversation: Conversation, rest: Rest) -> None:
    response = await rest.post(messages(conversation), {"text": "Hello", "model": "demo:0-20-0!die@10"})

    answer = response.json()
    assert (response.status_code, answer["state"], answer["seq"]) == (200, "interrupted", 10)
    assert answer["error"]["code"] == "connection_failed"
    assert answer["error"]["options"][0]["action"] == "continue"
    assert answer["receipt"]["charged"] is False


@pytest.mark.parametrize(
    ("model", "status", "code", "reason"),
    [
        ("demo:0-5-0!401", 503, "model_unavailable", "bad_credentials"),
        ("demo:0-5-0!400", 503, "model_unavailable", "bad_request"),
        ("demo:0-5-0!block", 422, "content_blocked", "content_blocked"),
    ],
)
async def test_it_says_why_there_is_no_answer(
    conversation: Conversation, rest: Rest, model: str, status: int, code: str, reason: str
) -> None:
    response = await rest.post(messages(conversation), {"text": "Hello", "model": model})

    problem = response.json()
    assert (response.status_code, problem["code"], problem["error"]["code"]) == (status, code, reason)
    assert problem["options"] == problem["error"]["options"] != []
    assert problem["message"]["state"] == "failed"
    turn = await in_database(Turn.objects.get, turn_id=problem["message"]["turn_id"])
    assert turn.text == "Hello"


async def test_it_gives_the_partial_text_at_the_deadline_and_goes_on(
    conversation: Conversation, rest: Rest, settings: Settings
) -> None:
    settings.SEND_DEADLINE_SECONDS = 0.3
    body = {"text": "Hello", "turn_id": str(uuid.uuid4()), "model": "demo:0-60-10"}

    response = await rest.post(messages(conversation), body)
    problem = response.json()
    settings.SEND_DEADLINE_SECONDS = 60
    answer = (await rest.post(messages(conversation), body)).json()

    assert (response.status_code, problem["code"]) == (504, "deadline")
    assert 0 < problem["message"]["seq"] < 60
    assert (answer["state"], answer["seq"]) == ("completed", 60)
    assert answer["text"].startswith(problem["message"]["text"])
    assert await in_database(LedgerEntry.objects.count) == 1


async def test_it_reads_a_body_without_a_length(conversation: Conversation, rest: Rest) -> None:
    body = {"text": "Hello", "model": "demo:0-5-0"}
    status, answer = await _response(await open_request(messages(conversation), rest, body, chunked=True))
    assert (status, answer["seq"]) == (200, 5)


async def test_it_reads_no_more_of_a_body_than_the_limit(conversation: Conversation, rest: Rest) -> None:
    body = {"text": "x" * 1_100_000}
    for chunked in (True, False):
        request = await open_request(messages(conversation), rest, body, chunked=chunked)
        status, problem = await _response(request)
        assert (status, problem["code"]) == (413, "body_too_large")


async def test_it_goes_on_when_the_client_leaves(conversation: Conversation, rest: Rest) -> None:
    request = await open_request(messages(conversation), rest, {"text": "Hello", "model": "demo:0-60-10"})
    await _until(lambda: bool(get_runtime().attempts))
    runtime = get_runtime()
    [attempt] = runtime.attempts.values()

    await request.send_input({"type": "http.disconnect"})
    await request.wait(5)
    await asyncio.wait_for(attempt.stream.ended.wait(), 10)

    generation = await in_database(Generation.objects.get, pk=attempt.claim.generation_id)
    assert (generation.state, generation.seq) == ("completed", 60)


async def test_it_starts_the_answer_even_if_the_client_leaves_at_once(
    conversation: Conversation, rest: Rest
) -> None:
    request = await open_request(messages(conversation), rest, {"text": "Hello", "model": "demo:0-5-0"})
    await _until(lambda: bool(request.future and not request.future.done()))
    await request.send_input({"type": "http.disconnect"})
    await request.wait(5)

    async def state() -> str | None:
        return await in_database(lambda: Generation.objects.values_list("state", flat=True).first())

    async with asyncio.timeout(10):
        while await state() not in (None, "completed"):
            await asyncio.sleep(0.01)


async def test_it_serves_fifty_sends_at_once_without_fifty_threads(
    alice: Any, rest: Rest, conversation: Conversation
) -> None:
    def make() -> list[Conversation]:
        return [Conversation.objects.create(owner=alice) for _ in range(50)]

    rooms = await in_database(make)
    await rest.post(messages(conversation), {"text": "Warm up", "model": "demo:0-1-0"})
    before = threading.active_count()
    kept = request_threads.KEPT + POSTGRESQL_THREADS
    body = {"text": "Hello", "model": "demo:4000-20-20", "max_output_tokens": 100}
    requests = [await open_request(messages(room), rest, body) for room in rooms]
    await _until(lambda: len(get_runtime().attempts) == 50)
    await _until(lambda: threading.active_count() - before <= kept)
    assert len(get_runtime().attempts) == 50  # all fifty wait for their first token
    answers = [await _response(request) for request in requests]

    assert [status for status, _ in answers] == [200] * 50
    assert {answer["seq"] for _, answer in answers} == {20}


async def _response(request: Any) -> tuple[int, Any]:
    start = await request.receive_output(20)
    body = b""
    while True:
        part = await request.receive_output(20)
        body += part.get("body", b"")
        if not part.get("more_body"):
            return start["status"], orjson.loads(body)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_it_hears_the_end_where_streams_were_tidied_before_it_waited(
    conversation: Conversation, rest: Rest, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    async def tidy(*_: object, **__: object) -> None:
        await get_runtime().following.reconcile()

    monkeypatch.setattr(sending, "announce_start", tidy)
    settings.SEND_DEADLINE_SECONDS = 10.0
    body = {"text": "Hello", "model": "demo:0-3-0"}
    response = await rest.post(f"conversations/{conversation.pk}/messages/", body)
    assert (response.status_code, response.json().get("state")) == (200, "completed")
