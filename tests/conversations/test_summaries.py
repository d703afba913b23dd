"""Summaries: held and charged like any call, and never in the way of anything."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db.models.signals import post_save
from django.test import AsyncClient
from django.utils import timezone
from pytest_django import Settings

from billing.books import check_books
from billing.budgets import set_budget
from billing.models import Bucket, Hold, LedgerEntry
from conversations import summary_runs
from conversations.admission.pace import Call
from conversations.broadcast import conversation_topic, listen, unlisten
from conversations.database import in_database
from conversations.lenses import read_lens
from conversations.models import Conversation, Generation, Summary, Turn
from conversations.runtime import get_runtime, shut_down
from conversations.summaries import SummaryClaim, claim_summary, start_summary
from conversations.sweeper import sweep_once
from llm.profiles import get_profile
from tests.conversations.branches_made import long_talk
from tests.conversations.providers import KEY, add_models
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)

Summarise = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def talk(conversation: Conversation, alice: User) -> list[Turn]:
    limits(alice, 100_000)
    return long_talk(conversation, 12)


@pytest.fixture
def ends(conversation: Conversation) -> Iterator[asyncio.Queue[dict[str, Any]]]:
    """The ends of the conversation's summaries, as every tab hears them."""
    found: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def hear(event: dict[str, Any]) -> None:
        if event.get("change") == "summary" and event["summary"]["state"] in (
            "completed",
            "stopped",
            "failed",
        ):
            found.put_nowait(event["summary"])

    topic = conversation_topic(conversation.pk)
    listen(topic, hear)
    yield found
    unlisten(topic, hear)


@pytest.fixture
def summarise(conversation: Conversation, rest: Rest, ends: asyncio.Queue[dict[str, Any]]) -> Summarise:
    """Ask for a summary and wait for its end."""

    async def ask(model: str = "demo:0-30-0", **fields: Any) -> dict[str, Any]:
        response = await rest.post(f"conversations/{conversation.pk}/summary/", {"model": model, **fields})
        assert response.status_code == 202, response.content
        # The end of the one before may be told twice, when it ends while it is still being told of.
        while (end := await asyncio.wait_for(ends.get(), 10))["id"] != response.json()["id"]:
            pass
        return end

    return ask


def limits(user: User, tokens: int) -> None:
    set_budget(scope="user", scope_id=user.pk, unit="tokens", limit_units=tokens, period="day")


def lens(conversation: Conversation) -> dict[str, Any]:
    return read_lens(user_id=conversation.owner_id, conversation_id=conversation.pk)


def held() -> int:
    return sum(Bucket.objects.values_list("held", flat=True))


def start(conversation: Conversation, model: str = "demo:0-30-0") -> SummaryClaim:
    claim = start_summary(
        user_id=conversation.owner_id,
        conversation_id=conversation.pk,
        summary_id=uuid.uuid4(),
        model=model,
    )
    assert claim is not None
    return claim


async def test_it_condenses_the_older_messages_and_charges_the_person(
    conversation: Conversation, talk: list[Turn], summarise: Summarise, rest: Rest
) -> None:
    before = await in_database(lens, conversation)
    end = await summarise()
    after = await in_database(lens, conversation)
    assert (end["state"], end["turns"], end["receipt"]["output_tokens"]) == ("completed", 8, 30)
    statuses = [one["status"] for one in after["messages"]]
    assert statuses == ["summarised"] * 16 + ["in"] * 8
    assert after["summary"]["id"] == end["id"]
    assert after["input_tokens"] < before["input_tokens"] - 200
    assert after["input_tokens"] <= before["saving"]["after_tokens"] < before["saving"]["before_tokens"]
    entry = await in_database(LedgerEntry.objects.get)
    assert (entry.purpose, entry.bearer, entry.output_visible_tokens) == ("summary", "user", 30)
    assert entry.usage_raw is not None
    assert await in_database(held) == 0
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []
    # The next question is sent with it, and its receipt says so.
    path = f"conversations/{conversation.pk}/messages/"
    answer = (await rest.post(path, {"text": "And then?", "model": "demo:0-5-0"})).json()
    assert answer["receipt"]["breakdown"]["summary"] == after["breakdown"]["summary"] > 30
    assert answer["receipt"]["input_tokens"] < before["input_tokens"]


