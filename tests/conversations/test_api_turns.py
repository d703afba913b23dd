"""Stopping an answer and asking for another version of it, over REST."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from pytest_django import Settings

from billing.models import Hold, LedgerEntry
from conversations.api import stopping
from conversations.database import in_database
from conversations.models import Conversation, Generation, Turn
from conversations.runtime import get_runtime
from tests.conversations.conftest import written_elsewhere
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)


def messages(conversation: Conversation) -> str:
    return f"conversations/{conversation.pk}/messages/"


async def ask(conversation: Conversation, rest: Rest, model: str) -> dict[str, Any]:
    response = await rest.post(messages(conversation), {"text": "Hello", "model": model})
    body = response.json()
    answer: dict[str, Any] = body.get("message", body)
    return answer


async def streaming() -> None:
    async with asyncio.timeout(10):
        while not any(attempt.stream.seq for attempt in get_runtime().attempts.values()):
            await asyncio.sleep(0.005)


async def test_it_stops_an_answer_and_keeps_its_text(conversation: Conversation, rest: Rest) -> None:
    body = {"text": "Hello", "turn_id": str(uuid.uuid4()), "model": "demo:0-500-20"}
    send = asyncio.ensure_future(rest.post(messages(conversation), body))
    await streaming()

    stopped = await rest.post(f"turns/{body['turn_id']}/stop/")

    answer = stopped.json()
    assert (stopped.status_code, answer["state"]) == (200, "stopped")
    assert 0 < answer["seq"] < 500
    assert (await send).json() == answer
    assert answer["receipt"]["charged"] is True
    assert not await in_database(Hold.objects.alive().exists)
    again = await rest.post(f"turns/{body['turn_id']}/stop/")
    assert (again.status_code, again.json()) == (200, answer)


async def test_it_says_that_a_stop_is_under_way(
    conversation: Conversation, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that another process writes, which does not hear of the stop in time."""
    monkeypatch.setattr(stopping, "STOP_WAIT_SECONDS", 0.1)

    turn = await in_database(written_elsewhere, conversation)

    response = await rest.post(f"turns/{turn.turn_id}/stop/")

    assert (response.status_code, response.json()["state"]) == (202, "streaming")
    generation = await in_database(Generation.objects.get, turn=turn)
    assert generation.stop_requested_at is not None


async def test_it_answers_again_as_a_sibling(conversation: Conversation, rest: Rest) -> None:
    first = await ask(conversation, rest, "demo:0-5-0")

    second = (await rest.post(f"turns/{first['turn_id']}/retry/")).json()

    assert (second["state"], second["model"], second["versions"]) == ("completed", "demo:0-5-0", 2)
    assert second["generation_id"] != first["generation_id"]
    history = (await rest.get(messages(conversation))).json()["results"]
    assert history[1:] == [second]


async def test_it_retries_an_answer_that_failed(conversation: Conversation, rest: Rest) -> None:
    failed = await ask(conversation, rest, "demo:0-5-0!401")
    response = await rest.post(f"turns/{failed['turn_id']}/retry/")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "bad_credentials")
    answer = await rest.post(f"turns/{failed['turn_id']}/regenerate/", {"model": "demo:0-5-0"})
    assert (answer.status_code, answer.json()["versions"]) == (200, 3)


async def test_it_continues_an_answer_that_was_lost(conversation: Conversation, rest: Rest) -> None:
    cut = await ask(conversation, rest, "demo:0-100-0!die@60")

    whole = (await rest.post(f"turns/{cut['turn_id']}/continue/?html=true")).json()

    assert whole["continues"] == cut["generation_id"]
    assert whole["text"].startswith(cut["text"])
    assert len(whole["text"]) > len(cut["text"])
    assert whole["html"].startswith("<p>")
    history = (await rest.get(messages(conversation), html="true")).json()["results"]
    assert history[1] == whole


