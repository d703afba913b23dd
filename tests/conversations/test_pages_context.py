"""The context as a page of its own, without scripts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient

from billing.budgets import set_budget
from conversations.database import in_database
from conversations.models import Conversation, Generation, Preferences, Summary, Turn
from tests.conversations.branches_made import long_talk
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(conversation: Conversation) -> str:
    return f"/c/{conversation.pk}/context/"


@pytest.fixture
async def browser(alice: User, rest: Rest) -> AsyncClient:  # rest ends the runtime
    client = AsyncClient()
    await sync_to_async(client.force_login)(alice)
    return client


def words(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


async def test_it_shows_and_changes_what_goes_with_the_next_question(
    browser: AsyncClient, page: str, conversation: Conversation, alice: User
) -> None:
    talk = await in_database(long_talk, conversation, 2)
    shown = await browser.get(page)
    assert shown.status_code == 200
    assert "Earlier answers ≈ 96" in words(shown)
    assert words(shown).index("question 1") < words(shown).index("question 0")
    fields = {
        f"mark:{talk[0].turn_id}:user": "pinned",
        f"mark:{talk[0].turn_id}:assistant": "excluded",
        f"mark:{talk[1].turn_id}:user": "adored",
        "mark:nobody:user": "pinned",
        "policy": "last_10_messages",
        "as_default": "1",
    }
    changed = await browser.post(page, fields)
    assert (changed.status_code, changed["Location"]) == (302, page)
    marks = await in_database(
        lambda: list(Turn.objects.order_by("depth").values_list("context_mark", flat=True))
    )
    assert marks == ["pinned", ""]
    answers = await in_database(lambda: list(Generation.objects.values_list("context_mark", flat=True)))
    assert sorted(answers) == ["", "excluded"]
    assert (await in_database(Preferences.objects.get)).context_policy == "last_10_messages"
    assert "excluded" in words(await browser.get(page))


async def test_it_summarises_and_takes_it_back(
    browser: AsyncClient, page: str, conversation: Conversation
) -> None:
    await in_database(long_talk, conversation, 12)
    await in_database(Conversation.objects.update, model="demo:0-30-0")
    assert "16 older messages could be summarised" in words(await browser.get(page))
    assert (await browser.post(page, {"do": "summarise"})).status_code == 302
    assert "8 questions with their answers are summarised" in words(await browser.get(page))
    assert (await browser.post(page, {"do": "drop"})).status_code == 302
    assert not await in_database(Summary.objects.exists)


async def test_it_says_why_it_cannot(
    browser: AsyncClient, page: str, conversation: Conversation, alice: User
) -> None:
    nothing = await browser.post(page, {"do": "summarise"})
    assert (nothing.status_code, "too little here" in words(nothing)) == (422, True)
    await in_database(long_talk, conversation, 12)
    await in_database(
        set_budget, scope="user", scope_id=alice.pk, unit="tokens", limit_units=100, period="day"
    )
    refused = await browser.post(page, {"do": "summarise"})
    assert refused.status_code == 429
    assert "budget for today" in words(refused)


async def test_it_is_nobody_elses(page: str, conversation: Conversation, charlie: User) -> None:
    client = AsyncClient()
    assert (await client.get(page)).status_code == 302
    await sync_to_async(client.force_login)(charlie)
    assert (await client.get(page)).status_code == 404
    assert (await client.post(page, {"do": "summarise"})).status_code == 404
