from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from conversations.calls import record_call
from conversations.models import Pulse

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
