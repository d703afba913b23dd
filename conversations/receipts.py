"""Receipts: what an answer used and what it cost, from the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from billing import receipts as ledger_receipts
from billing.models import EntryKind, LedgerEntry
from conversations.models import Generation

Receipt = dict[str, Any]

# Nothing was sent, or the provider refused it before any work.
NOTHING_USED: Receipt = {
    "input_tokens": 0,
    "cached_tokens": 0,
    "output_tokens": 0,
    "thinking_tokens": 0,
    "total_tokens": 0,
    "cost_usd": "0",
    "estimated": False,
    "rates": None,
    "price_version": None,
    "charged": False,
    "entry_id": None,
}


def receipt(generation: Generation, entry: LedgerEntry | None) -> Receipt:
    """The receipt of a generation that has ended.

    ``charged`` False: the house bears it, or nothing was used.
    """
    return _receipt(generation, None if entry is None else ledger_receipts.receipt(entry))


def _receipt(generation: Generation, figures: Receipt | None) -> Receipt:
    return {
        **(figures or NOTHING_USED),
        "first_token_ms": generation.first_token_ms,
        "duration_ms": generation.duration_ms,
        "model": generation.model,
    }


def receipts(generations: Iterable[Generation]) -> dict[uuid.UUID, Receipt]:
    """Receipts of those that have ended, by the generation's id; a query for entries, one for rates."""
    rows = [generation for generation in generations if not generation.is_live]
    holds = [row.hold_id for row in rows if row.hold_id is not None]
    entries = LedgerEntry.objects.filter(kind=EntryKind.USAGE, hold_id__in=holds)
    figures = ledger_receipts.receipts(entries)
    by_hold = {entry.hold_id: figures[entry.pk] for entry in entries}
    return {row.pk: _receipt(row, by_hold.get(row.hold_id)) for row in rows}


def total(receipts_: Iterable[Receipt]) -> dict[str, Any]:
    """Tokens and cost of several receipts together, as far as the person bears them.

    ``cost_usd`` None = the price of one of them is unknown.
    """
    tokens, cost, unknown = 0, Decimal(0), False
    for one in receipts_:
        if not one["charged"]:
            continue
        tokens += one["total_tokens"]
        if one["cost_usd"] is None:
            unknown = True
        else:
            cost += Decimal(one["cost_usd"])
    return {"total_tokens": tokens, "cost_usd": None if unknown else format(cost.normalize(), "f")}
