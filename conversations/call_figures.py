"""Figures of provider calls over a range of hours: sums, percentiles, objectives.

Only sums are read: by the day where the range is one of whole days, else by the hour. Ranges are
[start, end) of whole hours, in UTC. The running hour is at most a minute behind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time

from django.conf import settings
from django.db.models import Q, Sum

from conversations.call_hours import BOUNDS_MS
from conversations.calls import REQUEST_CODES
from conversations.models import State
from conversations.models.call import (
    NO_BOUND_MS,
    CallDay,
    CallHour,
    CallSumsQuerySet,
    LatencyDay,
    LatencyHour,
    Measure,
)

# Calls whose end says nothing about the service: a stop, the request's own fault.
GOOD = Q(code="") | Q(code__in=REQUEST_CODES)
# Answers that came to an end; summaries are no answers.
ENDED = ~Q(outcome=State.WAITING) & Q(purpose="answer")


@dataclass(frozen=True, slots=True)
class Histogram:
    """Calls by upper bound in ms, ascending; the last bound may be NO_BOUND_MS."""

    buckets: tuple[tuple[int, int], ...]
    total_ms: int

    @property
    def calls(self) -> int:
        return sum(calls for _, calls in self.buckets)

    def percentile(self, percent: float) -> int | None:
        """The bound within which ``percent`` of the calls lie, interpolated; None without calls.

        Within the bucket that has no bound, the bound below it: "at least this".
        """
        wanted = self.calls * percent / 100
        below, passed = 0, 0
        for bound, calls in self.buckets:
            if calls and passed + calls >= wanted:
                if bound == NO_BOUND_MS:
                    return below
                return round(below + (bound - below) * max(wanted - passed, 0) / calls)
            below, passed = bound, passed + calls
        return None


@dataclass(frozen=True, slots=True)
class Objective:
    """A goal beside what was reached; ``value`` None where nothing was measured. Both in ``unit``."""

    name: str
    unit: str
    target: float
    value: float | None
    met: bool | None


Latencies = dict[str, dict[str, Histogram]]


def calls_between(start: datetime, end: datetime) -> CallSumsQuerySet:
    """Sums of the calls of a range, from the fewest rows that hold them."""
    days = _are_days(start, end)
    return CallDay.objects.between(start, end) if days else CallHour.objects.between(start, end)


def _latencies_between(start: datetime, end: datetime) -> CallSumsQuerySet:
    days = _are_days(start, end)
    return LatencyDay.objects.between(start, end) if days else LatencyHour.objects.between(start, end)


def _are_days(*moments: datetime) -> bool:
    return all(moment.astimezone(UTC).time() == time() for moment in moments)


def latencies(*, start: datetime, end: datetime) -> Latencies:
    """By measure and model; a measure without calls is missing. One query."""
    found: dict[str, dict[str, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
    rows = _latencies_between(start, end)
    sums = rows.values_list("measure", "model", "bound_ms").annotate(Sum("calls"), Sum("total_ms"))
    for measure, model, bound_ms, calls, total_ms in sums:
        found[measure][model].append((bound_ms, calls, total_ms))
    return {
        measure: {model: _histogram(measure, buckets) for model, buckets in models.items()}
        for measure, models in found.items()
    }


def whole(measure: str, found: Latencies) -> Histogram:
    """Of all models together."""
    of_models = found.get(measure, {}).values()
    buckets = [(bound, calls, 0) for one in of_models for bound, calls in one.buckets]
    return replace(_histogram(measure, buckets), total_ms=sum(one.total_ms for one in of_models))


def _histogram(measure: str, rows: Iterable[tuple[int, int, int]]) -> Histogram:
    counted: dict[int, int] = defaultdict(int)
    total_ms = 0
    for bound, calls, ms in rows:
        counted[bound] += calls
        total_ms += ms
    bounds = sorted({*BOUNDS_MS[measure], NO_BOUND_MS, *counted})
    return Histogram(tuple((bound, counted[bound]) for bound in bounds), total_ms)


def objectives(found: Latencies, *, start: datetime, end: datetime) -> list[Objective]:
    """What the operator has promised (OBJECTIVE_…), beside what the range shows; ``found``: its latencies."""
    sums = calls_between(start, end).aggregate(
        all=Sum("calls", default=0),
        good=Sum("calls", filter=GOOD, default=0),
        ended=Sum("calls", filter=ENDED, default=0),
        failed=Sum("calls", filter=ENDED & ~GOOD, default=0),
    )
    answer_ms = whole(Measure.ANSWER, found).percentile(95)
    return [
        _objective(
            "availability",
            "%",
            settings.OBJECTIVE_AVAILABILITY_PERCENT,
            100 * sums["good"] / sums["all"] if sums["all"] else None,
            at_least=True,
        ),
        _objective(
            "final_failures",
            "%",
            settings.OBJECTIVE_FINAL_FAILURE_PERCENT,
            100 * sums["failed"] / sums["ended"] if sums["ended"] else None,
        ),
        _objective("answer_p95", "s", settings.OBJECTIVE_ANSWER_P95_SECONDS, answer_ms and answer_ms / 1000),
    ]


def _objective(
    name: str, unit: str, target: float, value: float | None, *, at_least: bool = False
) -> Objective:
    met = None if value is None else (value >= target if at_least else value <= target)
    return Objective(name, unit, target, value, met)
