"""Summaries that meet a fault are tried again like answers, and can be stopped at any time."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from billing.books import check_books
from billing.budgets import set_budget
from billing.models import Bucket, Hold, LedgerEntry
from conversations import cancelling, retries, runtime, side_call_runs, summary_runs
from conversations.broadcast import conversation_topic, listen, unlisten
from conversations.database import in_database
from conversations.models import CallRecord, Conversation, Summary
from conversations.runtime import CONTROL_CHANNEL, get_runtime, shut_down
from conversations.side_calls import CallEnd
from conversations.summaries import (
    SummaryClaim,
    SummaryEnded,
    claim_summary,
    end_summary,
    renew_summary,
    start_summary,
)
from conversations.summary_waits import abandon_summary, postpone_summary, stop_summary
from conversations.sweeper import sweep_once
from tests.conversations.branches_made import long_talk
from tests.conversations.failing import Careless
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)

News = asyncio.Queue[dict[str, Any]]


@pytest.fixture
def path(conversation: Conversation, alice: User) -> str:
    set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=100_000, period="day")
    long_talk(conversation, 12)
    return f"conversations/{conversation.pk}/summary/"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without a hint come within a tenth of a second."""
    monkeypatch.setattr(retries, "BASE_SECONDS", 0.05)
    monkeypatch.setattr(retries, "LONGEST_SECONDS", 0.1)


@pytest.fixture
def news(conversation: Conversation) -> Iterator[News]:
    """What every tab hears of the conversation's summaries."""
    found: News = asyncio.Queue()

    def hear(event: dict[str, Any]) -> None:
        if event.get("change") == "summary":
            found.put_nowait(event["summary"])

    topic = conversation_topic(conversation.pk)
    listen(topic, hear)
    yield found
    unlisten(topic, hear)


REFUSED = CallEnd(error_code="rate_limited", charge="nobody")


def claimed(conversation: Conversation) -> SummaryClaim:
    """A summary that is being asked for."""
    claim = start_summary(
        user_id=conversation.owner_id,
        conversation_id=conversation.pk,
        summary_id=uuid.uuid4(),
        model="demo:0-30-0",
    )
    assert claim is not None
    assert claim_summary(claim)
    return claim


async def until(news: News, *states: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (told := await news.get())["state"] not in states:
            pass
        return told


async def assert_nothing_is_open() -> None:
    assert await in_database(lambda: sum(Bucket.objects.values_list("held", flat=True))) == 0
    assert await in_database(Hold.objects.alive().count) == 0
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("fault", "words", "borne"),
    [
        ("!429x2", "Demo 0-30-0 is busy.", []),
        ("!503x2", "Demo 0-30-0 is overloaded.", []),
        ("!500x2", "Demo 0-30-0 had an error.", []),
        ("!die@5x2", "The connection to Demo 0-30-0 was lost.", ["house", "house"]),
        ("!end@5x2", "Demo 0-30-0 had an error.", ["house", "house"]),
    ],
)
async def test_it_is_made_again_after_a_fault_that_passes(
    path: str, news: News, rest: Rest, fault: str, words: str, borne: list[str]
) -> None:
    await rest.post(path, {"model": f"demo:0-30-0{fault}"})
    waiting = await until(news, "waiting")
    assert waiting["error"] is None
    assert waiting["waiting"]["detail"].replace(fault, "") == words
    assert (waiting["waiting"]["attempt"], waiting["waiting"]["max_attempts"]) == (1, 5)
    end = await until(news, "completed", "failed")
    assert (end["state"], end["receipt"]["output_tokens"]) == ("completed", 30)
    # Each attempt has a hold of its own; the person pays the one that came to something.
    holds = await in_database(
        lambda: list(Hold.objects.order_by("created_at").values_list("attempt", "state"))
    )
    failed = "settled" if borne else "released"
    assert holds == [(1, failed), (2, failed), (3, "settled")]
    entries = LedgerEntry.objects.order_by("pk").values_list("bearer", flat=True)
    assert await in_database(lambda: list(entries)) == [*borne, "user"]
    records = CallRecord.objects.order_by("attempt").values_list("outcome", flat=True)
    assert await in_database(lambda: list(records)) == ["waiting", "waiting", "completed"]
    await assert_nothing_is_open()


