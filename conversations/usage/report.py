"""What a person's usage page shows. Every figure comes from ``billing.usage_queries``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.models import User
from django.urls import reverse

from billing.entry_lists import EntriesAsked, entries_page
from billing.models import LedgerEntry
from billing.receipts import usd
from billing.usage_queries import (
    Asked,
    Average,
    Comparison,
    Order,
    Sums,
    UsageRow,
    by,
    compare,
    series,
    summary,
)
from billing.usage_sums import next_period, period_start
from conversations.models import Conversation, TurnKind
from conversations.templatetags.figures import figure, model_name, money
from conversations.usage.budget_rows import budget_rows
from conversations.usage.charts import Chart, Column, Share, bar_chart, moving_average, shares
from conversations.usage.ranges import PRESETS, Range, period_text, read_range, short_period

CONVERSATIONS_SHOWN = 8
ENTRIES_SHOWN = 10
MEASURES = ("tokens", "cost")
KIND_WORDS = {**{kind.value: kind.label.capitalize() for kind in TurnKind}, "": "Titles and summaries"}


@dataclass(frozen=True, slots=True)
class Tile:
    """A big figure with its change: ``direction`` is up, down, same, or "" where there is nothing before."""

    label: str
    sums: Sums
    direction: str
    change: str
    href: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table behind a chart."""

    label: str
    billed: Sums
    house: Sums
    href: str


@dataclass(frozen=True, slots=True)
class Distribution:
    title: str
    summary: str
    shares: list[Share]
    rows: list[Row]
    group_by: str


def amount(sums: Sums, measure: str) -> int:
    return sums.cost_nanousd if measure == "cost" else sums.total_tokens


def amount_text(units: int, measure: str) -> str:
    return money(usd(units)) or "$0.00" if measure == "cost" else figure(units)


def axis_text(units: int, measure: str) -> str:
    """Short enough for an axis: 20k, 1.5M, $0.02."""
    if measure == "cost":
        return f"${usd(units)}"
    for power, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if units >= power:
            return f"{units / power:g}{letter}"
    return str(units)


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


def entries_url(first: date, last: date, **filters: str) -> str:
    return f"{reverse('usage_entries')}?{urlencode({'from': first, 'to': last, **filters})}"


def distributions(
    user: User, asked: Asked, chosen: Range, measure: str, all_of_it: Sums
) -> list[Distribution]:
    order: Order = "cost" if measure == "cost" else "tokens"
    whole = amount(all_of_it, measure)
    kinds = by(asked, "kind", order=order)
    chats = by(asked, "conversation", order=order, limit=CONVERSATIONS_SHOWN)
    models = by(asked, "model", order=order)
    titles = conversation_titles(user, (row.key for row in chats))
    names = {row.key: model_name(str(row.key)) for row in models}
    return [
        _distribution("By kind of question", "kind", kinds, chosen, measure, whole, KIND_WORDS),
        _distribution("By conversation", "conversation", chats, chosen, measure, whole, titles),
        _distribution("By model", "model", models, chosen, measure, whole, names),
    ]


def _distribution(
    title: str,
    group_by: str,
    found: Sequence[UsageRow],
    chosen: Range,
    measure: str,
    whole: int,
    words: Mapping[Any, str],
) -> Distribution:
    rows = [
        Row(
            words.get(row.key) or "Deleted conversation",
            row.usage.billed,
            row.usage.house,
            entries_url(chosen.first, chosen.last, **{group_by: str(row.key)}),
        )
        for row in found
    ]
    parts = shares(
        [(row.label, amount(row.billed, measure), row.href, _detail(row.billed, measure)) for row in rows],
        whole=whole,
    )
    top = next((one for one in parts if one.amount > 0), None)
    text = f"Most went to {top.label}: {top.percent} %." if top else "Nothing was used."
    return Distribution(title, text, parts, rows, group_by)


def _detail(sums: Sums, measure: str) -> str:
    return amount_text(amount(sums, measure), measure)


def conversation_titles(user: User, keys: Iterable[Any]) -> dict[Any, str]:
    """Titles of the person's own conversations, by their ids."""
    ids = [key for key in keys if isinstance(key, UUID)]
    found = Conversation.objects.owned_by(user).filter(pk__in=ids).values_list("pk", "title", "temporary")
    return {pk: "Temporary chat" if temporary else title or "Untitled" for pk, title, temporary in found}


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A ledger entry as lists show it. ``sign``: a correction says what it changed."""

    entry: LedgerEntry
    conversation: str
    is_there: bool
    model: str
    kind: str
    cost_usd: str | None

    @property
    def what(self) -> str:
        return "" if self.entry.kind == "usage" else self.entry.get_kind_display()

    @property
    def input_tokens(self) -> int:
        return self.entry.input_tokens

    @property
    def output_tokens(self) -> int:
        return self.entry.output_tokens

    @property
    def charged(self) -> bool:
        return self.entry.bearer == "user"


def entry_rows(user: User, entries: Sequence[LedgerEntry]) -> list[EntryRow]:
    """One query, for the titles."""
    titles = conversation_titles(user, (entry.conversation_id for entry in entries))
    return [
        EntryRow(
            entry,
            titles.get(entry.conversation_id) or ("Deleted conversation" if entry.conversation_id else ""),
            entry.conversation_id in titles,
            model_name(entry.model),
            KIND_WORDS.get(entry.turn_kind, entry.turn_kind),
            usd(entry.cost_nanousd),
        )
        for entry in entries
    ]


def _day(key: object) -> date:
    assert isinstance(key, date)
    return key