async def test_it_streams_a_continuation_and_says_what_it_continues(
    conversation: Conversation, rest: Rest
) -> None:
    cut = await ask(conversation, rest, "demo:0-100-0!die@60")
    events = await rest.events(f"turns/{cut['turn_id']}/continue/", {})
    started = next(event for event in events if event["type"] == "generation.started")
    assert started["continues"] == cut["generation_id"]


async def test_it_regenerates_with_other_parameters(conversation: Conversation, rest: Rest) -> None:
    first = await ask(conversation, rest, "demo:0-5-0")

    second = await rest.post(
        f"turns/{first['turn_id']}/regenerate/",
        {"model": "demo:0-50-0", "temperature": 0.1, "max_output_tokens": 9},
    )

    answer = second.json()
    assert (answer["model"], answer["seq"], answer["finish_reason"]) == ("demo:0-50-0", 9, "length")
    generation = await in_database(Generation.objects.get, pk=answer["generation_id"])
    assert generation.temperature == 0.1


async def test_it_replays_a_generation_id(conversation: Conversation, rest: Rest) -> None:
    first = await ask(conversation, rest, "demo:0-5-0")
    body = {"generation_id": str(uuid.uuid4())}

    second = await rest.post(f"turns/{first['turn_id']}/retry/", body)
    third = await rest.post(f"turns/{first['turn_id']}/retry/", body)

    assert second.json() == third.json()
    assert second.json()["generation_id"] == body["generation_id"]
    assert await in_database(LedgerEntry.objects.count) == 2


async def test_it_refuses_a_generation_id_of_another_turn(conversation: Conversation, rest: Rest) -> None:
    first, other = [await ask(conversation, rest, "demo:0-5-0") for _ in range(2)]
    response = await rest.post(f"turns/{first['turn_id']}/retry/", {"generation_id": other["generation_id"]})
    assert (response.status_code, response.json()["code"]) == (409, "id_conflict")


async def test_it_continues_nothing_where_there_is_nothing(conversation: Conversation, rest: Rest) -> None:
    failed = await ask(conversation, rest, "demo:0-5-0!401")
    response = await rest.post(f"turns/{failed['turn_id']}/continue/")
    assert (response.status_code, response.json()["code"]) == (422, "nothing_to_continue")


async def test_it_waits_no_longer_than_the_deadline(
    conversation: Conversation, rest: Rest, settings: Settings
) -> None:
    first = await ask(conversation, rest, "demo:0-5-0")
    settings.SEND_DEADLINE_SECONDS = 0.1
    response = await rest.post(f"turns/{first['turn_id']}/regenerate/", {"model": "demo:0-60-10"})
    assert (response.status_code, response.json()["code"]) == (504, "deadline")
    await rest.post(f"turns/{first['turn_id']}/stop/")


async def test_it_asks_a_question_anew_in_other_words(conversation: Conversation, rest: Rest) -> None:
    first = await ask(conversation, rest, "demo:0-5-0")
    new_turn_id = str(uuid.uuid4())
    body = {"text": "Good morning", "new_turn_id": new_turn_id, "model": "demo:0-7-0"}

    edited = (await rest.post(f"turns/{first['turn_id']}/edit/", body)).json()
    again = (await rest.post(f"turns/{first['turn_id']}/edit/", body)).json()

    assert (edited["turn_id"], edited["state"], edited["model"]) == (new_turn_id, "completed", "demo:0-7-0")
    assert again == edited
    history = (await rest.get(messages(conversation))).json()["results"]
    assert [message["text"] for message in history if message["role"] == "user"] == ["Good morning"]
    assert await in_database(Turn.objects.filter(text="Hello").exists)


async def test_it_refuses_an_edit_without_text(conversation: Conversation, rest: Rest) -> None:
    first = await ask(conversation, rest, "demo:0-5-0")
    refused = await rest.post(f"turns/{first['turn_id']}/edit/", {"text": " "})
    assert (refused.status_code, refused.json()["code"]) == (422, "message_empty")
