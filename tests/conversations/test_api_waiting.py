"""An answer that waits, over REST: what it waits for, and what a program can do about it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pytest_django import Settings

from billing.books import check_books
from billing.models import Hold
from conversations.database import in_database
from conversations.models import Conversation, Generation
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)

LATER = "demo:0-9-0!429@300"
GOOD = "demo:0-5-0"


@pytest_asyncio.fixture(autouse=True)
async def books_balance(conversation: Conversation) -> AsyncIterator[None]:
    yield
    assert await in_database(Hold.objects.alive().count) == 0
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []


async def ask(conversation: Conversation, rest: Rest, model: str) -> tuple[str, Any]:
    turn_id = str(uuid.uuid4())
    body = {"text": "Hello", "model": model, "turn_id": turn_id}
    return turn_id, await rest.post(f"conversations/{conversation.pk}/messages/", body)


async def test_it_asks_a_program_to_choose_instead_of_letting_it_wait(
    conversation: Conversation, rest: Rest
) -> None:
    turn_id, response = await ask(conversation, rest, LATER)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (503, "choice_required")
    assert [option["action"] for option in problem["options"]] == ["switch", "switch", "schedule", "stop"]
    assert 290 <= problem["retry_after"] <= 300
    assert problem["message"]["state"] == "waiting"
    # The same id again: the same choice, and nothing was asked twice.
    body = {"text": "Hello", "model": LATER, "turn_id": turn_id}
    again = await rest.post(f"conversations/{conversation.pk}/messages/", body)
    assert (again.status_code, again.json()["code"]) == (503, "choice_required")
    status = (await rest.get(f"conversations/{conversation.pk}/status/")).json()
    assert (status["state"], status["waiting_reason"]) == ("waiting", "choice")
    assert status["waiting_detail"] == problem["detail"].partition(" Switch")[0]
    assert status["options"][-1] == {"action": "stop", "label": "Cancel"}
    await rest.post(f"turns/{turn_id}/stop/")


async def test_it_switches_and_returns_the_answer(conversation: Conversation, rest: Rest) -> None:
    turn_id, _ = await ask(conversation, rest, LATER)
    response = await rest.post(f"turns/{turn_id}/switch/", {"model": GOOD})
    message = response.json()
    assert (response.status_code, message["state"], message["model"]) == (200, "completed", GOOD)
    assert message["notes"][0]["code"] == "fallback"
    assert message["versions"] == 1
    late = await rest.post(f"turns/{turn_id}/switch/", {"model": GOOD})
    assert late.status_code == 404


async def test_it_streams_the_answer_after_a_switch(conversation: Conversation, rest: Rest) -> None:
    turn_id, _ = await ask(conversation, rest, LATER)
    events = await rest.events(f"turns/{turn_id}/switch/", {"model": GOOD})
    types = [event["type"] for event in events]
    assert types[0] == "turn.accepted"
    assert types[-6:] == ["delta"] * 5 + ["generation.completed"]
    assert [event["model"] for event in events if event["type"] == "generation.started"][-1] == GOOD


async def test_it_schedules_and_cancels(conversation: Conversation, rest: Rest) -> None:
    turn_id, _ = await ask(conversation, rest, LATER)
    response = await rest.post(f"turns/{turn_id}/schedule/")
    assert (response.status_code, response.json()["state"]) == (202, "waiting")
    status = (await rest.get(f"conversations/{conversation.pk}/status/")).json()
    assert status["waiting_reason"] == "scheduled"
    stopped = await rest.post(f"turns/{turn_id}/stop/")
    assert (stopped.status_code, stopped.json()["state"], stopped.json()["error"]) == (200, "stopped", None)


async def test_it_refuses_to_redirect_what_does_not_wait(
    conversation: Conversation, rest: Rest, outsider: Rest
) -> None:
    turn_id, _ = await ask(conversation, rest, LATER)
    assert (await outsider.post(f"turns/{turn_id}/switch/", {"model": GOOD})).status_code == 404
    assert (await outsider.post(f"turns/{turn_id}/schedule/")).status_code == 404
    assert (await rest.post(f"turns/{turn_id}/switch/", {})).json()["code"] == "invalid"
    assert (await rest.post(f"turns/{turn_id}/switch/", {"model": "x:y"})).json()["code"] == "unknown_model"
    await rest.post(f"turns/{turn_id}/stop/")
    # Retries within the patience are sent by themselves: there is nothing to schedule.
    send = asyncio.ensure_future(ask(conversation, rest, "demo:0-9-0!429@30"))
    async with asyncio.timeout(10):
        while (live := await in_database(Generation.objects.filter(state="waiting").first)) is None:
            await asyncio.sleep(0.01)
    turn = await in_database(lambda: str(live.turn.turn_id))
    refused = await rest.post(f"turns/{turn}/schedule/")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_waiting")
    await rest.post(f"turns/{turn}/stop/")
    await send


async def test_it_says_when_a_program_waits_for_nothing(
    conversation: Conversation, rest: Rest, settings: Settings
) -> None:
    settings.FALLBACKS, settings.MAX_RETRIES = ["none"], 0
    _, response = await ask(conversation, rest, "demo:0-9-0!503")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (503, "model_unavailable")
    assert problem["error"]["code"] == "provider_overloaded"
    assert problem["detail"] == "AI is unavailable: the model is overloaded. Your question is kept."
