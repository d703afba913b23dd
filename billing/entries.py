"""Corrections: true-ups, refunds and adjustments. Each is a new entry; nothing written is changed.

A correction posts to the buckets of the entry that it corrects and counts on that entry's day.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from billing import postings, prices, sql
from billing.errors import InvalidAmount
from billing.models import TOKEN_COLUMNS, EntryKind, Hold, HoldState, LedgerEntry, PriceVersion, Unit
from billing.postings import Move
from billing.usage import UsageCounts

_POSTED_TO = """
SELECT p.bucket_id, k.unit, k.posted, k.limit_units, k.limit_version, k.notified_percent, b.thresholds,
       k.drawn
FROM billing_posting p JOIN billing_bucket k ON k.id = p.bucket_id
     JOIN billing_budget b ON b.id = k.budget_id
WHERE p.entry_id = %s ORDER BY p.bucket_id
"""


def true_up(
    hold_id: UUID,
    *,
    usage: UsageCounts,
    raw: dict[str, Any] | None = None,
    reported_input_tokens: int | None = None,
    reported_output_tokens: int | None = None,
    now: datetime | None = None,
) -> LedgerEntry | None:
    """The provider's figures came after an estimate was settled: post the signed difference, once.

    Returns the true-up (the first one if there was one before); None where nothing was estimated.
    """
    with transaction.atomic():
        hold = Hold.objects.select_for_update().filter(pk=hold_id, state=HoldState.SETTLED).first()
        first = None if hold is None else hold.settled_entry
        if hold is None or first is None or not first.estimated:
            return None
        entry = _copy(first, EntryKind.TRUEUP, f"trueup:{hold_id}", now or timezone.now())
        entry.hold_id = hold.pk
        for column, count in zip(TOKEN_COLUMNS, usage.as_tuple(), strict=True):
            setattr(entry, column, count - getattr(first, column))
        entry.usage_raw = raw
        entry.reported_input_tokens, entry.reported_output_tokens = (
            reported_input_tokens,
            reported_output_tokens,
        )
        if first.price_version_id is not None and first.cost_nanousd is not None:
            tier = prices.pick_tier(prices.sibling_tiers(first.price_version_id), usage.input_total)
            assert tier is not None
            entry.price_version_id = tier.price_version_id
            entry.cost_nanousd = prices.usage_cost(tier, usage) - first.cost_nanousd
        return _write(entry, first)


def refund(
    entry_id: UUID, *, reason: str, actor_id: int | None = None, now: datetime | None = None
) -> LedgerEntry:
    """Undo an entry by a new one of opposite sign. Refunding again returns the first refund.

    Raises InvalidAmount for what cannot be refunded: refunds, grants, unknown entries.
    """
    with transaction.atomic():
        original = _correctable(entry_id)
        entry = _copy(original, EntryKind.REFUND, f"refund:{entry_id}", now or timezone.now())
        entry.reverses_id = original.pk
        entry.price_version_id = original.price_version_id
        for column in TOKEN_COLUMNS:
            setattr(entry, column, -getattr(original, column))
        entry.cost_nanousd = None if original.cost_nanousd is None else -original.cost_nanousd
        entry.note, entry.actor_id = reason[:200], actor_id
        return _write(entry, original)


def adjust(
    entry_id: UUID,
    *,
    key: str,
    usage: UsageCounts,
    cost_nanousd: int | None,
    reason: str,
    credit: bool = False,
    actor_id: int | None = None,
    price_version_id: int | None = None,
    now: datetime | None = None,
) -> LedgerEntry:
    """Charge (or with ``credit`` give back) these tokens and this cost, as a correction of an entry.

    The same key again returns the first adjustment. Raises InvalidAmount where it would take more back
    than the budgets have posted.
    """
    if cost_nanousd is not None and (type(cost_nanousd) is not int or cost_nanousd < 0):
        raise InvalidAmount(f"a cost is a whole number of nano-USD from 0 on, not {cost_nanousd!r}")
    sign = -1 if credit else 1
    with transaction.atomic():
        original = _correctable(entry_id)
        entry = _copy(original, EntryKind.ADJUST, f"adjust:{key}", now or timezone.now())
        for column, count in zip(TOKEN_COLUMNS, usage.as_tuple(), strict=True):
            setattr(entry, column, sign * count)
        entry.cost_nanousd = None if cost_nanousd is None else sign * cost_nanousd
        entry.price_version_id = price_version_id
        entry.note, entry.actor_id = reason[:200], actor_id
        return _write(entry, original)


def reprice(
    entry_id: UUID,
    *,
    price_version: PriceVersion,
    reason: str,
    actor_id: int | None = None,
    now: datetime | None = None,
) -> LedgerEntry:
    """A price was wrong: refund the entry and charge the same tokens at another version's rates."""
    with transaction.atomic():
        original = _correctable(entry_id)
        usage = UsageCounts(*(getattr(original, column) for column in TOKEN_COLUMNS))
        tier = prices.pick_tier(prices.sibling_tiers(price_version.pk), usage.input_total)
        assert tier is not None
        refund(entry_id, reason=reason, actor_id=actor_id, now=now)
        return adjust(
            entry_id,
            key=f"reprice:{entry_id}",
            usage=usage,
            cost_nanousd=prices.usage_cost(tier, usage),
            price_version_id=tier.price_version_id,
            reason=reason,
            actor_id=actor_id,
            now=now,
        )


def _correctable(entry_id: UUID) -> LedgerEntry:
    original = LedgerEntry.objects.select_for_update().filter(pk=entry_id).first()
    if original is None:
        raise InvalidAmount(f"there is no ledger entry {entry_id}")
    if original.kind not in (EntryKind.USAGE, EntryKind.TRUEUP, EntryKind.ADJUST):
        raise InvalidAmount(f"an entry of kind {original.kind} cannot be corrected")
    return original


def _copy(original: LedgerEntry, kind: EntryKind, key: str, now: datetime) -> LedgerEntry:
    """A new entry about the same call: same payer, same model, same day."""
    return LedgerEntry(
        id=uuid7(),
        created_at=now,
        kind=kind,
        idempotency_key=key,
        bearer=original.bearer,
        user_id=original.user_id,
        group_id=original.group_id,
        conversation_id=original.conversation_id,
        generation_id=original.generation_id,
        attempt=original.attempt,
        purpose=original.purpose,
        turn_kind=original.turn_kind,
        model=original.model,
        local_day=original.local_day,
    )


def _write(entry: LedgerEntry, original: LedgerEntry) -> LedgerEntry:
    """Write the correction, unless it was written before. The caller holds the lock of what it corrects."""
    before = LedgerEntry.objects.filter(idempotency_key=entry.idempotency_key).first()
    if before is not None:
        return before
    postings.write(entry, _moves(entry, original))
    return entry


def _moves(entry: LedgerEntry, original: LedgerEntry) -> list[Move]:
    moves = []
    for line in sql.rows(_POSTED_TO + sql.row_lock("k"), (sql.uuid_in(original.pk),)):
        amount = entry.total_tokens if line[1] == Unit.TOKENS else entry.cost_nanousd or 0
        if line[2] + amount < 0:
            raise InvalidAmount("a correction cannot take back more than is posted")
        moves.append(
            Move(
                bucket_id=line[0],
                held=0,
                amount=amount,
                over=max(0, amount),
                posts=True,
                posted=line[2],
                limit_units=line[3],
                limit_version=line[4],
                notified_percent=line[5],
                thresholds=line[6],
                drawn=line[7],
            )
        )
    return moves