@pytest.mark.usefixtures("soon")
async def test_it_gives_up_after_as_many_retries_as_an_answer(
    path: str, news: News, rest: Rest, settings: Settings
) -> None:
    settings.MAX_RETRIES = 3
    await rest.post(path, {"model": "demo:0-30-0!500"})
    end = await until(news, "completed", "failed")
    assert (end["state"], end["error"]["code"]) == ("failed", "provider_error")
    assert await in_database(Hold.objects.count) == 4
    await assert_nothing_is_open()


async def test_it_obeys_the_hint_and_its_patience(path: str, news: News, rest: Rest) -> None:
    await rest.post(path, {"model": "demo:0-30-0!429x1@2"})
    waiting = await until(news, "waiting")
    asked = timezone.now()
    end = await until(news, "completed", "failed")
    assert end["state"] == "completed"
    assert timezone.now() - asked >= timedelta(seconds=1.9)
    assert waiting["waiting"]["retry_at"]
    await rest.delete(path)
    await rest.post(path, {"model": "demo:0-30-0!429x1@600"})
    end = await until(news, "waiting", "completed", "failed")
    assert (end["state"], end["error"]["detail"]) == ("failed", "The service is busy. Try again later.")
    await assert_nothing_is_open()


def test_it_fails_where_the_budget_allows_no_other_attempt(
    path: str, conversation: Conversation, alice: User
) -> None:
    claim = claimed(conversation)
    set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=1, period="day")
    assert isinstance(postpone_summary(claim, REFUSED, 1.0), SummaryEnded)
    summary = Summary.objects.get()
    assert (summary.state, summary.error_code) == ("failed", "budget_exceeded")
    assert Hold.objects.alive().count() == 0


def test_it_keeps_no_hold_when_its_process_ends_while_it_is_put_off(
    path: str, conversation: Conversation
) -> None:
    claim = claimed(conversation)
    assert isinstance(postpone_summary(claim, REFUSED, 1.0), SummaryClaim)
    assert end_summary(claim, CallEnd(error_code="server_stopped", charge="nobody"))
    assert Hold.objects.alive().count() == 0
    assert Summary.objects.get().state == "failed"


# --- Stop ---------------------------------------------------------------------------------


async def test_a_stop_while_it_is_written_charges_what_came(path: str, news: News, rest: Rest) -> None:
    await rest.post(path, {"model": "demo:0-900-10"})
    await until(news, "running", "queued")
    async with asyncio.timeout(10):
        while not any(run.received.pieces for run in get_runtime().summaries.values()):
            await asyncio.sleep(0.01)
    answer = await rest.post(f"{path}stop/", {})
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    end = await until(news, "stopped", "completed", "failed")
    assert (end["state"], end["text"], end["error"]) == ("stopped", "", None)
    assert (end["receipt"]["charged"], end["receipt"]["estimated"]) == (True, True)
    assert 0 < end["receipt"]["output_tokens"] < 900
    again = await rest.post(f"{path}stop/", {})
    assert (again.status_code, again.json()["state"]) == (200, "stopped")
    await assert_nothing_is_open()


async def test_a_stop_while_it_waits_costs_nothing(path: str, news: News, rest: Rest) -> None:
    await rest.post(path, {"model": "demo:0-30-0!429@30"})
    await until(news, "waiting")
    answer = await rest.post(f"{path}stop/", {})
    assert (answer.status_code, answer.json()["state"], answer.json()["waiting"]) == (200, "stopped", None)
    assert (await until(news, "stopped"))["receipt"] is None
    async with asyncio.timeout(10):
        while get_runtime().summaries:
            await asyncio.sleep(0.01)
    assert not await in_database(LedgerEntry.objects.exists)
    await assert_nothing_is_open()
    # It is not in the way of another one.
    await rest.post(path, {"model": "demo:0-30-0"})
    assert (await until(news, "completed", "failed"))["state"] == "completed"


async def test_one_that_waits_lets_go_when_its_conversation_is_deleted(
    path: str, news: News, rest: Rest, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary_runs, "STOP_HEARD_SECONDS", 0.05)
    await rest.post(path, {"model": "demo:0-30-0!429@30"})
    await until(news, "waiting")
    # Through any door, in any process: nobody tells the one that waits.
    await in_database(conversation.delete)
    async with asyncio.timeout(10):
        while get_runtime().summaries:
            await asyncio.sleep(0.01)
    assert not await in_database(LedgerEntry.objects.exists)
    await assert_nothing_is_open()


