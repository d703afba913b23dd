from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from prometheus_client import CollectorRegistry
from pytest_django import Settings

from billing.rollups import fold_pending
from conversations.call_hours import roll_up_calls
from conversations.calls import record_call
from conversations.models import Conversation, Generation, Pulse
from monitoring.http_counts import RequestCounts
from monitoring.metrics import SiteCollector
from monitoring.models import BooksCheck, Incident
from tests.billing import play
from tests.conversations.test_calls import ask

MakeCalls = Callable[..., None]


@pytest.fixture
def now(db: None) -> datetime:
    """The moment of the test, with worker and sweeper at work."""
    for name in ("sweeper", "worker"):
        Pulse.beat(name)
    return timezone.now()


@pytest.fixture
def calls(now: datetime) -> MakeCalls:
    """``calls(20, code="…")`` records so many calls."""

    def record(count: int, *, at: datetime = now, **values: Any) -> None:
        given = {"model": "openai:one", "outcome": "failed" if values.get("code") else "completed"}
        for _ in range(count):
            record_call(generation_id=uuid.uuid4(), attempt=1, now=at, **{**given, **values})

    return record


@pytest.fixture(autouse=True)
def quick_recovery(settings: Settings) -> None:
    settings.ALERT_RECOVERY_SECONDS = 0


@pytest.fixture
def samples(
    calls: MakeCalls, now: datetime, alice: User, redis_url: str, transactional_db: None
) -> dict[str, set[str]]:
    """Names of samples and the labels that they have, of a site on which everything has happened."""
    calls(3, first_token_ms=80, duration_ms=900, deltas=9, asked_at=now)
    calls(1, code="rate_limited", outcome="waiting")
    roll_up_calls(now=now)
    play.price()
    play.budget(10_000, scope="everyone", period="month", now=now)
    play.spend(now=now)
    fold_pending()
    BooksCheck.objects.create(checked_at=now, seconds=1)
    Incident.objects.create(rule="silence", subject="x", title="x", opened_at=now, seen_at=now)
    claim = ask(alice)
    Generation.objects.filter(pk=claim.generation_id).update(
        state="waiting", waiting_reason="retry", run_after=now
    )
    assert Conversation.objects.exists()
    counts = RequestCounts()
    counts.note("GET", "/", 200, 0.1)
    counts.flush()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SiteCollector())
    given: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            given.setdefault(sample.name, set()).update(sample.labels)
    return given
