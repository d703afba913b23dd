"""Sums of call records by the hour: made anew from the records while an hour may still change.

An upsert of whole sums, so any number of processes may roll up at once and as often as they like. A
record belongs to the hour it ended in; it may be committed a little later than that, so an hour stays
open for ``OPEN_FOR`` after its end, and is summed up again by the first run after that.
"""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Max, Min
from django.utils import timezone

from billing import sql
from conversations.call_days import roll_up_days
from conversations.models.call import NO_BOUND_MS, CallDay, CallHour, CallRecord, Measure

HOUR = timedelta(hours=1)
OPEN_FOR = timedelta(minutes=10)
# Records deleted in one transaction, and in one run.
PRUNE_CHUNK, PRUNE_LIMIT = 2000, 100_000

_LATENCY_MS = (
    50, 100, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 7500, 10_000, 15_000, 20_000, 30_000,
    60_000, 120_000, 300_000, 600_000,
)  # fmt: skip
# Upper bounds, ascending; above the last one there is one more bucket.
BOUNDS_MS: dict[str, Sequence[int]] = {
    Measure.FIRST_TOKEN: _LATENCY_MS,
    Measure.CALL: _LATENCY_MS,
    Measure.ANSWER: _LATENCY_MS,
    Measure.TOKEN_INTERVAL: (1, 2, 5, 10, 15, 20, 30, 50, 75, 100, 200, 500, 1000, 2000, 5000),
}
_SOURCES: dict[str, tuple[str, str]] = {
    Measure.FIRST_TOKEN: ("first_token_ms", "first_token_ms IS NOT NULL"),
    Measure.CALL: ("duration_ms", "duration_ms IS NOT NULL AND outcome = 'completed'"),
    Measure.ANSWER: ("answer_ms", "answer_ms IS NOT NULL"),
    Measure.TOKEN_INTERVAL: ("token_interval_ms", "token_interval_ms IS NOT NULL"),
}
_WITHIN = "ended_at >= %s AND ended_at < %s"
_REPORTED = "input_tokens IS NOT NULL AND output_tokens IS NOT NULL"
_SUMS = {
    "calls": "COUNT(*)",
    "retries": "SUM(CASE WHEN is_retry THEN 1 ELSE 0 END)",
    "fallbacks": "SUM(CASE WHEN is_fallback THEN 1 ELSE 0 END)",
    "waited_ms": "COALESCE(SUM(waited_ms), 0)",
    "duration_ms": "COALESCE(SUM(duration_ms), 0)",
    "reported_calls": f"SUM(CASE WHEN {_REPORTED} THEN 1 ELSE 0 END)",
    "input_estimate_tokens": f"SUM(CASE WHEN {_REPORTED} THEN input_estimate_tokens ELSE 0 END)",
    "input_tokens": f"SUM(CASE WHEN {_REPORTED} THEN input_tokens ELSE 0 END)",
    "output_tokens": f"SUM(CASE WHEN {_REPORTED} THEN output_tokens ELSE 0 END)",
}
_KEY = ("provider", "model", "purpose", "outcome", "code")
_ROLL_CALLS = (
    f"INSERT INTO conversations_callhour (hour, {', '.join(_KEY)}, {', '.join(_SUMS)})"
    f" SELECT %s, {', '.join(_KEY)}, {', '.join(_SUMS.values())} FROM conversations_callrecord"
    f" WHERE {_WITHIN} GROUP BY {', '.join(_KEY)}"
    f" ON CONFLICT (hour, {', '.join(_KEY)}) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _SUMS)
)


def _roll_latency(measure: str) -> str:
    column, condition = _SOURCES[measure]
    cases = " ".join(f"WHEN {column} <= {bound} THEN {bound}" for bound in BOUNDS_MS[measure])
    return (
        "INSERT INTO conversations_latencyhour (hour, provider, model, measure, bound_ms, calls, total_ms)"
        f" SELECT %s, provider, model, '{measure}', bound, COUNT(*), SUM(ms) FROM ("
        f"SELECT provider, model, {column} AS ms, CASE {cases} ELSE {NO_BOUND_MS} END AS bound"
        f" FROM conversations_callrecord WHERE {_WITHIN} AND {condition}) found"
        " GROUP BY provider, model, bound"
        " ON CONFLICT (hour, provider, model, measure, bound_ms)"
        " DO UPDATE SET calls = excluded.calls, total_ms = excluded.total_ms"
    )


_ROLL_LATENCIES = tuple(_roll_latency(measure) for measure in BOUNDS_MS)


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def settled_until() -> datetime | None:
    """Hours that begin before this are rolled up for good; None as long as none has been.

    That an hour has sums says that a run began in it or later. Hours that were still open then begin here.
    """
    last_rolled = CallHour.objects.aggregate(last=Max("hour"))["last"]
    return None if last_rolled is None else hour_of(last_rolled - OPEN_FOR)


def roll_up_calls(*, now: datetime | None = None) -> int:
    """Bring the sums of all hours that may have changed up to date. Returns how many hours that were."""
    now = now or timezone.now()
    hour, hours = _next_hour(settled_until()), 0
    if hour is None:
        return 0
    first_day = last_day = hour.astimezone(UTC).date()
    while hour is not None and hour <= now:
        _roll_up_hour(hour)
        last_day = hour.astimezone(UTC).date()
        hour = _next_hour(hour + HOUR)
        hours += 1
    # Whoever ended between the hours and their day has left the day to the next.
    last_summed = CallDay.objects.aggregate(last=Max("day"))["last"] or first_day
    roll_up_days(min(first_day, last_summed), last_day)
    return hours


def _next_hour(start: datetime | None) -> datetime | None:
    """The first hour, from this one on, in which a call ended: silent hours cost nothing."""
    records = CallRecord.objects.all() if start is None else CallRecord.objects.filter(ended_at__gte=start)
    first = records.aggregate(first=Min("ended_at"))["first"]
    return None if first is None else hour_of(first)


def _roll_up_hour(hour: datetime) -> None:
    params = [sql.time_in(moment) for moment in (hour, hour, hour + HOUR)]
    # A transaction each, so that SQLite's other writers wait shortly. Calls come last: that an hour has
    # them says that its histograms are there too.
    for statement in (*_ROLL_LATENCIES, _ROLL_CALLS):
        sql.run(statement, params)


def prune_calls(*, now: datetime | None = None) -> int:
    """Delete records older than CALL_RECORD_DAYS; their sums stay. Call it after ``roll_up_calls``."""
    before = (now or timezone.now()) - timedelta(days=settings.CALL_RECORD_DAYS)
    settled = settled_until()
    if settled is None:
        return 0
    # Hours that will be summed up again keep what they are summed up from.
    before = min(before, settled)
    deleted = 0
    while deleted < PRUNE_LIMIT:
        old = CallRecord.objects.filter(ended_at__lt=before).order_by("ended_at").values("pk")[:PRUNE_CHUNK]
        count, _ = CallRecord.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
        deleted += count
        if count < PRUNE_CHUNK:
            break
    return deleted
