"""Forecasts: at this pace empty on Thursday."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.budgets import Meter
from conversations.usage.forecasts import forecast, forecast_text, period_start

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
WEEK = Meter(
    scope="user",
    scope_id="1",
    unit="tokens",
    period="week",
    model=None,
    used=0,
    held=0,
    limit=70_000,
    percent=0,
    level="ok",
    resets_at=MONDAY + timedelta(days=7),
    hard=True,
    budget_id=1,
)


def say(meter: Meter, now: datetime, zone: str = "UTC", recent: int = 0) -> str:
    return forecast_text(forecast(meter, now=now, zone=zone, recent_units=recent), now=now, zone=zone)


def test_it_names_the_day_on_which_it_runs_out() -> None:
    tuesday_noon = MONDAY + timedelta(days=1, hours=12)
    assert say(replace(WEEK, used=30_000), tuesday_noon) == "At this pace empty on Thursday."


@pytest.mark.parametrize(
    ("used", "hours", "text"),
    [
        (69_000, 48, "At this pace empty today at 00:41."),
        (60_000, 36, "At this pace empty today at 18:00."),
        (50_000, 36, "At this pace empty tomorrow at 02:24."),
        (10_000, 36, "At this pace it lasts, with 66 % used."),
        (70_000, 36, "Used up."),
        (80_000, 36, "Used up."),
        (0, 36, "Too early to say how long it lasts."),
        (5_000, 1, "Too early to say how long it lasts."),
    ],
)
def test_it_says_how_long_it_lasts(used: int, hours: int, text: str) -> None:
    assert say(replace(WEEK, used=used), MONDAY + timedelta(hours=hours)) == text


def test_it_says_nothing_of_what_has_no_limit() -> None:
    assert say(replace(WEEK, limit=None, used=5), MONDAY + timedelta(days=3)) == ""


def test_it_takes_the_pace_of_the_last_days_where_there_is_no_period() -> None:
    endless = replace(WEEK, period="none", resets_at=None, used=10_000, limit=24_000)
    assert say(endless, MONDAY, recent=7_000) == "At this pace empty on 30 November."
    assert say(endless, MONDAY, recent=1) == "At this pace it lasts."
    assert say(endless, MONDAY) == "Too early to say how long it lasts."


@pytest.mark.parametrize(
    ("period", "end", "zone", "hours"),
    [
        ("day", datetime(2026, 10, 25, 23, tzinfo=UTC), "Europe/Berlin", 25),
        ("day", datetime(2026, 3, 29, 22, tzinfo=UTC), "Europe/Berlin", 23),
        ("week", datetime(2026, 11, 2, 5, tzinfo=UTC), "America/New_York", 169),
        ("month", datetime(2026, 3, 1, tzinfo=UTC), "UTC", 28 * 24),
    ],
)
def test_it_knows_days_of_23_and_25_hours(period: str, end: datetime, zone: str, hours: int) -> None:
    assert end - period_start(period, end, zone) == timedelta(hours=hours)


@given(st.integers(1, 10**18), st.integers(1, 10**18), st.integers(1, 7 * 86_400 - 1))
@example(1, 10**18, 86_400)
def test_it_never_fails_and_runs_out_only_before_the_reset(used: int, limit: int, seconds: int) -> None:
    now = MONDAY + timedelta(seconds=seconds)
    found = forecast(replace(WEEK, used=used, limit=limit), now=now, zone="UTC")
    if found.outlook == "runs_out":
        assert found.empty_at is not None
        assert now <= found.empty_at < MONDAY + timedelta(days=7)
    if found.outlook == "lasts":
        assert found.percent is not None
        assert 0 <= found.percent <= 100