def test_only_one_that_is_wanted_no_more_is_let_go(path: str, conversation: Conversation) -> None:
    following = postpone_summary(claimed(conversation), REFUSED, 30.0)
    assert isinstance(following, SummaryClaim)
    assert not abandon_summary(following)
    assert Hold.objects.alive().count() == 1
    conversation.delete()
    # The attempt that is due finds the same.
    assert not claim_summary(following)
    assert abandon_summary(following)
    assert Hold.objects.alive().count() == 0


async def test_a_stop_reaches_the_process_that_makes_it(
    path: str, news: News, rest: Rest, conversation: Conversation
) -> None:
    await rest.post(path, {"model": "demo:0-900-10"})
    async with asyncio.timeout(10):
        while not any(run.sent for run in get_runtime().summaries.values()):
            await asyncio.sleep(0.01)
    # As another process does it: by the database and the control channel.
    found = await in_database(stop_summary, user_id=conversation.owner_id, conversation_id=conversation.pk)
    assert found is not None
    assert found[1] is None
    await get_runtime()._client.publish(CONTROL_CHANNEL, str(found[0].pk))
    assert (await until(news, "stopped", "completed"))["state"] == "stopped"
    await assert_nothing_is_open()


def test_the_heartbeat_finds_a_stop_whose_message_was_lost(path: str, conversation: Conversation) -> None:
    claim = claimed(conversation)
    assert not renew_summary(claim, 1)
    stop_summary(user_id=conversation.owner_id, conversation_id=conversation.pk)
    assert renew_summary(claim, 1)


async def test_nothing_is_stopped_where_nothing_is_made(path: str, rest: Rest, outsider: Rest) -> None:
    assert (await rest.post(f"{path}stop/", {})).status_code == 204
    assert (await outsider.post(f"{path}stop/", {})).status_code == 404


# --- A client that takes a cancellation for its own -------------------------------------------


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> Careless:
    monkeypatch.setattr(cancelling, "AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(runtime, "CHORES_SECONDS", 0.2)
    model = Careless(deaf=3)
    monkeypatch.setattr(side_call_runs, "get_provider", lambda profile: model)
    return model


@pytest.mark.parametrize("reason", ["stopped", "stalled", "server_stopped"])
async def test_it_ends_what_swallows_the_first_cancellations(
    path: str, news: News, rest: Rest, careless: Careless, settings: Settings, reason: str
) -> None:
    if reason == "stalled":
        settings.MAX_RETRIES, settings.STALL_TIMEOUT_SECONDS = 0, 0.2
    await rest.post(path, {"model": "demo:0-30-0"})
    async with asyncio.timeout(10):
        await careless.is_open.wait()
    if reason == "stopped":
        await rest.post(f"{path}stop/", {})
    elif reason == "server_stopped":
        await shut_down(seconds=0)
    end = await until(news, "stopped", "failed", "completed")
    assert careless.heard == 4
    if reason == "stopped":
        assert (end["state"], end["receipt"]["charged"]) == ("stopped", True)
    else:
        assert (end["state"], end["error"]["code"]) == ("failed", reason)
    async with asyncio.timeout(10):
        while get_runtime().summaries:
            await asyncio.sleep(0.01)
    bearers = await in_database(lambda: list(LedgerEntry.objects.values_list("bearer", flat=True)))
    assert bearers == ["user" if reason == "stopped" else "house"]
    await assert_nothing_is_open()


# --- The end of the process ----------------------------------------------------------------


async def test_one_that_waits_ends_with_its_process(path: str, news: News, rest: Rest) -> None:
    await rest.post(path, {"model": "demo:0-30-0!429@30"})
    await until(news, "waiting")
    await shut_down(seconds=0)
    assert (await until(news, "failed"))["error"]["code"] == "server_stopped"
    await assert_nothing_is_open()


def test_the_sweeper_closes_one_that_waited_in_a_process_that_died(
    path: str, conversation: Conversation
) -> None:
    following = postpone_summary(claimed(conversation), REFUSED, 30.0)
    assert isinstance(following, SummaryClaim)
    assert following.attempt == following.request.attempt == 2
    assert sweep_once().summaries == 0
    Summary.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert sweep_once().summaries == 1
    summary = Summary.objects.get()
    assert (summary.state, summary.error_code) == ("failed", "server_lost")
    assert not LedgerEntry.objects.exists()
    assert not claim_summary(following)
    assert Hold.objects.alive().count() == 0
