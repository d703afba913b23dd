"""Sums of calls by the day (UTC), out of those by the hour: whole sums again, as often as anybody likes."""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from billing import sql
from conversations.models.call import SUMS

DAY = timedelta(days=1)


def _sum_up(name: str, keys: tuple[str, ...], sums: tuple[str, ...]) -> str:
    listed = ", ".join(keys)
    return (
        f"INSERT INTO conversations_{name}day (day, {listed}, {', '.join(sums)})"
        f" SELECT %s, {listed}, {', '.join(f'SUM({one})' for one in sums)} FROM conversations_{name}hour"
        f" WHERE hour >= %s AND hour < %s GROUP BY {listed}"
        f" ON CONFLICT (day, {listed}) DO UPDATE SET {', '.join(f'{one} = excluded.{one}' for one in sums)}"
    )


# Calls last, as with the hours: a day that has them has its histograms.
_STATEMENTS = (
    _sum_up("latency", ("provider", "model", "measure", "bound_ms"), ("calls", "total_ms")),
    _sum_up("call", ("provider", "model", "purpose", "outcome", "code"), SUMS),
)


def roll_up_days(first: date, last: date) -> None:
    """Bring the sums of these days up to date with their hours; a transaction for each."""
    day = first
    while day <= last:
        start = datetime.combine(day, time(), UTC)
        for statement in _STATEMENTS:
            sql.run(statement, [sql.day_in(day), sql.time_in(start), sql.time_in(start + DAY)])
        day += DAY
