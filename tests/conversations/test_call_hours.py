"""Sums by the hour: exactly the records, however often and by whomever they are made."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Sum

from conversations import call_hours
from conversations.call_days import DAY
from conversations.call_figures import Histogram, Objective, calls_between, latencies, objectives, whole
from conversations.call_hours import BOUNDS_MS, HOUR, prune_calls, roll_up_calls
from conversations.calls import record_call
from conversations.models import CallDay, CallHour, CallRecord, LatencyHour, Measure
from conversations.models.call import NO_BOUND_MS
from llm.usage import Usage

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def call(at: datetime, **values: Any) -> None:
    given: dict[str, Any] = {"model": "demo:friendly", "outcome": "completed", "attempt": 1, **values}
    record_call(generation_id=uuid.uuid4(), now=at, **given)


def random_calls(rng: random.Random, count: int, *, start: datetime, hours: int) -> None:
    for _ in range(count):
        code = rng.choice(["", "", "", "rate_limited", "provider_error"])
        call(
            start + timedelta(seconds=rng.randrange(hours * 3600)),
            model=rng.choice(["demo:a", "demo:b", "openai:c"]),
            outcome="waiting" if code == "rate_limited" else "failed" if code else "completed",
            code=code,
            attempt=rng.randint(1, 3),
            duration_ms=rng.choice([None, rng.randrange(700_000)]),
            first_token_ms=rng.choice([None, rng.randrange(40_000)]),
            deltas=rng.randrange(100),
            input_estimate_tokens=rng.randrange(100),
            usage=rng.choice([None, Usage(input_tokens=rng.randrange(100), output_tokens=7)]),
        )


def test_it_sums_exactly_what_the_records_say() -> None:
    random_calls(random.Random(7), 400, start=NOON, hours=5)
    assert roll_up_calls(now=NOON + 5 * HOUR) == 5
    sums = CallHour.objects.aggregate(*(Sum(name) for name in ("calls", "retries", "duration_ms")))
    assert sums["calls__sum"] == 400
    assert sums["retries__sum"] == CallRecord.objects.filter(is_retry=True).count()
    assert sums["duration_ms__sum"] == CallRecord.objects.aggregate(ms=Sum("duration_ms"))["ms"]
    for row in CallHour.objects.filter(model="openai:c", code="rate_limited"):
        within = CallRecord.objects.filter(
            model="openai:c", code="rate_limited", ended_at__gte=row.hour, ended_at__lt=row.hour + HOUR
        )
        assert row.calls == within.count()
        assert row.provider == "openai"
    of_first = LatencyHour.objects.filter(measure=Measure.FIRST_TOKEN)
    with_first = CallRecord.objects.filter(first_token_ms__isnull=False)
    assert of_first.aggregate(n=Sum("calls"))["n"] == with_first.count()
    assert of_first.aggregate(n=Sum("total_ms"))["n"] == with_first.aggregate(n=Sum("first_token_ms"))["n"]


def test_it_may_run_again_and_takes_in_what_came_late() -> None:
    call(NOON + timedelta(minutes=59))
    roll_up_calls(now=NOON + timedelta(minutes=61))
    call(NOON + timedelta(minutes=58))  # committed after its hour was over
    call(NOON + timedelta(minutes=62))
    for _ in range(2):
        roll_up_calls(now=NOON + timedelta(minutes=65))
    assert list(CallHour.objects.order_by("hour").values_list("hour", "calls")) == [
        (NOON, 2),
        (NOON + HOUR, 1),
    ]


def test_it_takes_in_what_came_late_though_the_next_run_is_hours_away() -> None:
    call(NOON + timedelta(minutes=61))
    roll_up_calls(now=NOON + timedelta(minutes=61))
    call(NOON + timedelta(minutes=59))  # its hour was still open
    roll_up_calls(now=NOON + 4 * HOUR)
    assert dict(CallHour.objects.values_list("hour", "calls")) == {NOON: 1, NOON + HOUR: 1}


def test_it_catches_up_after_nobody_rolled_up_for_hours() -> None:
    call(NOON)
    roll_up_calls(now=NOON + timedelta(minutes=1))
    call(NOON + timedelta(minutes=30))
    call(NOON + 3 * HOUR)
    roll_up_calls(now=NOON + 7 * HOUR)
    assert dict(CallHour.objects.values_list("hour", "calls")) == {NOON: 2, NOON + 3 * HOUR: 1}


def test_it_does_nothing_for_hours_in_which_nobody_asked() -> None:
    call(NOON)
    roll_up_calls(now=NOON)
    call(NOON + timedelta(days=40))
    assert roll_up_calls(now=NOON + timedelta(days=80)) == 2
    assert roll_up_calls(now=NOON + timedelta(days=120)) == 1
    assert CallDay.objects.count() == 2


def test_days_say_what_their_hours_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a day that a run left behind, and that the next one comes back to."""
    random_calls(random.Random(9), 300, start=NOON, hours=40)
    roll_up_calls(now=NOON + 5 * HOUR)
    with monkeypatch.context() as ends_after_the_hours:
        ends_after_the_hours.setattr(call_hours, "roll_up_days", lambda first, last: None)
        roll_up_calls(now=NOON + 30 * HOUR)
    roll_up_calls(now=NOON + 41 * HOUR)
    midnight = NOON.replace(hour=0)
    for first, days in ((midnight, 3), (midnight + DAY, 1), (midnight + DAY, 2)):
        range_ = first, first + days * DAY
        keys = ("model", "outcome", "code")
        assert list(calls_between(*range_).sums_by(*keys)) == list(
            CallHour.objects.between(*range_).sums_by(*keys)
        )
        of_days = latencies(start=range_[0], end=range_[1])
        of_hours = LatencyHour.objects.between(*range_)
        for measure, models in of_days.items():
            for model, found in models.items():
                rows = of_hours.filter(measure=measure, model=model)
                assert found.total_ms == sum(row.total_ms for row in rows)
                for bound, count in found.buckets:
                    assert count == sum(row.calls for row in rows if row.bound_ms == bound)
    assert calls_between(midnight, midnight + 3 * DAY).model is CallDay
    assert calls_between(midnight, midnight + 3 * HOUR).model is CallHour


