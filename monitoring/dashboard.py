"""What the usage dashboard of the admin shows: only rollups are read, and nothing of what people wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.urls import reverse

from billing import usage_queries
from billing.accounts import payer
from billing.models import BillingGroup, LimitRequest, RequestState
from billing.periods import local_day
from billing.usage_queries import Asked, Comparison, GroupBy, Sums, UsageRow
from billing.usage_sums import change_percent
from conversations.call_figures import latencies
from conversations.usage.charts import Chart, Column, Share, bar_chart, moving_average, shares
from conversations.usage.ranges import PRESETS, Range, period_text, read_range, short_period
from conversations.usage.report import KIND_WORDS, amount, amount_text, axis_text
from monitoring import ledger_tables, service_tables
from monitoring.tables import Table

GROUPS: dict[str, str] = {
    "model": "model",
    "provider": "provider",
    "kind": "kind of question",
    "user": "user",
    "group": "group",
}
ROWS_SHOWN = 25
TOP_USERS = 10
HOURLY_DAYS = 31


@dataclass(frozen=True, slots=True)
class Figure:
    """A tile: its figure in words, and its change against the days before."""

    label: str
    text: str
    change: str
    direction: str
    detail: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What was asked for: which days, grouped and measured how, narrowed to what."""

    range: Range
    group_by: GroupBy
    measure: str
    filters: dict[str, str]
    asked: Asked

    def link(self, **changes: str) -> str:
        """The dashboard's address with some of it changed; "" takes a filter away."""
        query = {
            "from": str(self.range.first),
            "to": str(self.range.last),
            "group_by": self.group_by,
            "measure": self.measure,
            **self.filters,
            **changes,
        }
        return f"?{urlencode({name: value for name, value in query.items() if value != ''})}"

    def entries_link(self, bearer: str = "") -> str:
        """The ledger lines that the view adds up, in the admin's list; of one bearer or of both."""
        asked = self.asked
        query: dict[str, object] = {"local_day__gte": self.range.first, "local_day__lte": self.range.last}
        found = {
            "bearer": bearer,
            "model": asked.model,
            "model__startswith": asked.provider and f"{asked.provider}:",
            "turn_kind": asked.kind,
            "user_id": asked.user_id,
            # 0: in no group.
            "group_id": asked.group_id or None,
            "group_id__isnull": "1" if asked.group_id == 0 else None,
        }
        query |= {name: value for name, value in found.items() if value}
        return f"{reverse('admin:billing_ledgerentry_changelist')}?{urlencode(query)}"


FILTERS = ("model", "provider", "kind", "user", "group")


def read_view(user: User, query: Mapping[str, str], *, now: datetime) -> View:
    """An unknown group or filter is as none."""
    chosen = read_range(query, local_day(payer(user.pk, now=now).timezone, now))
    found = {name: query[name].replace("\x00", "") for name in FILTERS if query.get(name)}
    filters = {
        name: value
        for name, value in found.items()
        if name not in ("user", "group") or (value.isascii() and value.isdigit() and len(value) < 18)
    }
    group_by: Any = query["group_by"] if query.get("group_by") in GROUPS else "model"
    asked = Asked(
        first_day=chosen.first,
        last_day=chosen.last,
        model=filters.get("model"),
        provider=filters.get("provider"),
        kind=filters.get("kind"),
        user_id=int(filters["user"]) if "user" in filters else None,
        group_id=int(filters["group"]) if "group" in filters else None,
    )
    return View(chosen, group_by, "cost" if query.get("measure") == "cost" else "tokens", filters, asked)


def dashboard(user: User, query: Mapping[str, str], *, now: datetime) -> dict[str, Any]:
    """The context of the page. The number of queries does not depend on what is found."""
    view = read_view(user, query, now=now)
    compared = usage_queries.compare(view.asked)
    rows = usage_queries.series(view.asked, view.range.step)  # type: ignore[arg-type]  # one of its steps
    groups = groups_table(view)
    start, end = hours_of(view.range)
    found = latencies(start=start, end=end)
    return {
        "view": view,
        "range": view.range,
        "presets": PRESETS,
        "groups": GROUPS,
        "measure": view.measure,
        "figures": figures(compared, view if user.has_perm("billing.view_ledgerentry") else None),
        "before": f"{compared.previous_days[0]:%-d %b} to {compared.previous_days[1]:%-d %b %Y}",
        "chart": usage_chart(rows, view),
        "days": days_table(rows, view),
        "group_table": groups,
        "group_shares": group_shares(groups, view.measure),
        # Grouped by user, the table above says it.
        "users": None if view.group_by == "user" else users_table(view),
        "hours": hours_series(view, now),
        "requests": LimitRequest.objects.filter(state=RequestState.PENDING).count(),
        "overruns": _overruns(view),
        "budgets": ledger_tables.budgets_near(now),
        "service": service_tables.service_tables(
            start, end, found, model=view.asked.model, provider=view.asked.provider
        ),
        "objectives": service_tables.objectives_table(start, end, found),
        "incidents": service_tables.incidents_table(start, end),
        "open_incidents": service_tables.open_incidents(),
    }


