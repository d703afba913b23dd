"""The history of a conversation over REST, and clearing it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from billing.models import LedgerEntry
from billing.prices import TierPrice, set_price
from conversations.database import in_database
from conversations.models import Conversation, Generation, State, Turn
from conversations.runtime import get_runtime
from tests.conversations.rest import Rest, count_queries

pytestmark = pytest.mark.django_db(transaction=True)


def messages(conversation: Conversation) -> str:
    return f"conversations/{conversation.pk}/messages/"


def fill(conversation: Conversation, turns: int) -> list[Turn]:
    """Answered turns, as the engine would have left them."""
    made: list[Turn] = []
    for number in range(turns):
        turn = Turn.objects.create(
            conversation=conversation,
            turn_id=uuid.uuid4(),
            parent=made[-1] if made else None,
            depth=number,
            text=f"Question {number}",
        )
        turn.chosen = Generation.objects.create(
            conversation=conversation,
            turn=turn,
            model="demo:0-1-0",
            wanted_output_tokens=1,
            state=State.COMPLETED,
            text=f"Answer {number}",
            html=f"<p>Answer {number}</p>",
            seq=1,
            finished_at=timezone.now(),
        )
        turn.save()
        made.append(turn)
    conversation.head_turn = made[-1]
    conversation.save()
    return made


async def test_it_lists_questions_and_answers_oldest_first(conversation: Conversation, rest: Rest) -> None:
    answers = [
        (await rest.post(messages(conversation), {"text": text, "model": "demo:0-3-0"})).json()
        for text in ("One", "Two")
    ]

    history = (await rest.get(messages(conversation))).json()

    assert [message["role"] for message in history["results"]] == ["user", "assistant"] * 2
    assert [message["text"] for message in history["results"][::2]] == ["One", "Two"]
    assert history["results"][1::2] == answers
    assert history["next"] is None
    question = history["results"][0]
    assert question["turn_id"] == answers[0]["turn_id"]
    assert question["generation_id"] is question["receipt"] is question["state"] is None


async def test_it_pages_back_to_the_beginning(conversation: Conversation, rest: Rest) -> None:
    await in_database(fill, conversation, 7)

    pages: list[list[str]] = []
    path: str | None = messages(conversation) + "?limit=3"
    while path is not None:
        page = (await rest.get(path)).json()
        pages.append([message["text"] for message in page["results"] if message["role"] == "user"])
        path = page["next"] and page["next"].removeprefix("http://testserver")

    numbers = [[int(text.split()[1]) for text in page] for page in pages]
    assert numbers == [[4, 5, 6], [1, 2, 3], [0]]


async def test_it_bounds_a_page(conversation: Conversation, rest: Rest) -> None:
    await in_database(fill, conversation, 105)
    page = (await rest.get(messages(conversation), limit=10**9)).json()
    assert len(page["results"]) == 200
    assert page["next"] is not None


async def test_it_reads_a_long_page_with_the_queries_of_a_short_one(
    conversation: Conversation, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_database(lambda: set_price(model="demo:0-1-0", tiers=[TierPrice(100_000, 400_000)]))
    for text in ("One", "Two", "Three"):
        await rest.post(messages(conversation), {"text": text, "model": "demo:0-1-0"})

    short = await count_queries(rest, messages(conversation) + "?limit=1", monkeypatch)
    long = await count_queries(rest, messages(conversation) + "?limit=3", monkeypatch)

    assert short == long <= 6
    receipts = [m["receipt"] for m in (await rest.get(messages(conversation))).json()["results"][1::2]]
    assert {receipt["rates"]["output"] for receipt in receipts} == {"0.4"}
    assert all(float(receipt["cost_usd"]) > 0 for receipt in receipts)


async def test_it_gives_html_only_when_asked(conversation: Conversation, rest: Rest) -> None:
    await in_database(fill, conversation, 1)
    plain = (await rest.get(messages(conversation))).json()["results"]
    rich = (await rest.get(messages(conversation), html="true")).json()["results"]
    assert [message["html"] for message in plain] == [None, None]
    assert [message["html"] for message in rich] == [None, "<p>Answer 0</p>"]


async def test_it_shows_the_branch_of_the_head_alone(conversation: Conversation, rest: Rest) -> None:
    turns = await in_database(fill, conversation, 3)

    def branch() -> None:
        other = Turn.objects.create(
            conversation=conversation, turn_id=uuid.uuid4(), parent=turns[0], depth=1, text="Other"
        )
        conversation.head_turn = other
        conversation.save()

    await in_database(branch)
    texts = [message["text"] for message in (await rest.get(messages(conversation))).json()["results"]]
    assert texts == ["Question 0", "Answer 0", "Other"]


async def test_it_is_empty_before_the_first_question(conversation: Conversation, rest: Rest) -> None:
    assert (await rest.get(messages(conversation))).json() == {"results": [], "next": None}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": "0"}, 400),
        ({"limit": "many"}, 400),
        ({"before": "yesterday"}, 400),
        ({"html": "perhaps"}, 400),
        ({"before": str(uuid.uuid4())}, 404),
    ],
)
async def test_it_refuses_a_page_that_is_none(
    conversation: Conversation, rest: Rest, query: dict[str, Any], status: int
) -> None:
    assert (await rest.get(messages(conversation), **query)).status_code == status


async def test_it_clears_the_history_and_keeps_the_books(conversation: Conversation, rest: Rest) -> None:
    await rest.post(messages(conversation), {"text": "Hello", "model": "demo:0-3-0"})

    assert (await rest.delete(messages(conversation))).status_code == 204

    assert (await rest.get(messages(conversation))).json()["results"] == []
    assert not await in_database(Generation.objects.exists)
    assert await in_database(LedgerEntry.objects.count) == 1
    again = await rest.post(messages(conversation), {"text": "Hello", "model": "demo:0-3-0"})
    assert again.status_code == 200


async def test_it_clears_nothing_while_an_answer_is_written(conversation: Conversation, rest: Rest) -> None:
    body = {"text": "Hello", "model": "demo:0-60-10"}
    send = asyncio.ensure_future(rest.post(messages(conversation), body))
    async with asyncio.timeout(10):
        while not get_runtime().attempts:
            await asyncio.sleep(0.005)

    refused = await rest.delete(messages(conversation))

    assert (refused.status_code, refused.json()["code"]) == (409, "conversation_busy")
    assert (await send).json()["seq"] == 60


async def test_it_clears_only_what_is_ones_own(
    conversation: Conversation, rest: Rest, outsider: Rest, charlie: User
) -> None:
    await in_database(fill, conversation, 1)
    assert (await outsider.delete(messages(conversation))).status_code == 404
    assert len((await rest.get(messages(conversation))).json()["results"]) == 2
