"""Filters of the usage pages."""

from __future__ import annotations

from django import template

from billing.receipts import usd
from billing.usage_queries import Sums
from conversations.templatetags.figures import figure, money

register = template.Library()


@register.filter
def cost(sums: Sums) -> str:
    """What was paid, with a mark where calls without a known price are among them."""
    amount = money(usd(sums.cost_nanousd)) or "$0.00"
    if not sums.unpriced_calls:
        return amount
    return "price unknown" if sums.unpriced_calls == sums.calls else f"{amount} + ?"


@register.filter
def signed(count: int) -> str:
    """A correction's count, with its sign."""
    return f"+{figure(count)}" if count > 0 else figure(count).replace("-", "\u2212")


@register.filter
def minus(text: str) -> str:
    """-$0.10 is written with a real minus, before the dollar."""
    return f"\u2212{text.replace('-', '')}" if "-" in text else text