async def test_it_builds_the_next_summary_on_the_last(
    conversation: Conversation, talk: list[Turn], summarise: Summarise
) -> None:
    await summarise("demo:friendly")
    await in_database(long_talk, conversation, 8)
    end = await summarise("demo:friendly")
    assert end["turns"] == 16
    assert "question 0" in end["text"]


@pytest.mark.parametrize(
    ("model", "code", "entries"),
    [
        ("demo:0-30-0!500", "provider_error", 0),
        ("demo:0-30-0!429", "rate_limited", 0),
        ("demo:0-300-0!die@5", "connection_failed", 1),
        ("demo:0-30-0!block", "content_blocked", 1),
    ],
)
async def test_it_loses_nothing_when_it_fails(
    conversation: Conversation,
    talk: list[Turn],
    summarise: Summarise,
    model: str,
    code: str,
    entries: int,
    settings: Settings,
) -> None:
    settings.MAX_RETRIES = 0
    before = await in_database(lens, conversation)
    end = await summarise(model)
    assert (end["state"], end["error"]["code"], end["text"]) == ("failed", code, "")
    after = await in_database(lens, conversation)
    assert after["messages"] == before["messages"]
    assert (after["summary"], after["running"]) == (None, None)
    borne = await in_database(lambda: list(LedgerEntry.objects.values_list("bearer", flat=True)))
    assert borne == ["house"] * entries
    assert await in_database(held) == 0
    assert (await summarise())["state"] == "completed"


async def test_it_gives_up_on_a_model_that_says_nothing(
    talk: list[Turn], summarise: Summarise, settings: Settings
) -> None:
    settings.FIRST_TOKEN_TIMEOUT_SECONDS = settings.STALL_TIMEOUT_SECONDS = 0.2
    settings.MAX_RETRIES = 0
    assert (await summarise("demo:0-30-0!stall"))["error"]["code"] == "first_token_timeout"
    assert (await summarise("demo:0-300-0!stall@5"))["error"]["code"] == "stalled"
    assert await in_database(held) == 0


