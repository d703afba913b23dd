"""Filters of the usage pages."""

from __future__ import annotations

from django import template

from billing.receipts import usd
from billing.usage_queries import Sums
from conversations.templatetags.figures import money

register = template.Library()


@register.filter
def cost(sums: Sums) -> str:
    """What was paid, and how many calls without a known price are not in it."""
    amount = money(usd(sums.cost_nanousd)) or "$0.00"
    if not sums.unpriced_calls:
        return amount
    return (
        "price unknown"
        if sums.unpriced_calls == sums.calls
        else f"{amount} + {sums.unpriced_calls:,} unpriced"
    )
