"""Providers' billing files: Google Cloud's cost report and cost table, OpenAI's usage and cost exports. Pure.

The columns are those of exports as the consoles make them; see ``tests/monitoring/bills``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from decimal import InvalidOperation

from monitoring.bill_rows import BillUnreadable, Row, Sheet, decoded, find_sheet, rows_of, whole
from monitoring.bill_sums import NANO, BillSum, added_up, match_model

__all__ = ["BillFile", "BillSum", "BillUnreadable", "match_model", "read_bill"]


@dataclass(frozen=True, slots=True)
class BillFile:
    """``zone``: where the provider's days begin. ``sums``: by day and model, in order."""

    format: str
    provider: str
    zone: str
    sums: tuple[BillSum, ...]


class CurrencyUnnamed(BillUnreadable):
    """The file says "$" and nothing more: which dollars these are, whoever imports it has to say."""


def read_bill(file: str | bytes, *, currency: str = "") -> BillFile:
    """``currency``: an ISO code, for a file whose "$" may be of several countries.

    Raises BillUnreadable for anything that is none of the known files, and CurrencyUnnamed.
    """
    text = decoded(file) if isinstance(file, bytes) else file
    sheet = find_sheet(text, lambda names: _format_of(names) is not None)
    known = _format_of(frozenset(sheet.names)) if sheet is not None else None
    if sheet is not None and known is not None:
        told = replace(sheet, preamble={**sheet.preamble, _TOLD: currency})
        return BillFile(known.name, known.provider, known.zone, _sums(known, told))
    for needs, sentence in _NEARLY:
        if find_sheet(text, needs.issubset) is not None:
            raise BillUnreadable(sentence)
    raise BillUnreadable(
        "This is neither Google Cloud's cost report or cost table nor OpenAI's usage or cost export."
    )


def _sums(known: _Format, sheet: Sheet) -> tuple[BillSum, ...]:
    found = []
    for number, row in enumerate(rows_of(sheet), start=1):
        try:
            one = known.read(row)
        except BillUnreadable:
            raise
        except (ValueError, InvalidOperation, OverflowError) as error:
            raise BillUnreadable(f"Line {number} after the header cannot be read: {error}.") from error
        if one is not None:
            found.append(one)
    if not found:
        raise BillUnreadable("The file holds no line about a model.")
    return added_up(found)


# --- Google Cloud -----------------------------------------------------------------

_GEMINI = re.compile(
    r"\bgemini (\d+(?:\.\d+)?) (flash lite|flash|pro|ultra)\b(?: (tts|live|native audio|computer use))?"
)
_MONEY = re.compile(r"(unrounded )?(subtotal|cost) \((.*)\)")
# Said in place of an ISO code.
OTHER = "other"
# Beside the labels of the file: what was said of its currency.
_TOLD = "currency as told"
_US_DOLLARS = ("USD", "US$")
_TOKENS = {"count": 1, "tokens": 1, "token": 1, "1k tokens": 1000, "million tokens": 10**6}


def _google_report(row: Row) -> BillSum | None:
    """A line of the page *Reports*, grouped by date and SKU; totals at its end have no date."""
    return _google(row, "date", "date") if row.text("date") and row.text("sku description") else None


def _google_table(row: Row) -> BillSum | None:
    """A line of the page *Cost table*, which tells each SKU from its first to its last day of use.

    Credits, taxes and adjustments are no usage.
    """
    kind = row.text("cost type").lower()
    if not row.text("usage start date") or row.text("credit type") or kind not in ("", "usage"):
        return None
    return _google(row, "usage start date", "usage end date")


def _google(row: Row, first: str, last: str) -> BillSum | None:
    sku = re.sub(r"[\s_-]+", " ", row.text("sku description")).lower()
    model = _google_model(sku, row.text("service description").lower())
    if model is None:
        return None
    day = row.day(first)
    is_output, is_cached = "output" in sku, "cach" in sku and "storage" not in sku
    tokens = _google_tokens(row)
    return BillSum(
        day,
        row.day(last) if row.text(last) else day,
        model,
        input_tokens=tokens if not is_output and (is_cached or "input" in sku) else None,
        cached_tokens=tokens if is_cached and not is_output else None,
        output_tokens=tokens if is_output else None,
        cost_nanousd=_google_cost(row),
    )


