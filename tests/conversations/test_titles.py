from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client

from billing.budgets import set_budget
from billing.models import Bearer, Hold, LedgerEntry
from conversations.launch import launch
from conversations.models import CallRecord, Conversation, Preferences
from conversations.queueing import Order
from conversations.runtime import Runtime, get_runtime, shut_down
from conversations.side_call_runs import Received, receive
from conversations.titles import TitleClaim, clean_title
from conversations.turns import start_turn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest_asyncio.fixture
async def runtime(settings: Any) -> AsyncIterator[Runtime]:
    settings.TITLES = True
    yield get_runtime()
    await shut_down(seconds=5)


async def ask(
    runtime: Runtime, user: User, chat: Conversation, text: str, model: str = "demo:10-8-2"
) -> None:
    """Up to the end of everything that the question has set off."""
    started = await sync_to_async(start_turn)(
        user_id=user.pk,
        conversation_id=chat.pk,
        turn_id=uuid.uuid4(),
        order=Order(text, model, confirmed=True),
    )
    before = set(runtime._chores)
    launch(runtime, started)
    for run in tuple(runtime._runs):
        await run
    for chore in set(runtime._chores) - before:
        await chore
    await chat.arefresh_from_db()


async def titles_paid() -> list[LedgerEntry]:
    return [entry async for entry in LedgerEntry.objects.filter(purpose="title")]


async def test_a_model_names_the_conversation_after_its_first_answer(runtime: Runtime, alice: User) -> None:
    chat = await Conversation.objects.acreate(owner=alice)
    await ask(runtime, alice, chat, "Why is the river so quiet in the morning?")
    assert (chat.title, chat.title_source) == ("Why is the river so quiet", "generated")
    assert chat.revision == 1
    [entry] = await titles_paid()
    assert entry.bearer == Bearer.USER
    assert not entry.estimated
    assert not await Hold.objects.filter(state__in=("open", "dispatched")).aexists()
    assert await CallRecord.objects.filter(purpose="title", outcome="completed").acount() == 1
    await ask(runtime, alice, chat, "And in the evening?")
    assert len(await titles_paid()) == 1


async def test_a_title_of_a_person_is_left_alone(runtime: Runtime, alice: User) -> None:
    chat = await Conversation.objects.acreate(owner=alice, title="Mine", title_source="person")
    await ask(runtime, alice, chat, "Why is the river quiet?")
    assert chat.title == "Mine"
    assert await titles_paid() == []


async def test_one_given_while_the_model_thinks_is_left_alone(
    runtime: Runtime, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rename_first(claim: TitleClaim, received: Received, *, overall_seconds: float) -> object:
        await Conversation.objects.aupdate(title="Mine", title_source="person")
        return await receive(claim, received, overall_seconds=overall_seconds)

    monkeypatch.setattr("conversations.title_runs.receive", rename_first)
    chat = await Conversation.objects.acreate(owner=alice)
    await ask(runtime, alice, chat, "Why is the river quiet?")
    assert chat.title == "Mine"
    assert len(await titles_paid()) == 1


async def test_nobody_gets_one_who_does_not_want_it(runtime: Runtime, alice: User, settings: Any) -> None:
    await Preferences.objects.acreate(user=alice, makes_titles=False)
    chat = await Conversation.objects.acreate(owner=alice)
    await ask(runtime, alice, chat, "Why is the river quiet?")
    assert chat.title == "Why is the river quiet?"
    await Preferences.objects.aupdate(makes_titles=True)
    settings.TITLES = False
    other = await Conversation.objects.acreate(owner=alice)
    await ask(runtime, alice, other, "Why is the river quiet?")
    temporary = await Conversation.objects.acreate(owner=alice, temporary=True)
    settings.TITLES = True
    await ask(runtime, alice, temporary, "Why is the river quiet?")
    assert await titles_paid() == []


async def test_it_is_skipped_where_the_budget_or_the_model_does_not_allow_it(
    runtime: Runtime, alice: User, settings: Any
) -> None:
    settings.TITLE_MODEL = "demo:10-8-2!500"
    chat = await Conversation.objects.acreate(owner=alice)
    await ask(runtime, alice, chat, "Why is the river quiet?")
    assert (chat.title, chat.title_source) == ("Why is the river quiet?", "first_words")
    assert await titles_paid() == []
    settings.TITLE_MODEL = "demo:unheard-of"
    other = await Conversation.objects.acreate(owner=alice)
    await ask(runtime, alice, other, "Why is the river quiet?")
    assert other.title_source == "first_words"
    settings.TITLE_MODEL = "demo:friendly"
    await sync_to_async(set_budget)(
        scope="user", scope_id=alice.pk, unit="tokens", limit_units=20, period="day", model="demo:friendly"
    )
    third = await Conversation.objects.acreate(owner=alice)
    await ask(runtime, alice, third, "Why is the river quiet?")
    assert third.title_source == "first_words"
    assert await titles_paid() == []


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("River trips in spring", "River trips in spring"),
        ('Title: **"River trips"**.', "River trips"),
        ("  # Flüsse im Frühling\n", "Flüsse im Frühling"),
        ("", ""),
        ("One line\nand another", ""),
        ("x" * 81, ""),
        ("...", ""),
    ],
)
def test_only_a_title_is_a_title(said: str, title: str) -> None:
    assert clean_title(said) == title


def test_the_page_switches_it_off(alice: User, client: Client, settings: Any) -> None:
    client.force_login(alice)
    assert b"data-preference" not in client.get("/").content
    settings.TITLES = True
    assert b'data-preference="titles" data-url="/preferences/" checked' in client.get("/").content
    assert client.post("/preferences/", {"titles": "0"}).status_code == 204
    assert b'data-url="/preferences/" checked' not in client.get("/").content
    assert b'data-url="/preferences/"' in client.get("/").content
