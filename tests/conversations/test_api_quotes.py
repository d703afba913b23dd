"""What a question or another version would take, over REST: the figures of the send itself."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from billing.budgets import set_budget
from billing.models import Hold, LedgerEntry
from conversations.database import in_database
from conversations.models import Conversation, Generation, Turn
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "demo:0-40-0"


async def ask(rest: Rest, conversation: Conversation, **fields: Any) -> dict[str, Any]:
    body = {"text": "Which rivers flow through Basel?", "model": MODEL, **fields}
    answer: dict[str, Any] = (await rest.post(f"conversations/{conversation.pk}/messages/", body)).json()
    return answer


async def held(generation_id: str) -> tuple[int, int]:
    hold = await in_database(Hold.objects.get, generation_id=generation_id)
    return hold.input_tokens, hold.output_cap_tokens


async def test_a_question_is_quoted_as_it_is_held(conversation: Conversation, rest: Rest) -> None:
    await ask(rest, conversation)
    body = {"text": "And through Bern?", "model": MODEL, "max_output_tokens": 30}
    quote = (await rest.post(f"conversations/{conversation.pk}/quote/", body)).json()
    assert await in_database(Turn.objects.count) == 1
    sent = (await rest.post(f"conversations/{conversation.pk}/messages/", body)).json()
    assert (quote["input_tokens"], quote["max_output_tokens"]) == await held(sent["generation_id"])
    assert (quote["model"], quote["refusal"], quote["confirm"]) == (MODEL, None, False)
    assert sum(quote["breakdown"].values()) == quote["input_tokens"]
    assert quote["leaves"]["unit"] == "tokens"
    alone = await rest.post(f"conversations/{conversation.pk}/quote/", {**body, "history": False})
    assert alone.json()["input_tokens"] < quote["input_tokens"]


@pytest.mark.parametrize("version", ["retry", "continue", "regenerate"])
async def test_another_version_is_quoted_as_it_is_held(
    version: str, conversation: Conversation, rest: Rest
) -> None:
    first = await ask(rest, conversation, max_output_tokens=20)
    turn = f"turns/{first['turn_id']}/"
    other = {"model": "demo:0-7-0"} if version == "regenerate" else {}
    entries = await in_database(LedgerEntry.objects.count)
    quote = (await rest.post(f"{turn}quote/", {"version": version, "max_output_tokens": 50, **other})).json()
    assert await in_database(LedgerEntry.objects.count) == entries
    assert await in_database(Generation.objects.count) == 1
    made = (await rest.post(f"{turn}{version}/", {"max_output_tokens": 50, **other})).json()
    assert (quote["input_tokens"], quote["max_output_tokens"]) == await held(made["generation_id"])
    assert quote["model"] == made["model"] == other.get("model", MODEL)
    assert (quote["breakdown"]["answers"] > 0) == (version == "continue")


async def test_a_retry_keeps_its_model(conversation: Conversation, rest: Rest) -> None:
    first = await ask(rest, conversation)
    body = {"version": "retry", "model": "demo:0-7-0"}
    assert (await rest.post(f"turns/{first['turn_id']}/quote/", body)).json()["model"] == MODEL


async def test_a_refusal_is_an_answer(alice: User, conversation: Conversation, rest: Rest) -> None:
    await in_database(set_budget, scope="user", scope_id=alice.pk, unit="tokens", limit_units=3, period="day")
    response = await rest.post(f"conversations/{conversation.pk}/quote/", {"text": "Hello", "model": MODEL})
    assert response.status_code == 200
    refusal = response.json()["refusal"]
    assert refusal["code"] == "budget_exceeded"
    assert refusal["resets_at"] is not None
    assert response.json()["cost_usd"] is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "invalid"),
        ({"text": " "}, "message_empty"),
        ({"text": "x" * 4001}, "message_too_long"),
        ({"text": "Hello", "model": "demo:nothing-such"}, "unknown_model"),
        ({"text": "Hello", "max_output_tokens": 0}, "invalid_max_output_tokens"),
    ],
)
async def test_it_refuses_what_the_send_refuses(
    fields: dict[str, Any], code: str, conversation: Conversation, rest: Rest
) -> None:
    response = await rest.post(f"conversations/{conversation.pk}/quote/", fields)
    assert (response.status_code, response.json()["code"]) == (422, code)


async def test_nothing_that_is_not_there_is_continued(conversation: Conversation, rest: Rest) -> None:
    failed = await ask(rest, conversation, model="demo:0-5-0!401")
    turn_id = failed["message"]["turn_id"]
    response = await rest.post(f"turns/{turn_id}/quote/", {"version": "continue"})
    assert (response.status_code, response.json()["code"]) == (422, "nothing_to_continue")
    assert (await rest.post(f"turns/{turn_id}/quote/", {})).json()["code"] == "invalid"
