"""Wordings and versions over REST: read them, show another one, take a question out; other tabs are told."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from billing.models import LedgerEntry
from conversations.broadcast import conversation_topic, listen, unlisten
from conversations.database import in_database
from conversations.models import Conversation, Generation, State, Turn
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)


async def ask(rest: Rest, conversation: Conversation, text: str = "One", **fields: Any) -> dict[str, Any]:
    body = {"text": text, "model": "demo:0-4-0", **fields}
    answer: dict[str, Any] = (await rest.post(f"conversations/{conversation.pk}/messages/", body)).json()
    return answer


async def questions(rest: Rest, conversation: Conversation) -> list[str]:
    page = (await rest.get(f"conversations/{conversation.pk}/messages/")).json()
    return [one["text"] for one in page["results"] if one["role"] == "user"]


@asynccontextmanager
async def told(conversation: Conversation) -> AsyncIterator[list[dict[str, Any]]]:
    """What the sockets on this conversation hear."""
    heard: list[dict[str, Any]] = []
    topic = conversation_topic(conversation.pk)
    listen(topic, heard.append)
    try:
        yield heard
        await asyncio.sleep(0)
    finally:
        unlisten(topic, heard.append)


async def test_it_shows_a_question_with_all_versions(conversation: Conversation, rest: Rest) -> None:
    first = await ask(rest, conversation, max_output_tokens=2)
    address = f"turns/{first['turn_id']}/"
    second = (await rest.post(f"{address}regenerate/", {"max_output_tokens": 3})).json()
    third = (await rest.post(f"{address}continue/", {})).json()
    turn = (await rest.get(address, html="true")).json()
    assert (turn["text"], turn["parent_turn_id"]) == ("One", None)
    assert turn["conversation_id"] == str(conversation.pk)
    assert turn["wordings"] == [first["turn_id"]]
    # What was continued is a part of the version that continues it.
    assert [one["generation_id"] for one in turn["versions"]] == [
        first["generation_id"],
        third["generation_id"],
    ]
    assert turn["chosen"] == third["generation_id"]
    assert turn["versions"][1]["text"] == third["text"]
    assert turn["versions"][1]["text"].startswith(second["text"])
    assert {one["versions"] for one in turn["versions"]} == {2}
    assert turn["versions"][0]["html"].startswith("<p>")


async def test_it_shows_another_version(conversation: Conversation, rest: Rest) -> None:
    first = await ask(rest, conversation)
    await rest.post(f"turns/{first['turn_id']}/regenerate/", {"model": "demo:0-6-0"})
    address = f"generations/{first['generation_id']}/"
    assert (await rest.get(address)).json()["text"] == first["text"]
    async with told(conversation) as heard:
        chosen = (await rest.post(f"{address}choose/")).json()
    assert chosen["generation_id"] == first["generation_id"]
    assert [(one["change"], one["generation_id"]) for one in heard] == [("version", first["generation_id"])]
    page = (await rest.get(f"conversations/{conversation.pk}/messages/")).json()
    assert page["results"][-1]["generation_id"] == first["generation_id"]


async def test_it_shows_another_wording(conversation: Conversation, rest: Rest) -> None:
    first = await ask(rest, conversation)
    await ask(rest, conversation, "Two")
    edited = (await rest.post(f"turns/{first['turn_id']}/edit/", {"text": "Uno"})).json()
    assert await questions(rest, conversation) == ["Uno"]
    async with told(conversation) as heard:
        turn = (await rest.post(f"turns/{first['turn_id']}/choose/")).json()
    assert turn["wordings"] == [first["turn_id"], edited["turn_id"]]
    assert await questions(rest, conversation) == ["One", "Two"]
    two = await in_database(Turn.objects.get, text="Two")
    assert [(one["change"], one["head_turn_id"]) for one in heard] == [("branch", str(two.turn_id))]


async def test_it_deletes_a_question(conversation: Conversation, rest: Rest) -> None:
    first = await ask(rest, conversation)
    await ask(rest, conversation, "Two")
    entries = await in_database(LedgerEntry.objects.count)
    async with told(conversation) as heard:
        response = await rest.delete(f"turns/{first['turn_id']}/")
    assert response.json() == {"turn_ids": [first["turn_id"]], "head_turn_id": None}
    assert [(one["change"], one["turn_ids"]) for one in heard] == [("removed", [first["turn_id"]])]
    assert await questions(rest, conversation) == ["Two"]
    assert await in_database(LedgerEntry.objects.count) == entries == 2
    assert (await rest.delete(f"turns/{first['turn_id']}/")).status_code == 404


async def test_it_deletes_a_wording_with_its_branch(conversation: Conversation, rest: Rest) -> None:
    first = await ask(rest, conversation)
    edited = (await rest.post(f"turns/{first['turn_id']}/edit/", {"text": "Uno"})).json()
    async with told(conversation) as heard:
        response = await rest.delete(f"turns/{edited['turn_id']}/")
    assert response.json()["head_turn_id"] == first["turn_id"]
    assert [one["change"] for one in heard] == ["removed", "branch"]
    assert await questions(rest, conversation) == ["One"]


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_it_waits_for_an_answer_that_is_being_written(
    method: str, conversation: Conversation, rest: Rest
) -> None:
    first = await ask(rest, conversation)
    await in_database(Generation.objects.update, state=State.STREAMING)
    address = f"turns/{first['turn_id']}/" + ("choose/" if method == "POST" else "")
    response = await rest.send(method, address)
    assert (response.status_code, response.json()["code"]) == (409, "conversation_busy")
    await in_database(Generation.objects.update, state=State.COMPLETED)


async def test_it_keeps_feedback(conversation: Conversation, rest: Rest) -> None:
    address = f"generations/{(await ask(rest, conversation))['generation_id']}/feedback/"
    assert (await rest.get(address)).status_code == 204
    given = await rest.send("PUT", address, {"verdict": "down", "words": " Too short. "})
    assert given.json() == {"verdict": "down", "words": "Too short."}
    assert (await rest.send("PUT", address, {"verdict": "up"})).json() == {"verdict": "up", "words": ""}
    assert (await rest.get(address)).json() == {"verdict": "up", "words": ""}
    for wrong in ({}, {"verdict": "great"}, {"verdict": "up", "words": "x" * 1001}):
        response = await rest.send("PUT", address, wrong)
        assert (response.status_code, response.json()["code"]) == (422, "invalid")
    assert [(await rest.delete(address)).status_code for _ in range(2)] == [204, 204]
    assert (await rest.get(address)).status_code == 204


async def test_feedback_waits_for_the_end(conversation: Conversation, rest: Rest) -> None:
    address = f"generations/{(await ask(rest, conversation))['generation_id']}/feedback/"
    await in_database(Generation.objects.update, state=State.STREAMING)
    response = await rest.send("PUT", address, {"verdict": "up"})
    assert (response.status_code, response.json()["code"]) == (409, "conversation_busy")
    await in_database(Generation.objects.update, state=State.COMPLETED)


async def test_there_is_nothing_at_an_unknown_id(rest: Rest) -> None:
    for address in ("turns/{}/", "generations/{}/", "generations/{}/feedback/"):
        assert (await rest.get(address.format(uuid.uuid4()))).json()["code"] == "not_found"
