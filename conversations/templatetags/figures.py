"""Numbers as people read them. ``static/js/format.js`` and ``receipt.js`` write the same in the browser."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from billing.budgets import Meter
from billing.receipts import usd
from conversations.search_words import pattern_of

register = template.Library()

PERIOD_WORDS = {"day": "today", "week": "this week", "month": "this month", "none": "in total"}
SCOPE_WORDS = {
    "user": "Your budget",
    "own": "Your own limit",
    "group": "Your group",
    "conversation": "This conversation",
    "everyone": "The site",
}
# Others use these up as well.
SHARED_SCOPES = ("group", "everyone")
LEVEL_WORDS = {"75": "75 % used", "90": "Almost used up", "100": "Used up"}
PART_WORDS = {
    "system": "system prompt",
    "questions": "your earlier messages",
    "answers": "earlier answers",
    "summary": "summary",
    "tools": "tools",
    "message": "this message",
}
CENT = Decimal("0.00995")
LEAST = Decimal("0.00005")
CENT_STEP, LEAST_STEP = Decimal("0.01"), Decimal("0.0001")


@register.filter
def figure(count: int) -> str:
    return f"{count:,}"


@register.filter
def tokens(count: int) -> str:
    return f"{count:,} {'token' if count == 1 else 'tokens'}"


@register.filter
def money(usd: str | None) -> str:
    """US dollars from a decimal string: four decimals under a cent, else two; "" where unknown."""
    if usd is None or usd == "":
        return ""
    value = Decimal(usd)
    if value == 0:
        return "$0.00"
    if value < 0:
        return f"\u2212{money(str(-value))}"  # a correction gives back
    if value < LEAST:
        return "<$0.0001"
    return f"${value:.4f}" if value < CENT else f"${value:,.2f}"


@register.filter
def at_most(usd: str | None) -> str:
    """The most that something costs: never rounded down, and fine enough to show what a change saves."""
    value = Decimal(usd or 0)
    if value == 0:
        return money(usd)
    if value >= 1:
        return money(str(value.quantize(CENT_STEP, ROUND_CEILING)))
    text = str(value.quantize(LEAST_STEP, ROUND_CEILING))
    # From a cent on without needless noughts: $0.02, $0.0223.
    return f"${text if value < CENT else re.sub('0{1,2}$', '', text)}"


def rate(usd: str) -> str:
    """A price per million tokens: every decimal that it has, and at least the cents."""
    whole, _, rest = usd.partition(".")
    return f"${whole}.{rest.ljust(2, '0')}"


@register.filter
def duration(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {seconds} s"


@register.filter
def model_name(model: str) -> str:
    return model.partition(":")[2] or model


@register.filter
def remaining(moment: datetime) -> str:
    """How long until a moment, in two units at most."""
    left = max(0, -int((timezone.now() - moment).total_seconds() // 1))
    if left < 60:
        return f"{left} s"
    minutes = left // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


@register.filter
def marked(text: str, query: str | None) -> SafeString:
    """The text with what was searched for in ``<mark>``."""
    pattern = pattern_of(query or "")
    if pattern is None:
        return format_html("{}", text)
    places = list(pattern.finditer(text))
    ends = [0, *(place.end() for place in places)]
    parts = [(text[end : place.start()], place[0]) for end, place in zip(ends, places, strict=False)]
    return format_html_join("", "{}<mark>{}</mark>", parts) + format_html("{}", text[ends[-1] :])


# --- Receipts -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    value: str
    kind: str = ""  # "part": of the row above; "sum": a total
    href: str = ""  # where the value leads


@register.filter
def receipt_line(receipt: Mapping[str, Any]) -> str:
    mark = "~" if receipt["estimated"] else ""
    charged = receipt.get("charged") is not False
    parts = [
        mark + tokens(receipt["total_tokens"]) if charged or receipt["total_tokens"] else "",
        duration(receipt["duration_ms"] or None),
        money(receipt["cost_usd"]) if charged else "",
        "estimated" if receipt["estimated"] else "",
        "" if charged else "not charged",
    ]
    return " · ".join(part for part in parts if part)


@register.filter
def receipt_rows(receipt: Mapping[str, Any]) -> list[Row]:
    mark = "~" if receipt["estimated"] else ""
    rows = [Row("Input", f"{mark}{receipt['input_tokens']:,}")]
    if receipt["cached_tokens"]:
        rows.append(Row("of which cached", figure(receipt["cached_tokens"]), "part"))
    rows += part_rows(receipt.get("breakdown") or {})
    rows.append(Row("Output", f"{mark}{receipt['output_tokens']:,}"))
    if receipt["thinking_tokens"]:
        rows.append(Row("of which thinking", figure(receipt["thinking_tokens"]), "part"))
    if receipt.get("expected_rest_tokens"):
        rows.append(Row("of a whole answer missing", f"≈ {receipt['expected_rest_tokens']:,}", "part"))
    rows.append(Row("Total tokens", f"{mark}{receipt['total_tokens']:,}", "sum"))
    rows.append(Row("Cost", _cost_text(receipt), "sum"))
    if rates := receipt.get("rates"):
        text = f"{rate(rates['input'])} in · {rate(rates['cache_read'])} cached · {rate(rates['output'])} out"
        rows.append(Row("Rates per million", text, "part"))
    if receipt.get("price_version"):
        rows.append(Row("Price version", str(receipt["price_version"]), "part"))
    if receipt["first_token_ms"] is not None:
        rows.append(Row("First token after", duration(receipt["first_token_ms"])))
    if receipt["duration_ms"] is not None:
        rows.append(Row("Generation time", duration(receipt["duration_ms"])))
    if receipt.get("attempts", 0) > 1:
        rows.append(Row("Attempts", str(receipt["attempts"])))
    rows.append(Row("Model", receipt["model_label"]))
    rows.append(Row("Model id", receipt["model"], "part"))
    if receipt.get("temperature") is not None and receipt["total_tokens"]:
        rows.append(Row("Temperature", f"{receipt['temperature']:g}", "part"))
    if receipt["estimated"]:
        rows.append(Row("Estimated", "the provider has not reported"))
    if entry_id := receipt.get("entry_id"):
        rows.append(Row("Ledger entry", f"…{entry_id[-8:]}", href=reverse("usage_entry", args=[entry_id])))
    return rows


@register.filter
def part_rows(breakdown: Mapping[str, int]) -> list[Row]:
    """What an input consists of, where it is more than the message alone. Shares, so about."""
    present = [name for name in PART_WORDS if breakdown.get(name)]
    if present in ([], ["message"]):
        return []
    return [Row(PART_WORDS[name], f"≈ {breakdown[name]:,}", "part") for name in present]


def _cost_text(receipt: Mapping[str, Any]) -> str:
    if receipt.get("charged") is False:
        return "not charged"
    return money(receipt["cost_usd"]) or "price unknown"


# --- Meters -------------------------------------------------------------------


def _amount(meter: Meter, units: int) -> str:
    return money(usd(units)) if meter.is_money else figure(units)


@register.filter
def budget_text(meter: Meter) -> str:
    """ "450 / 4,000 tokens today (11 %)"."""
    unit = "" if meter.is_money else " tokens"
    period = PERIOD_WORDS.get(meter.period, "")
    if meter.limit is None:
        return f"{_amount(meter, meter.used)}{unit} {period}, no limit"
    limit = f"{_amount(meter, meter.limit)}{unit}"
    return f"{_amount(meter, meter.used)} / {limit} {period} ({meter.percent} %)"


@register.filter
def budget_key(meter: Meter) -> str:
    unit = "usd" if meter.is_money else "tokens"
    return f"{meter.scope}:{unit}:{meter.period}:{meter.model or ''}"


@register.filter
def limit_amount(meter: Meter) -> str:
    """For the script: tokens, or USD as a decimal string."""
    return (usd(meter.limit) or "") if meter.is_money else str(meter.limit)


@register.filter
def scope_word(meter: Meter) -> str:
    return SCOPE_WORDS.get(meter.scope, "Budget")


@register.filter
def head_text(meter: Meter) -> str:
    """The same with whose it is, where it is not the person's own: "The site: 984 / 900,000 tokens ..."."""
    text = budget_text(meter)
    return f"{scope_word(meter)}: {text}" if meter.scope in SHARED_SCOPES else text


