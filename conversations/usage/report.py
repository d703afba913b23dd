"""What a person's usage page shows. Every figure comes from ``billing.usage_queries``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.contrib.auth.models import User

from billing.entry_lists import EntriesAsked, entries_page
from billing.receipts import usd
from billing.usage_queries import Asked, Average, Comparison, Sums, UsageRow, compare, series, summary
from billing.usage_sums import next_period, period_start
from conversations.usage.budget_rows import budget_rows
from conversations.usage.charts import Chart, Column, bar_chart, moving_average
from conversations.usage.distributions import Row, distributions, entries_url
from conversations.usage.entry_rows import entry_rows
from conversations.usage.ranges import PRESETS, Range, period_text, read_range, short_period
from conversations.usage.wording import amount, amount_text, axis_text

ENTRIES_SHOWN = 10
MEASURES = ("tokens", "cost")


@dataclass(frozen=True, slots=True)
class Tile:
    """A big figure with its change: ``direction`` is up, down, same, or "" where there is nothing before."""

    label: str
    sums: Sums
    direction: str
    change: str
    href: str


def usage_page(user: User, query: Mapping[str, str], *, now: datetime) -> dict[str, Any]:
    """The context of the usage page; ``zone`` is the one in which its times are to be shown."""
    head = summary(user.pk, now=now)
    chosen = read_range(query, head.day)
    measure = query["measure"] if query.get("measure") in MEASURES else "tokens"
    asked = Asked(first_day=chosen.first, last_day=chosen.last, user_id=user.pk)
    compared = compare(asked)
    rows = series(asked, chosen.step)  # type: ignore[arg-type]  # Range gives one of its steps
    return {
        "zone": head.timezone,
        "range": chosen,
        "presets": PRESETS,
        "measure": measure,
        "tiles": tiles(head.today, head.week, head.month, head.day),
        "average": head.per_conversation,
        "here": "usage",
        "average_cost": usd(head.per_conversation.cost_nanousd),
        "average_known": head.month.current.billed.known_cost_nanousd is not None,
        "average_text": average_text(head.per_conversation),
        "budgets": budget_rows(user_id=user.pk, zone=head.timezone, now=now),
        "compared": compared,
        "change": change_of(compared, measure, f"the {chosen.days} days before"),
        "chart": usage_chart(rows, chosen, measure),
        "chart_rows": table_rows(rows, chosen),
        "distributions": distributions(user, asked, chosen, measure, compared.current.billed),
        "entries": entry_rows(user, entries_page(EntriesAsked(user_id=user.pk), limit=ENTRIES_SHOWN).entries),
    }


def tiles(today: Comparison, week: Comparison, month: Comparison, day: date) -> list[Tile]:
    found = (
        ("Today", today, "yesterday", "day"),
        ("This week", week, "the same days last week", "week"),
        ("This month", month, "the same days last month", "month"),
    )
    return [
        Tile(
            label,
            one.current.billed,
            *change_of(one, "tokens", before),
            href=f"?from={period_start(day, step)}&to={day}",
        )
        for label, one, before, step in found
    ]


def change_of(compared: Comparison, measure: str, before: str) -> tuple[str, str]:
    """The direction and the words of a change."""
    percent = compared.cost_percent if measure == "cost" else compared.tokens_percent
    if percent is None:
        nothing = not amount(compared.current.billed, measure)
        return "", "" if nothing else f"nothing in {before}" if "days" in before else f"nothing {before}"
    if percent == 0:
        return "same", f"as much as {before}"
    word = "more" if percent > 0 else "less"
    return ("up" if percent > 0 else "down"), f"{abs(percent):,} % {word} than {before}"


def average_text(average: Average) -> str:
    chats = "conversation" if average.conversations == 1 else "conversations"
    return f"{average.conversations:,} {chats} this month"


def usage_chart(rows: Sequence[UsageRow], chosen: Range, measure: str) -> Chart:
    """Stacked bars of what was billed and what the house bore, with the trend of what was billed."""
    columns = [
        Column(
            short_period(_day(row.key), chosen.step),
            (amount(row.usage.billed, measure), amount(row.usage.house, measure)),
            title=_bar_title(row, chosen, measure),
            href=entries_link(_day(row.key), chosen),
        )
        for row in rows
    ]
    trend = moving_average([amount(row.usage.billed, measure) for row in rows]) if len(rows) > 7 else []
    return bar_chart(
        columns,
        series=("billed", "house"),
        amount_text=lambda units: axis_text(units, measure),
        trend=trend,
    )


def _bar_title(row: UsageRow, chosen: Range, measure: str) -> str:
    unit = "" if measure == "cost" else " tokens"
    billed = amount_text(amount(row.usage.billed, measure), measure)
    text = f"{period_text(_day(row.key), chosen.step)}: {billed}{unit}"
    house = amount(row.usage.house, measure)
    return f"{text}, and {amount_text(house, measure)}{unit} not charged" if house else text


def table_rows(rows: Iterable[UsageRow], chosen: Range) -> list[Row]:
    return [
        Row(
            period_text(_day(row.key), chosen.step),
            row.usage.billed,
            row.usage.house,
            entries_link(_day(row.key), chosen),
        )
        for row in rows
    ]


def entries_link(first: date, chosen: Range) -> str:
    """The entries behind a bar: the days of its period that were asked for."""
    last = next_period(first, chosen.step).toordinal() - 1
    return entries_url(max(first, chosen.first), min(date.fromordinal(last), chosen.last))


def _day(key: object) -> date:
    assert isinstance(key, date)
    return key
