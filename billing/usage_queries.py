"""Reading usage: totals, series and distributions, for one user, for a group and for the site.

Only rollups are read, never the ledger (but for the entries of the last seconds, which the site's rollups
do not hold yet). Every verb sends the same number of queries whatever it finds; it is said with each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal

from django.utils import timezone

from billing import accounts, usage_sql
from billing.models import Period
from billing.periods import local_day
from billing.usage_sums import (
    Asked,
    Key,
    Sums,
    Usage,
    UsageRow,
    added_up,
    change_percent,
    period_start,
    periods_between,
)

Step = Literal["day", "week", "month"]
GroupBy = Literal["model", "provider", "kind", "purpose", "conversation", "user", "group"]
Order = Literal["tokens", "cost", "calls"]


def totals(asked: Asked) -> Usage:
    """All of it together. One query."""
    found = Usage()
    for row in usage_sql.summed(asked, None):
        found += row.usage
    return found


def series(asked: Asked, step: Step) -> list[UsageRow]:
    """One row per day, week (from Monday) or month, in order, also where nothing was used. One query.

    The first and the last period hold only the days asked for.
    """
    rows = (
        UsageRow(period_start(_day(row.key), step), row.usage) for row in usage_sql.summed(asked, "local_day")
    )
    found = added_up(rows, periods_between(asked.first_day, asked.last_day, step))
    return [UsageRow(key, usage) for key, usage in found.items()]


def by(
    asked: Asked, group_by: GroupBy, *, order: Order = "tokens", limit: int | None = None
) -> list[UsageRow]:
    """The distribution, greatest first by what is billed; with ``limit`` only the greatest. One query; two
    for the greatest users or conversations.

    By conversation it is meant for one user or one group; the site's would list every conversation.
    """
    if group_by == "provider":
        by_model = usage_sql.summed(asked, "model")
        rows = [
            UsageRow(key, usage)
            for key, usage in added_up(
                UsageRow(str(row.key).partition(":")[0], row.usage) for row in by_model
            ).items()
        ]
    else:
        column = _COLUMNS[group_by]
        found = added_up(usage_sql.summed(asked, column, order=order, limit=limit))
        rows = [UsageRow(key, usage) for key, usage in found.items()]
    rows.sort(
        key=lambda row: (-_measure(row.usage.billed, order), -_measure(row.usage.house, order), row.key)
    )
    return rows[:limit]


_COLUMNS = {
    "model": "model",
    "kind": "turn_kind",
    "purpose": "purpose",
    "conversation": "conversation_id",
    "user": "user_id",
    "group": "group_id",
}


def _measure(sums: Sums, order: str) -> int:
    if order == "cost":
        return sums.cost_nanousd
    return sums.calls if order == "calls" else sums.total_tokens


def series_by(asked: Asked, step: Step, group_by: GroupBy) -> dict[Key, list[UsageRow]]:
    """A whole series for each key (model, kind ...), greatest first by billed tokens. One query.

    Meant for few keys; users and conversations are better asked for one by one.
    """
    found: dict[Key, dict[Key, Usage]] = defaultdict(dict)
    starts = periods_between(asked.first_day, asked.last_day, step)
    column = "model" if group_by == "provider" else _COLUMNS[group_by]
    for day, key, usage in usage_sql.summed_by_day(asked, column):
        if group_by == "provider":
            key = str(key).partition(":")[0]
        start = period_start(day, step)
        found[key][start] = found[key].get(start, Usage()) + usage
    result = {
        key: [UsageRow(start, periods.get(start, Usage())) for start in starts]
        for key, periods in found.items()
    }
    weight = {key: -sum(row.usage.billed.total_tokens for row in rows) for key, rows in result.items()}
    return {key: result[key] for key in sorted(result, key=lambda key: (weight[key], str(key)))}


def hours(
    first: datetime, last: datetime, *, model: str | None = None, kind: str | None = None
) -> list[tuple[datetime, Usage]]:
    """The site's usage per hour of UTC, from the hour of ``first`` to that of ``last``, gaps filled.
    One query.

    Entries count in the hour in which they were written, so a correction counts when it was made.
    """
    found = usage_sql.summed_by_hour(first, last, model=model, kind=kind)
    return [(at, found.get(at, Usage())) for at in _hours_between(first, last)]


def hour_totals(
    first: datetime, last: datetime, *, model: str | None = None, kind: str | None = None
) -> list[tuple[datetime, tuple[int, int, int]]]:
    """The same as calls, tokens and nano-USD of users and house together, for charts. One query."""
    found = usage_sql.totals_by_hour(first, last, model=model, kind=kind)
    return [(at, found.get(at, (0, 0, 0))) for at in _hours_between(first, last)]


def _hours_between(first: datetime, last: datetime) -> list[datetime]:
    at, found = first.replace(minute=0, second=0, microsecond=0), []
    while at <= last:
        found.append(at)
        at += timedelta(hours=1)
    return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """``previous``: the same number of days just before (``previous_days``). Changes are whole percent of
    what is billed, None where there was nothing before.
    """

    current: Usage
    previous: Usage
    previous_days: tuple[date, date]

    @property
    def tokens_percent(self) -> int | None:
        return change_percent(self.current.billed.total_tokens, self.previous.billed.total_tokens)

    @property
    def cost_percent(self) -> int | None:
        return change_percent(self.current.billed.cost_nanousd, self.previous.billed.cost_nanousd)


def compare(asked: Asked) -> Comparison:
    """With as many days before. Two queries."""
    before = replace(
        asked,
        first_day=asked.first_day - timedelta(days=asked.days),
        last_day=asked.first_day - timedelta(days=1),
    )
    return Comparison(totals(asked), totals(before), (before.first_day, before.last_day))


@dataclass(frozen=True, slots=True)
class Average:
    """What a conversation used on average; tokens and cost rounded down, 0 where there was none."""

    conversations: int
    total_tokens: int
    cost_nanousd: int


def per_conversation(asked: Asked) -> Average:
    """Over the conversations that had billed usage. One query. Meant for one user or one group."""
    count, sums = usage_sql.conversations(asked)
    if not count:
        return Average(0, 0, 0)
    return Average(count, sums.total_tokens // count, sums.cost_nanousd // count)


@dataclass(frozen=True, slots=True)
class Summary:
    """A user's own figures: the running day, week and month, each beside as much of the period before
    (on Wednesday: Monday to Wednesday of last week), and the average conversation of the month.
    """

    day: date
    timezone: str
    today: Comparison
    week: Comparison
    month: Comparison
    per_conversation: Average


def summary(user_id: int, *, now: datetime | None = None) -> Summary:
    """For the top of a user's page. Three queries (the account, the days, the conversations)."""
    now = now or timezone.now()
    zone = accounts.payer(user_id, now=now).timezone
    today = local_day(zone, now)
    starts = {step: period_start(today, step) for step in (Period.DAY, Period.WEEK, Period.MONTH)}
    before = {step: period_start(start - timedelta(days=1), step) for step, start in starts.items()}
    asked = Asked(first_day=min(before.values()), last_day=today, user_id=user_id)
    days = [(_day(row.key), row.usage) for row in usage_sql.summed(asked, "local_day")]
    of = {
        step: _compared(days, today, starts[step], before[step])
        for step in (Period.DAY, Period.WEEK, Period.MONTH)
    }
    month = replace(asked, first_day=starts[Period.MONTH])
    return Summary(
        today,
        zone,
        of[Period.DAY],
        of[Period.WEEK],
        of[Period.MONTH],
        per_conversation=per_conversation(month),
    )


def _compared(days: Sequence[tuple[date, Usage]], today: date, start: date, before: date) -> Comparison:
    # The 31st is compared with the whole of a shorter month.
    before_last = min(before + (today - start), start - timedelta(days=1))
    return Comparison(
        _sum(days, start, today), _sum(days, before, before_last), previous_days=(before, before_last)
    )


def _sum(days: Sequence[tuple[date, Usage]], first: date, last: date) -> Usage:
    return sum((usage for day, usage in days if first <= day <= last), start=Usage())


def _day(key: Key) -> date:
    assert isinstance(key, date)
    return key


__all__ = [
    "Asked",
    "Average",
    "Comparison",
    "GroupBy",
    "Order",
    "Step",
    "Summary",
    "Sums",
    "Usage",
    "UsageRow",
    "by",
    "compare",
    "hour_totals",
    "hours",
    "per_conversation",
    "series",
    "series_by",
    "summary",
    "totals",
]