async def test_it_does_not_queue_where_the_provider_has_no_room(
    conversation: Conversation,
    talk: list[Turn],
    rest: Rest,
    ends: asyncio.Queue[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    await in_database(add_models, "http://127.0.0.1:9/v1", "0-5-0", requests_per_minute=1)
    gate = get_runtime().gate
    profile = await in_database(get_profile, "openai:0-5-0")
    for _ in range(3):
        await gate.admit(Call(uuid.uuid4(), profile, 10, 10, timezone.now()))
    await rest.post(f"conversations/{conversation.pk}/summary/", {"model": "openai:0-5-0"})
    end = await asyncio.wait_for(ends.get(), 10)
    assert (end["state"], end["error"]["code"]) == ("failed", "rate_limited")
    # Nothing was sent: nobody pays.
    assert not await in_database(LedgerEntry.objects.exists)
    assert await in_database(held) == 0


async def test_it_estimates_what_was_not_reported(talk: list[Turn], summarise: Summarise) -> None:
    end = await summarise("demo:0-30-0!nousage")
    assert (end["receipt"]["estimated"], end["receipt"]["output_tokens"]) == (True, 30)


async def test_it_makes_one_at_a_time_and_takes_an_id_once(
    conversation: Conversation,
    talk: list[Turn],
    rest: Rest,
    ends: asyncio.Queue[dict[str, Any]],
) -> None:
    path = f"conversations/{conversation.pk}/summary/"
    order = {"model": "demo:2000-20-10", "summary_id": str(uuid.uuid4())}
    assert (await rest.post(path, order)).status_code == 202
    assert (await rest.post(path, order)).json()["id"] == order["summary_id"]
    other = await rest.post(path, {"model": "demo:0-5-0"})
    assert (other.status_code, other.json()["code"]) == (409, "summary_busy")
    assert (await rest.delete(path)).status_code == 409
    assert (await asyncio.wait_for(ends.get(), 10))["state"] == "completed"
    assert (await rest.post(path, order)).json()["state"] == "completed"
    assert await in_database(Hold.objects.count) == 1


@pytest.mark.parametrize("door", ["api", "page"])
async def test_it_is_made_although_the_client_left_while_it_was_started(
    conversation: Conversation,
    talk: list[Turn],
    rest: Rest,
    alice: User,
    ends: asyncio.Queue[dict[str, Any]],
    door: str,
) -> None:
    stored, left = threading.Event(), threading.Event()

    def hold_up(**_: object) -> None:
        stored.set()
        assert left.wait(10)

    await in_database(Conversation.objects.update, model="demo:0-30-0")
    browser = AsyncClient()
    await sync_to_async(browser.force_login)(alice)
    post_save.connect(hold_up, sender=Summary)
    try:
        asking = asyncio.create_task(
            rest.post(f"conversations/{conversation.pk}/summary/", {})
            if door == "api"
            else browser.post(f"/c/{conversation.pk}/context/", {"do": "summarise"})
        )
        assert await asyncio.to_thread(stored.wait, 10)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(asking, 10)
    finally:
        left.set()
        post_save.disconnect(hold_up, sender=Summary)
    assert asking.cancelled()
    end = await asyncio.wait_for(ends.get(), 10)
    assert end["state"] == "completed"
    assert await in_database(held) == 0


async def test_it_does_not_keep_a_question_waiting(
    conversation: Conversation, talk: list[Turn], rest: Rest, ends: asyncio.Queue[dict[str, Any]]
) -> None:
    await rest.post(f"conversations/{conversation.pk}/summary/", {"model": "demo:60000-20-0"})
    answer = await rest.post(
        f"conversations/{conversation.pk}/messages/", {"text": "Now", "model": "demo:0-5-0"}
    )
    assert answer.json()["state"] == "completed"
    # The end of the process ends it too, and the house bears what it may have cost.
    await shut_down(seconds=0)
    assert (await asyncio.wait_for(ends.get(), 10))["error"]["code"] == "server_stopped"
    assert await in_database(held) == 0


async def test_it_refuses_what_the_budget_or_the_conversation_does_not_give(
    conversation: Conversation, alice: User, rest: Rest, outsider: Rest
) -> None:
    path = f"conversations/{conversation.pk}/summary/"
    nothing = await rest.post(path, {})
    assert (nothing.status_code, nothing.json()["code"]) == (422, "nothing_to_summarise")
    await in_database(long_talk, conversation, 12)
    await in_database(limits, alice, 100)
    refused = await rest.post(path, {})
    assert (refused.status_code, refused.json()["code"]) == (429, "budget_exceeded")
    assert [option["action"] for option in refused.json()["options"]] == ["wait"]
    assert not await in_database(Summary.objects.exists)
    for answer in (
        await outsider.post(path, {}),
        await outsider.delete(path),
        await outsider.get(f"conversations/{conversation.pk}/context/"),
        await outsider.patch(f"conversations/{conversation.pk}/context/", {"policy": "auto"}),
    ):
        assert answer.status_code == 404


async def test_it_sends_in_full_again_when_it_is_dropped(
    conversation: Conversation, talk: list[Turn], summarise: Summarise, rest: Rest
) -> None:
    before = await in_database(lens, conversation)
    await summarise()
    assert (await rest.delete(f"conversations/{conversation.pk}/summary/")).status_code == 204
    after = await in_database(lens, conversation)
    assert after["messages"] == before["messages"]
    assert await in_database(LedgerEntry.objects.count) == 1


async def test_it_covers_no_answer_that_is_being_written(
    conversation: Conversation, summarise: Summarise
) -> None:
    talk = await in_database(long_talk, conversation, 2, words=300)
    await in_database(
        Generation.objects.filter(turn=talk[-1]).update, state="streaming", owner="elsewhere", epoch=1
    )
    assert (await summarise())["turns"] == 1


@pytest.mark.parametrize("claimed", [False, True])
def test_the_sweeper_closes_what_a_dead_process_left(
    conversation: Conversation, talk: list[Turn], claimed: bool
) -> None:
    claim = start(conversation)
    if claimed:
        assert claim_summary(claim)
    assert held() > 0
    assert sweep_once().summaries == 0
    past = timezone.now() - timedelta(seconds=1)
    Summary.objects.update(lease_expires_at=past)
    assert sweep_once().summaries == 1
    summary = Summary.objects.get()
    assert (summary.state, summary.error_code) == ("failed", "server_lost")
    assert held() == 0
    assert list(LedgerEntry.objects.values_list("bearer", flat=True)) == (["house"] if claimed else [])
    assert not claim_summary(claim)
    # It is not in the way of another one.
    assert start(conversation)


def test_the_sweeper_agrees_with_the_ledgers_own_sweep(conversation: Conversation, talk: list[Turn]) -> None:
    assert claim_summary(start(conversation))
    past = timezone.now() - timedelta(seconds=1)
    Summary.objects.update(lease_expires_at=past)
    Hold.objects.update(lease_expires_at=past)
    sweep_once()
    assert held() == 0
    assert LedgerEntry.objects.count() == 1


@pytest.mark.parametrize("door", ["api", "elsewhere"])
async def test_it_is_stopped_and_paid_when_the_conversation_is_deleted(
    conversation: Conversation,
    talk: list[Turn],
    rest: Rest,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    door: str,
) -> None:
    # Where nobody tells its process, the heartbeat finds out.
    settings.LEASE_SECONDS = 600.0
    monkeypatch.setattr(summary_runs, "STOP_HEARD_SECONDS", 0.1 if door == "elsewhere" else 600.0)
    await rest.post(f"conversations/{conversation.pk}/summary/", {"model": "demo:0-900-1000"})
    runs = get_runtime().summaries
    async with asyncio.timeout(10):
        while not any(run.received.pieces for run in runs.values()):
            await asyncio.sleep(0.01)
    if door == "api":
        assert (await rest.delete(f"conversations/{conversation.pk}/")).status_code == 204
    else:
        await in_database(Conversation.objects.filter(pk=conversation.pk).delete)
    assert not await in_database(Summary.objects.exists)
    async with asyncio.timeout(10):
        while runs:
            await asyncio.sleep(0.01)
    entry = await in_database(LedgerEntry.objects.get)
    assert (entry.purpose, entry.bearer) == ("summary", "user")
    assert 0 < entry.output_visible_tokens < 900
    assert await in_database(held) == 0
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []


async def test_one_that_waits_holds_nothing_when_the_conversation_is_deleted(
    conversation: Conversation, talk: list[Turn], rest: Rest
) -> None:
    await rest.post(f"conversations/{conversation.pk}/summary/", {"model": "demo:0-30-0!429@30"})
    waiting = Summary.objects.filter(state="waiting")
    async with asyncio.timeout(10):
        while not await in_database(waiting.exists):
            await asyncio.sleep(0.01)
    assert await in_database(held) > 0
    assert (await rest.delete(f"conversations/{conversation.pk}/")).status_code == 204
    assert await in_database(held) == 0
    async with asyncio.timeout(10):
        while get_runtime().summaries:
            await asyncio.sleep(0.01)
    assert not await in_database(LedgerEntry.objects.exists)