def table_for_csv(user: User, key: str, query: Mapping[str, str], *, now: datetime) -> Table | None:
    """The whole of one table of the page; None if there is no such table."""
    view = read_view(user, query, now=now)
    start, end = hours_of(view.range)
    match key:
        case "days":
            rows = usage_queries.series(view.asked, "day")
            return days_table(rows, replace(view, range=replace(view.range, preset="")), step="day")
        case "groups":
            return groups_table(view, limit=None)
        case "users":
            return users_table(view, limit=None)
        case "hours":
            return hours_table(view, now)
        case "overruns":
            return _overruns(view)
        case "budgets":
            return ledger_tables.budgets_near(now)
        case "objectives":
            return service_tables.objectives_table(start, end, latencies(start=start, end=end))
        case "incidents":
            return service_tables.incidents_table(start, end)
    found = _service_tables(view)
    return next((table for table in found if table.key == key), None)


def _service_tables(view: View) -> list[Table]:
    start, end = hours_of(view.range)
    found = latencies(start=start, end=end)
    return service_tables.service_tables(
        start, end, found, model=view.asked.model, provider=view.asked.provider
    )


def _overruns(view: View) -> Table:
    days = view.range.first, view.range.last
    return ledger_tables.overruns_table(*days, model=view.asked.model, provider=view.asked.provider)


def hours_of(chosen: Range) -> tuple[datetime, datetime]:
    """The hours of the range, in UTC: calls are counted by the hour at which they ended."""
    start = datetime(chosen.first.year, chosen.first.month, chosen.first.day, tzinfo=UTC)
    return start, start + timedelta(days=chosen.days)


def figures(compared: Comparison, view: View | None) -> list[Figure]:
    """The tiles; ``view``: what their links to the ledger narrow it to, None where it may not be seen."""
    now, before = compared.current, compared.previous
    tiles = [
        ("user", _figure("Tokens billed", now.billed.total_tokens, before.billed.total_tokens, "tokens")),
        ("user", _figure("Cost billed", now.billed.cost_nanousd, before.billed.cost_nanousd, "cost")),
        ("house", _figure("Borne by the house", now.house.cost_nanousd, before.house.cost_nanousd, "cost")),
        ("", _figure("Calls", now.all.calls, before.all.calls, "tokens", detail=_share_text(now.all))),
    ]
    return [replace(one, href=view.entries_link(bearer) if view else "") for bearer, one in tiles]


def _share_text(sums: Sums) -> str:
    if not sums.calls:
        return ""
    estimated = f"{sums.estimated_calls * 100 / sums.calls:.1f} % estimated"
    return f"{estimated}, {sums.unpriced_calls:,} without a price" if sums.unpriced_calls else estimated


def _figure(label: str, value: int, before: int, measure: str, detail: str = "") -> Figure:
    percent = change_percent(value, before)
    text = amount_text(value, measure)
    if percent is None:
        return Figure(label, text, "nothing before" if value else "", "", detail)
    if percent == 0:
        return Figure(label, text, "as much as before", "same", detail)
    word, direction = ("more", "up") if percent > 0 else ("less", "down")
    return Figure(label, text, f"{abs(percent):,} % {word}", direction, detail)


def usage_chart(rows: Sequence[UsageRow], view: View) -> Chart:
    step, measure = view.range.step, view.measure
    columns = [
        Column(
            short_period(_day(row.key), step),
            (amount(row.usage.billed, measure), amount(row.usage.house, measure)),
            title=_bar_title(row, view),
        )
        for row in rows
    ]
    billed = [amount(row.usage.billed, measure) for row in rows]
    return bar_chart(
        columns,
        series=("billed", "house"),
        amount_text=lambda units: axis_text(units, measure),
        trend=moving_average(billed) if len(billed) > 7 else [],
    )


def _bar_title(row: UsageRow, view: View) -> str:
    billed = amount_text(amount(row.usage.billed, view.measure), view.measure)
    return f"{period_text(_day(row.key), view.range.step)}: {billed}"


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
        billed.cost_nanousd,
        house.total_tokens,
        house.cost_nanousd,
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


def group_shares(table: Table, measure: str) -> list[Share]:
    column = 5 if measure == "cost" else 4
    rows = []
    for number, row in enumerate(table.rows[:TOP_USERS]):
        value = row[column]
        assert isinstance(value, int)
        rows.append((str(row[0]), value, table.links[number], amount_text(value, measure)))
    return shares(rows)


def _hours(view: View, now: datetime) -> list[tuple[datetime, usage_queries.Usage]]:
    start, end = hours_of(view.range)
    end = min(end - timedelta(hours=1), now)
    start = max(start, end - timedelta(days=HOURLY_DAYS))
    if start > end:
        return []
    return usage_queries.hours(start, end, model=view.asked.model, kind=view.asked.kind)


def hours_series(view: View, now: datetime) -> dict[str, Any]:
    """The last month's hours for the zoomable chart: seconds since 1970, calls, tokens, USD."""
    found = _hours(view, now)
    return {
        "at": [int(hour.timestamp()) for hour, _ in found],
        "series": [
            {"label": "Calls", "unit": "", "values": [usage.all.calls for _, usage in found]},
            {"label": "Tokens", "unit": "", "values": [usage.all.total_tokens for _, usage in found]},
            {
                "label": "Cost",
                "unit": "$",
                "values": [round(usage.all.cost_nanousd / 10**9, 6) for _, usage in found],
            },
        ],
    }


def hours_table(view: View, now: datetime) -> Table:
    return Table(
        "hours",
        "By hour (UTC)",
        [("Hour", "time"), *_SUM_COLUMNS],
        [[hour, *_sum_cells(UsageRow("", usage))] for hour, usage in _hours(view, now)],
    )


def _day(key: object) -> date:
    assert isinstance(key, date)
    return key


def requests_address() -> str:
    return f"{reverse('admin:billing_limitrequest_changelist')}?state__exact=pending"
