"""What the usage dashboard of the admin shows: only rollups are read, and nothing of what people wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse

from billing import usage_queries
from billing.models import LimitRequest, RequestState
from conversations.call_figures import latencies
from conversations.usage.ranges import PRESETS
from monitoring import ledger_tables, service_tables
from monitoring.dashboard_view import GROUPS, View, hours_of, read_view
from monitoring.tables import Table
from monitoring.usage_charts import figures, group_shares, hours_series, usage_chart
from monitoring.usage_tables import days_table, groups_table, hours_table, users_table


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


def requests_address() -> str:
    return f"{reverse('admin:billing_limitrequest_changelist')}?state__exact=pending"