def _google_model(sku: str, service: str) -> str | None:
    """None for other products. What the Gemini API bills beside these models goes by its SKU, so as not to
    be lost.
    """
    found = _GEMINI.search(sku)
    if found is None:
        return sku if service == "gemini api" else None
    name = "-".join(part.replace(" ", "-") for part in ("gemini", *found.groups()) if part)
    return f"{name}-image" if "image" in sku and "output" in sku else name


def _google_tokens(row: Row) -> int | None:
    amount = row.number("usage amount")
    factor = _TOKENS.get((row.text("usage unit") or "count").lower())
    return None if amount is None or factor is None else whole(amount * factor, 1)


def _google_cost(row: Row) -> int | None:
    """In USD: other currencies by the exchange rate that stands before the header."""
    named = {name: match for name in row.cells if (match := _MONEY.fullmatch(name))}
    # What is not rounded first, then what is due, then what it costs by the list.
    for name in sorted(named, key=lambda name: (not named[name][1], named[name][2] != "subtotal")):
        amount = row.number(name)
        if amount is not None:
            currency = _google_currency(row, named[name][3].upper())
            if currency in _US_DOLLARS:
                return whole(amount, NANO)
            rate = Row(row.preamble).number("currency exchange rate")
            if not rate or rate < 0:
                name = "another currency" if currency == OTHER.upper() else currency
                raise BillUnreadable(
                    f"Costs are in {name}; only US dollars can be compared, or what has an exchange rate."
                )
            return whole(amount / rate, NANO)
    return None


def _google_currency(row: Row, symbol: str) -> str:
    """The cost table names its currency; the report has its symbol alone, and "$" is that of many."""
    named = row.preamble.get("currency", "").upper()
    if named or symbol != "$":
        return named or symbol
    told = row.preamble.get(_TOLD, "").upper()
    if not told:
        raise CurrencyUnnamed(
            'The file says "$" and names no currency: say whether your billing account is in US dollars.'
        )
    return told


# --- OpenAI -------------------------------------------------------------------------


def _openai_usage(row: Row) -> BillSum | None:
    model = row.text("model").lower()
    tokens = row.count("input_tokens"), row.count("output_tokens")
    if not model:
        if any(tokens):
            raise BillUnreadable("The usage is not told by model: export it again, grouped by model.")
        return None  # a day without usage
    day = _openai_day(row)
    return BillSum(
        day,
        day,
        model,
        requests=row.count("num_model_requests"),
        input_tokens=tokens[0],
        cached_tokens=row.count("input_cached_tokens"),
        output_tokens=tokens[1],
    )


def _openai_costs(row: Row) -> BillSum | None:
    model = row.text("line_item").partition(",")[0].strip().lower()
    amount = row.number("amount_value")
    if amount is None:
        return None  # a day without costs
    currency = (row.text("amount_currency") or "usd").lower()
    if currency != "usd":
        raise BillUnreadable(f"Costs are in {currency}; only US dollars can be compared.")
    if not model:
        raise BillUnreadable("The costs are not told by model: export them again, grouped by line item.")
    day = _openai_day(row)
    return BillSum(day, day, model, cost_nanousd=whole(amount, NANO))


def _openai_day(row: Row) -> date:
    return row.day("start_time_iso" if row.text("start_time_iso") else "start_time")


# --- All ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    provider: str
    zone: str
    needs: frozenset[str]
    read: Callable[[Row], BillSum | None]


_PACIFIC = "America/Los_Angeles"  # Google's usage dates are those of the US west coast
_SKU = "sku description"
_FORMATS = (
    _Format("Google Cloud cost report", "gemini", _PACIFIC, frozenset({_SKU, "date"}), _google_report),
    _Format(
        "Google Cloud cost table", "gemini", _PACIFIC, frozenset({_SKU, "usage start date"}), _google_table
    ),
    _Format(
        "OpenAI usage", "openai", "UTC", frozenset({"model", "input_tokens", "output_tokens"}), _openai_usage
    ),
    _Format("OpenAI costs", "openai", "UTC", frozenset({"line_item", "amount_value"}), _openai_costs),
)
# Exports of the right page with the wrong settings.
_NEARLY = (
    (frozenset({_SKU}), "The report tells no days: group it by date and SKU, and download it again."),
    (
        frozenset({"service description", "date"}),
        "The report tells no models: group it by date and SKU, and download it again.",
    ),
    (frozenset({"input_tokens", "output_tokens"}), "The usage is not told by model: group it by model."),
    (frozenset({"amount_value"}), "The costs are not told by model: group them by line item."),
)


def _format_of(names: frozenset[str]) -> _Format | None:
    return next((known for known in _FORMATS if known.needs <= names), None)
