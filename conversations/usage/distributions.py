"""Where usage went: by kind of question, by conversation, by model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.urls import reverse

from billing.usage_queries import Asked, Order, Sums, UsageRow, by
from conversations.templatetags.figures import model_name
from conversations.usage.charts import Share, shares
from conversations.usage.entry_rows import conversation_titles
from conversations.usage.ranges import Range
from conversations.usage.wording import KIND_WORDS, amount, amount_text

CONVERSATIONS_SHOWN = 8


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
