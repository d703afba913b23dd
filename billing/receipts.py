"""What an answer cost, in the figures that people see."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from billing.models import Bearer, EntryKind, LedgerEntry
from billing.prices import Rates, rates_by_version


def usd(nanousd: int | None) -> str | None:
    """Nano-USD as a decimal string in USD: 4100000 -> "0.0041"; None stays None."""
    if nanousd is None:
        return None
    amount = Decimal(nanousd).scaleb(-9)
    return format(amount.normalize() if nanousd else Decimal(0), "f")


def receipt(
    entry: LedgerEntry, *, corrections: tuple[LedgerEntry, ...] = (), rates: Rates | None = None
) -> dict[str, Any]:
    """The figures of a usage entry, with its true-up and refunds added if given.

    Counts are inclusive: cached within input, thinking within output. ``cost_usd`` None = price unknown.
    ``charged`` False = the house bears it. One query, for the rates, where the price is known; none where
    ``rates`` are given.
    """
    known = _rates([entry]) if rates is None else {rates.price_version_id: rates}
    return _receipt(entry, corrections, known)


def receipts(entries: Collection[LedgerEntry]) -> dict[UUID, dict[str, Any]]:
    """The same of several usage entries, by their ids; one query for all rates.

    True-ups among the entries are added to the usage of the same hold.
    """
    known = _rates(entries)
    later = {entry.hold_id: entry for entry in entries if entry.kind == EntryKind.TRUEUP}
    return {
        entry.pk: _receipt(entry, (later[entry.hold_id],) if entry.hold_id in later else (), known)
        for entry in entries
        if entry.kind != EntryKind.TRUEUP
    }


def _receipt(
    entry: LedgerEntry, corrections: tuple[LedgerEntry, ...], known_rates: dict[int, Rates]
) -> dict[str, Any]:
    rows = (entry, *corrections)
    total = {name: sum(getattr(row, name) for row in rows) for name in _SUMMED}
    input_tokens = (
        total["input_uncached_tokens"]
        + total["cache_read_tokens"]
        + total["cache_write_tokens"]
        + total["tool_prompt_tokens"]
    )
    output_tokens = total["output_visible_tokens"] + total["thinking_tokens"]
    known = [row.cost_nanousd for row in rows if row.cost_nanousd is not None]
    rates = known_rates.get(entry.price_version_id) if entry.price_version_id is not None else None
    return {
        "input_tokens": input_tokens,
        "cached_tokens": total["cache_read_tokens"],
        "output_tokens": output_tokens,
        "thinking_tokens": total["thinking_tokens"],
        "total_tokens": input_tokens + output_tokens,
        "cost_usd": usd(sum(known)) if known else None,
        "estimated": rows[-1].estimated,
        "rates": None if rates is None else rates.usd_per_million(),
        "price_version": entry.price_version_id,
        "charged": entry.bearer == Bearer.USER,
        "entry_id": str(entry.pk),
    }


_SUMMED = (
    "input_uncached_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "tool_prompt_tokens",
    "output_visible_tokens",
    "thinking_tokens",
)


def _rates(entries: Iterable[LedgerEntry]) -> dict[int, Rates]:
    numbers = {entry.price_version_id for entry in entries if entry.price_version_id is not None}
    return rates_by_version(numbers) if numbers else {}