@register.filter
def short_text(meter: Meter) -> str:
    """The same where there is less room: "The site: 984 / 900,000 (0 %)"."""
    text = f"{_amount(meter, meter.used)} / {_amount(meter, meter.limit or 0)} ({meter.percent} %)"
    return f"{scope_word(meter)}: {text}" if meter.scope in SHARED_SCOPES else text


@register.filter
def level_word(level: str) -> str:
    return LEVEL_WORDS.get(level, "")


@register.filter
def period_word(period: str) -> str:
    return PERIOD_WORDS.get(period, "")


@register.simple_tag
def icon(name: str) -> SafeString:
    return format_html('<svg class="icon" aria-hidden="true"><use href="#i-{}"></use></svg>', name)


WAIT_WORDS = {
    "rate_limit": "Service busy, sending in {wait} ({attempt} of {max_attempts})",
    "retry": "The service had an error, sending in {wait} ({attempt} of {max_attempts})",
    "capacity": "Waiting for a free place, sending in {wait}",
    "outage": "Service down, trying again in {wait}",
    "choice": "Service busy for {wait}. What now?",
    "scheduled": "Sending in {wait}",
    "fallback": "Passing your question on",
}


@register.filter
def wait_title(waiting: Mapping[str, Any]) -> str:
    """What an answer waits for; ``static/js/wait_words.js`` counts it down."""
    words = WAIT_WORDS.get(waiting["reason"], "Taking up your question again")
    seconds = max(math.ceil(waiting["wait_seconds"]), 1)
    return words.format(wait=_span(seconds), attempt=waiting["attempt"], max_attempts=waiting["max_attempts"])


def _span(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
