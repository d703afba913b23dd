"""Which rollups of users hold a range of days: whole months, whole weeks, and the days at the ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from billing.models import Period
from billing.rollups import USER_DAY, USER_MONTH, USER_WEEK, SiteRollup
from billing.usage_sums import next_period, whole_months, whole_weeks


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of ``rollup`` whose ``key`` lies between these two days, both included."""

    rollup: SiteRollup
    key: str
    first: date
    last: date


def pieces(first: date, last: date) -> list[Piece]:
    """As few rows as can be. Each day is in exactly one piece; none where the days end before they begin."""
    if first > last:
        return []
    for rollup, key, wholes, step in (
        (USER_MONTH, "month", whole_months, Period.MONTH),
        (USER_WEEK, "week", whole_weeks, Period.WEEK),
    ):
        if found := wholes(first, last):
            begin, end = found
            after = next_period(end, step)
            return [
                *pieces(first, begin - timedelta(days=1)),
                Piece(rollup, key, begin, end),
                *pieces(after, last),
            ]
    return [Piece(USER_DAY, "local_day", first, last)]
