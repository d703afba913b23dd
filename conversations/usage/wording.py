"""Amounts and kinds as usage pages and the dashboard say them. Pure."""

from __future__ import annotations

from billing.receipts import usd
from billing.usage_queries import Sums
from conversations.models import TurnKind
from conversations.templatetags.figures import figure, money

KIND_WORDS = {**{kind.value: kind.label.capitalize() for kind in TurnKind}, "": "Titles and summaries"}


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