def test_it_prunes_old_records_and_keeps_their_sums(settings: Any) -> None:
    settings.CALL_RECORD_DAYS = 2
    call(NOON)
    call(NOON + timedelta(days=3))
    roll_up_calls(now=NOON + timedelta(days=3))
    assert prune_calls(now=NOON + timedelta(days=3)) == 1
    roll_up_calls(now=NOON + timedelta(days=3, hours=1))
    assert CallRecord.objects.count() == 1
    assert CallHour.objects.aggregate(n=Sum("calls"))["n"] == 2


def test_sums_of_a_silent_site_outlast_the_pruning_of_their_hour(settings: Any) -> None:
    settings.CALL_RECORD_DAYS = 2
    for minute in (10, 50):
        call(NOON + timedelta(minutes=minute))
    roll_up_calls(now=NOON + HOUR)
    later = NOON + timedelta(days=2, minutes=30)
    prune_calls(now=later)
    roll_up_calls(now=later)
    assert CallHour.objects.get().calls == 2


def test_it_counts_each_call_under_the_smallest_bound_that_holds_it() -> None:
    for ms in (50, 51, 100, 600_001):
        call(NOON, first_token_ms=ms)
    roll_up_calls(now=NOON)
    found = dict(LatencyHour.objects.filter(measure="first_token").values_list("bound_ms", "calls"))
    assert found == {50: 1, 100: 2, NO_BOUND_MS: 1}


def test_its_percentiles_lie_in_the_right_bucket() -> None:
    for ms in range(1, 1001):
        call(NOON, first_token_ms=ms)
    roll_up_calls(now=NOON)
    call(NOON, model="demo:other", first_token_ms=1000)
    roll_up_calls(now=NOON)
    by_model = latencies(start=NOON, end=NOON + HOUR)["first_token"]
    assert by_model["demo:other"].calls == 1
    found = by_model["demo:friendly"]
    assert found.calls == 1000
    assert found.total_ms == 500_500
    assert found.percentile(50) == 500
    assert found.percentile(95) == 950
    both = whole(Measure.FIRST_TOKEN, {"first_token": by_model})
    assert (both.calls, both.total_ms) == (1001, found.total_ms + 1000)
    assert both.percentile(95) == 950
    assert (
        whole(Measure.FIRST_TOKEN, latencies(start=NOON + HOUR, end=NOON + 2 * HOUR)).percentile(95) is None
    )


def test_a_percentile_above_the_last_bound_says_at_least_that() -> None:
    assert Histogram(((100, 1), (NO_BOUND_MS, 9)), 0).percentile(95) == 100


def test_every_measure_has_bounds_in_order() -> None:
    assert set(BOUNDS_MS) == set(Measure.values)
    assert all(list(bounds) == sorted(set(bounds)) for bounds in BOUNDS_MS.values())


def reached(start: datetime, end: datetime) -> list[Objective]:
    return objectives(latencies(start=start, end=end), start=start, end=end)


def test_it_says_how_the_objectives_are_met() -> None:
    asked = NOON - timedelta(seconds=1)
    for _ in range(97):
        call(NOON, asked_at=asked, duration_ms=800)
    call(NOON, outcome="waiting", code="rate_limited")
    call(NOON, outcome="failed", code="provider_error")
    call(NOON, outcome="failed", code="content_blocked")  # the request's own fault
    roll_up_calls(now=NOON)
    found = {one.name: one for one in reached(NOON, NOON + HOUR)}
    assert (found["availability"].value, found["availability"].met) == (98.0, False)
    assert found["final_failures"].value == pytest.approx(100 / 99)
    assert found["final_failures"].met is False
    assert found["answer_p95"].met is True
    empty = reached(NOON + HOUR, NOON + 2 * HOUR)
    assert [(one.value, one.met) for one in empty] == [(None, None)] * 3


def test_it_sums_by_any_key() -> None:
    call(NOON, model="demo:a")
    call(NOON, model="demo:a", code="stalled", outcome="failed")
    call(NOON, model="demo:b")
    roll_up_calls(now=NOON)
    rows = CallHour.objects.between(NOON, NOON + HOUR).sums_by("model")
    assert [(row["model"], row["calls"]) for row in rows] == [("demo:a", 2), ("demo:b", 1)]
