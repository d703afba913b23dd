"""The dashboard's tiles and charts of usage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from billing import usage_queries
from billing.usage_queries import Comparison, Sums, UsageRow
from billing.usage_sums import change_percent
from conversations.usage.charts import Chart, Column, Share, bar_chart, moving_average, shares
from conversations.usage.ranges import period_text, short_period
from conversations.usage.wording import amount, amount_text, axis_text
from monitoring.dashboard_view import View
from monitoring.tables import Table
from monitoring.usage_tables import TOP_USERS, hours_shown


@dataclass(frozen=True, slots=True)
class Figure:
    """A tile: its figure in words, and its change against the days before."""

    label: str
    text: str
    change: str
    direction: str
    detail: str = ""
    href: str = ""


def figures(compared: Comparison, view: View | None) -> list[Figure]:
    """The tiles; ``view``: what their links to the ledger narrow it to, None where it may not be seen."""
    now, before = compared.current, compared.previous
    tiles = [
        ("user", _figure("Tokens billed", now.billed.total_tokens, before.billed.total_tokens, "tokens")),
        ("user", _figure("Cost billed", now.billed.known_cost_nanousd, before.billed.cost_nanousd, "cost")),
        (
            "house",
            _figure("Borne by the house", now.house.known_cost_nanousd, before.house.cost_nanousd, "cost"),
        ),
        ("", _figure("Calls", now.all.calls, before.all.calls, "tokens", detail=_share_text(now.all))),
    ]
    return [replace(one, href=view.entries_link(bearer) if view else "") for bearer, one in tiles]


def _share_text(sums: Sums) -> str:
    if not sums.calls:
        return ""
    estimated = f"{sums.estimated_calls * 100 / sums.calls:.1f} % estimated"
    return f"{estimated}, {sums.unpriced_calls:,} without a price" if sums.unpriced_calls else estimated


def _figure(label: str, value: int | None, before: int, measure: str, detail: str = "") -> Figure:
    if value is None:
        return Figure(label, "price unknown", "", "", detail)
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


def group_shares(table: Table, measure: str) -> list[Share]:
    column = 5 if measure == "cost" else 4
    rows = []
    for number, row in enumerate(table.rows[:TOP_USERS]):
        value = row[column]
        if value is None:  # what has no price has no share of the costs
            continue
        assert isinstance(value, int)
        rows.append((str(row[0]), value, table.links[number], amount_text(value, measure)))
    return shares(rows)


def hours_series(view: View, now: datetime) -> dict[str, Any]:
    """The last month's hours for the zoomable chart: seconds since 1970, calls, tokens, USD."""
    shown, asked = hours_shown(view, now), view.asked
    found = usage_queries.hour_totals(*shown, model=asked.model, kind=asked.kind) if shown else []
    totals = [of_hour for _, of_hour in found]
    return {
        "at": [int(hour.timestamp()) for hour, _ in found],
        "series": [
            {"label": "Calls", "unit": "", "values": [calls for calls, _, _ in totals]},
            {"label": "Tokens", "unit": "", "values": [tokens for _, tokens, _ in totals]},
            {"label": "Cost", "unit": "$", "values": [round(cost / 10**9, 6) for _, _, cost in totals]},
        ],
    }


def _day(key: object) -> date:
    assert isinstance(key, date)
    return key
