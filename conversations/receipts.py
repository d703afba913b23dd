"""Receipts: what an answer used and what it cost, from the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from billing import receipts as ledger_receipts
from billing.holds import Settlement
from billing.models import Bearer, EntryKind, LedgerEntry
from conversations.models import Generation, State
from conversations.notes import model_label
from conversations.parts import expected_rest, parts_of

Receipt = dict[str, Any]

# The newest whole answers of a person, by which the rest of a cut one is expected.
ANSWERS = 100

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


def receipt(generation: Generation, settlement: Settlement | None) -> Receipt:
    """The receipt of a generation that has just ended, from what its settlement brought.

    ``charged`` False: the house bears it, or nothing was used. ``breakdown``: what the input consisted of,
    our shares of the provider's figure. ``expected_rest_tokens``: of an answer that was cut, else None.
    ``temperature``: what the model was called with, None where it takes none. ``attempts``: calls of the
    provider that it took.
    """
    entry = settlement.entry if settlement else None
    figures = None
    if settlement is not None and entry is not None:
        figures = ledger_receipts.receipt(entry, rates=settlement.rates)
    return _receipt(generation, figures, _rests([(generation, entry)]).get(generation.pk))


def _receipt(generation: Generation, figures: Receipt | None, rest: int | None) -> Receipt:
    found = figures or NOTHING_USED
    parts = parts_of(generation).scaled(found["input_tokens"])
    return {
        **found,
        "breakdown": asdict(parts) if found["input_tokens"] else None,
        "expected_rest_tokens": rest,
        "first_token_ms": generation.first_token_ms,
        "duration_ms": generation.duration_ms,
        "attempts": generation.attempts,
        "temperature": generation.temperature,
        "model": generation.model,
        "model_label": model_label(generation.model),
    }


def receipts(generations: Iterable[Generation]) -> dict[uuid.UUID, Receipt]:
    """Receipts of those that have ended, by the generation's id; a query for entries, one for rates."""
    rows = [generation for generation in generations if not generation.is_live]
    holds = [row.hold_id for row in rows if row.hold_id is not None]
    entries = LedgerEntry.objects.filter(kind__in=(EntryKind.USAGE, EntryKind.TRUEUP), hold_id__in=holds)
    figures = ledger_receipts.receipts(entries)
    by_hold = {entry.hold_id: entry for entry in entries if entry.kind == EntryKind.USAGE}
    pairs = [(row, by_hold.get(row.hold_id)) for row in rows]
    rests = _rests(pairs)
    return {
        row.pk: _receipt(row, None if entry is None else figures[entry.pk], rests.get(row.pk))
        for row, entry in pairs
    }


def _rests(pairs: Iterable[tuple[Generation, LedgerEntry | None]]) -> dict[uuid.UUID, int]:
    """The expected rest of those that were cut; a query for each person and model among them."""
    found: dict[uuid.UUID, int] = {}
    lengths: dict[tuple[int, str], list[int]] = {}
    for row, entry in pairs:
        received = 0 if entry is None else entry.output_visible_tokens
        if entry is None or not received or not _is_cut(row):
            continue
        key = (entry.user_id, entry.model)
        if key not in lengths:
            whole = LedgerEntry.objects.filter(
                user_id=entry.user_id, kind=EntryKind.USAGE, model=entry.model, estimated=False
            ).filter(purpose="answer", bearer=Bearer.USER)
            lengths[key] = list(
                whole.order_by("-local_day", "-id").values_list("output_visible_tokens", flat=True)[:ANSWERS]
            )
        found[row.pk] = expected_rest(received, lengths[key], most_tokens=row.output_cap_tokens)
    return found


def _is_cut(generation: Generation) -> bool:
    cut = generation.state in (State.STOPPED, State.INTERRUPTED)
    return bool(generation.text) and (cut or generation.finish_reason == "length")


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
