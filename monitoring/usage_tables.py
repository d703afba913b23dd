"""The dashboard's tables of usage: by day, by what it is grouped by, by user, by hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User

from billing import usage_queries
from billing.models import BillingGroup
from billing.usage_queries import UsageRow
from conversations.usage.wording import KIND_WORDS
from monitoring.dashboard_view import GROUPS, View, hours_of
from monitoring.tables import Table

ROWS_SHOWN = 25
TOP_USERS = 10
HOURLY_DAYS = 31

_SUM_COLUMNS: list[tuple[str, Any]] = [
    ("Calls", "count"),
    ("Input", "count"),
    ("Output", "count"),
    ("Tokens", "count"),
    ("Cost", "nanousd"),
    ("House tokens", "count"),
    ("House cost", "nanousd"),
]


def _sum_cells(row: UsageRow) -> list[object]:
    billed, house = row.usage.billed, row.usage.house
    return [
        billed.calls,
        billed.input_tokens,
        billed.output_tokens,
        billed.total_tokens,
        billed.known_cost_nanousd,
        house.total_tokens,
        house.known_cost_nanousd,
    ]


def days_table(rows: Sequence[UsageRow], view: View, *, step: str = "") -> Table:
    step = step or view.range.step
    return Table(
        "days",
        f"By {step}",
        [(step.capitalize(), "text"), *_SUM_COLUMNS],
        [[str(row.key), *_sum_cells(row)] for row in rows],
        [view.link(**{"from": str(row.key), "to": str(row.key)}) if step == "day" else "" for row in rows],
    )


def groups_table(view: View, *, limit: int | None = ROWS_SHOWN) -> Table:
    order: usage_queries.Order = "cost" if view.measure == "cost" else "tokens"
    rows = usage_queries.by(view.asked, view.group_by, order=order, limit=limit)
    words = _words(view.group_by, rows)
    return Table(
        "groups",
        f"By {GROUPS[view.group_by]}",
        [(GROUPS[view.group_by].capitalize(), "text"), *_SUM_COLUMNS],
        [[words.get(row.key, str(row.key)), *_sum_cells(row)] for row in rows],
        [view.link(**{view.group_by: str(row.key)}) for row in rows],
    )


def users_table(view: View, *, limit: int | None = TOP_USERS) -> Table:
    rows = usage_queries.by(view.asked, "user", order="cost", limit=limit)
    words = _words("user", rows)
    return Table(
        "users",
        "Top users by cost",
        [("User", "text"), *_SUM_COLUMNS],
        [[words.get(row.key, str(row.key)), *_sum_cells(row)] for row in rows],
        [view.link(user=str(row.key)) for row in rows],
    )


def _words(group_by: str, rows: Sequence[UsageRow]) -> dict[Any, str]:
    """Names of what numbers stand for; one query for users or groups."""
    keys = [row.key for row in rows if isinstance(row.key, int)]
    if group_by == "user":
        names = User.objects.filter(pk__in=keys).values_list("pk", "username")
        return {key: f"former user {key}" for key in keys} | dict(names)
    if group_by == "group":
        found = BillingGroup.objects.filter(pk__in=keys).values_list("pk", "name")
        return {0: "in no group", **dict(found)}
    return dict(KIND_WORDS) if group_by == "kind" else {}


def hours_shown(view: View, now: datetime) -> tuple[datetime, datetime] | None:
    """The first and the last hour of the range, as far back as hours are shown; None of the future."""
    start, end = hours_of(view.range)
    end = min(end - timedelta(hours=1), now)
    start = max(start, end - timedelta(days=HOURLY_DAYS))
    return None if start > end else (start, end)


def hours_table(view: View, now: datetime) -> Table:
    shown, asked = hours_shown(view, now), view.asked
    found = usage_queries.hours(*shown, model=asked.model, kind=asked.kind) if shown else []
    return Table(
        "hours",
        "By hour (UTC)",
        [("Hour", "time"), *_SUM_COLUMNS],
        [[hour, *_sum_cells(UsageRow("", usage))] for hour, usage in found],
    )
