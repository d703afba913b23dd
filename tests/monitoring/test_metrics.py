"""The metrics: exactly what happened, whichever process is asked, and only for operators."""

from __future__ import annotations

import threading
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connections
from django.test import AsyncClient, RequestFactory
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from billing.models import Bucket
from billing.rollups import fold_pending
from conversations.call_hours import roll_up_calls
from conversations.models import CallHour, Conversation
from conversations.queueing import Order
from conversations.turns import start_turn
from monitoring import http_counts
from monitoring.exposition import answer_metrics, may_see_metrics
from monitoring.http_counts import BOUNDS_SECONDS, RequestCounts
from monitoring.metrics import SiteCollector
from monitoring.models import BooksCheck, Incident
from tests.billing import play
from tests.monitoring.conftest import MakeCalls

pytestmark = pytest.mark.django_db

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(autouse=True)
def nothing_counted_before(redis_url: str) -> None:
    cache.clear()
    http_counts.COUNTS = RequestCounts()


def read(collector: SiteCollector | None = None) -> Samples:
    """All samples of a fresh process, or of the one whose collector is given."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector or SiteCollector())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_calls_and_their_latencies(calls: MakeCalls, now: datetime) -> None:
    calls(3, first_token_ms=80, duration_ms=900, deltas=9)
    calls(1, first_token_ms=4000, duration_ms=9000)
    calls(2, code="rate_limited", outcome="waiting")
    roll_up_calls(now=now)
    samples = read()
    good = {"provider": "openai", "model": "openai:one"}
    assert value(samples, "chatsite_calls_total", **good, purpose="answer", outcome="completed", code="") == 4
    assert value(samples, "chatsite_provider_errors_total", **good) == 2
    assert value(samples, "chatsite_first_token_seconds_bucket", **good, le="0.1") == 3
    assert value(samples, "chatsite_first_token_seconds_bucket", **good, le="5.0") == 4
    assert value(samples, "chatsite_first_token_seconds_count", **good) == 4
    assert value(samples, "chatsite_first_token_seconds_sum", **good) == pytest.approx(4.24)
    assert value(samples, "chatsite_token_interval_seconds_count", **good) == 3


@pytest.mark.parametrize("minute", [0, 5, 30, 59])
def test_totals_never_fall_and_agree_between_old_and_new_processes(
    calls: MakeCalls, now: datetime, minute: int
) -> None:
    """A process that has run for a day tells the same as one that has just started."""
    now = now.replace(minute=minute)
    old, last = SiteCollector(), 0.0
    name = "chatsite_calls_total"
    start = now - timedelta(hours=30)
    for hour in range(0, 30, 3):
        at = start + timedelta(hours=hour)
        calls(hour + 1, at=at)
        roll_up_calls(now=at)
        if hour == 15:
            calls(5, at=at - timedelta(minutes=2))  # committed late, rolled up by the next run
        total = sum(count for (found, _), count in read(old).items() if found == name)
        assert total >= last
        last = total
    roll_up_calls(now=now)
    assert read(old) == read()
    assert sum(row.calls for row in CallHour.objects.all()) == sum(range(1, 31, 3)) + 5


def test_answers_under_way_and_their_holds(alice: User) -> None:
    conversation = Conversation.objects.create(owner=alice)
    order = Order("Hello", "demo:0-5-0")
    start_turn(user_id=alice.pk, conversation_id=conversation.pk, turn_id=uuid.uuid4(), order=order)
    samples = read()
    assert value(samples, "chatsite_generations", state="queued") == 1
    assert value(samples, "chatsite_generations", state="streaming") == 0
    assert value(samples, "chatsite_holds", state="open") == 1
    assert value(samples, "chatsite_conversation_turns_bucket", le="1.0") == 1
    assert value(samples, "chatsite_conversation_seconds_gcount") == 1


def test_the_ledger(now: datetime) -> None:
    play.price()
    play.budget(100_000, now=now)
    play.budget(10_000, scope="everyone", period="month", now=now)
    play.spend(tokens=500, now=now)
    fold_pending()
    Bucket.objects.filter(budget__scope_kind="user").update(suspended_at=now)
    BooksCheck.objects.create(checked_at=now, seconds=1, failed={"I7": ["1"]})
    samples = read()
    assert value(samples, "chatsite_ledger_drift") == Bucket.objects.filter(suspended_at=now).count()
    assert value(samples, "chatsite_books_failed") == 1
    # 100 input tokens at $0.10 and 400 output tokens at $0.40 per million.
    cost = value(samples, "chatsite_cost_usd", model=play.MODEL, bearer="user")
    assert cost == pytest.approx(0.00017)
    tokens = value(samples, "chatsite_tokens", model=play.MODEL, bearer="user", kind="output_visible")
    assert tokens == 400
    used = value(samples, "chatsite_site_budget_used_ratio", model="", unit="tokens", period="month")
    assert used == 0.05


def test_incidents_and_pulses(now: datetime) -> None:
    Incident.objects.create(rule="silence", subject="x", title="x", opened_at=now, seen_at=now)
    samples = read()
    assert value(samples, "chatsite_incidents_open", rule="silence") == 1
    assert abs(value(samples, "chatsite_pulse_timestamp_seconds", part="worker") - now.timestamp()) < 60


def test_requests_of_several_processes_are_one_sum() -> None:
    mine, other = http_counts.COUNTS, RequestCounts()
    mine.note("GET", "/c/1/", 200, 0.02)
    other.note("GET", "/c/2/", 200, 7.0)
    other.note("BREW", "/api/v1/models/", 405, 0.001)
    other.flush()
    samples = read()
    assert value(samples, "chatsite_http_requests_total", method="GET", area="page", status="200") == 2
    assert value(samples, "chatsite_http_requests_total", method="other", area="api", status="405") == 1
    assert value(samples, "chatsite_http_request_seconds_bucket", area="page", le="0.025") == 1
    assert value(samples, "chatsite_http_request_seconds_bucket", area="page", le="10.0") == 2
    assert value(samples, "chatsite_http_request_seconds_sum", area="page") == pytest.approx(7.02)
    assert read() == samples  # asking changes nothing, and nothing is added twice


def test_counts_outlast_a_valkey_that_is_away(settings: Settings) -> None:
    counts, there = RequestCounts(), settings.REDIS_URL
    counts.note("GET", "/", 200, BOUNDS_SECONDS[0])
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    with pytest.raises(Exception, match="connect"):
        counts.flush()
    samples = read()
    assert value(samples, "chatsite_metrics_missing", part="requests") == 1
    assert value(samples, "chatsite_metrics_missing", part="calls") == 0
    settings.REDIS_URL = there
    counts.flush()
    assert value(read(), "chatsite_http_requests_total", method="GET", area="page", status="200") == 1


@pytest.mark.django_db(transaction=True)
async def test_every_request_is_counted(async_client: AsyncClient) -> None:
    await async_client.get("/accounts/login/")
    await async_client.get("/nowhere/at/all/")
    await async_client.get("/healthz")  # a balancer's, not a person's
    assert http_counts.COUNTS._counts["n|GET|page|404"] == 1
    assert sum(n for name, n in http_counts.COUNTS._counts.items() if name.startswith("n|")) == 2


def ask(**meta: Any) -> Any:
    return RequestFactory().get(
        "/metrics", **{"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000", **meta}
    )


@pytest.mark.parametrize(
    ("meta", "allowed"),
    [
        ({}, True),
        ({"HTTP_HOST": "127.0.0.1"}, True),
        ({"HTTP_HOST": "[::1]:8000", "REMOTE_ADDR": "::1"}, True),
        ({"HTTP_HOST": "chat.example.org"}, False),
        ({"REMOTE_ADDR": "10.0.0.7"}, False),
        ({"REMOTE_ADDR": ""}, False),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        ({"HTTP_FORWARDED": "for=127.0.0.1"}, False),
    ],
)
def test_without_a_token_only_this_machine_may_ask(meta: dict[str, str], allowed: bool) -> None:
    assert may_see_metrics(ask(**meta)) is allowed


def test_with_a_token_nothing_else_counts(settings: Settings) -> None:
    settings.METRICS_TOKEN = "s3cret"
    assert may_see_metrics(ask(HTTP_AUTHORIZATION="Bearer s3cret", REMOTE_ADDR="10.0.0.7"))
    assert not may_see_metrics(ask())
    assert not may_see_metrics(ask(HTTP_AUTHORIZATION="Bearer s3cre"))
    assert not may_see_metrics(ask(HTTP_AUTHORIZATION="Bearer é"))


@pytest.mark.django_db(transaction=True)
async def test_the_door_answers_in_prometheus_text(async_client: AsyncClient, settings: Settings) -> None:
    settings.METRICS_TOKEN = "s3cret"
    refused = await async_client.get("/metrics")
    assert (refused.status_code, b"chatsite_" in refused.content) == (401, False)
    given = await async_client.get("/metrics", headers={"Authorization": "Bearer s3cret"})
    assert given.status_code == 200
    assert given["Content-Type"].startswith("text/plain")
    families = {family.name for family in text_string_to_metric_families(given.content.decode())}
    assert {"chatsite_generations", "chatsite_calls", "chatsite_queue_length"} <= families


@pytest.mark.django_db(transaction=True)
def test_scrapes_at_the_same_time_agree(calls: MakeCalls, now: datetime) -> None:
    calls(7)
    roll_up_calls(now=now)
    collector, found = SiteCollector(), []

    def scrape() -> None:
        try:
            total = sum(n for (name, _), n in read(collector).items() if name == "chatsite_calls_total")
            found.append(total)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=scrape) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [7.0] * 4
    assert timezone.now() >= now
    assert answer_metrics(ask(REMOTE_ADDR="10.0.0.7")).status_code == 403
