"""Settling: a hold becomes an entry, once. Expiring: what a lost worker left behind is closed.

``settle_hold``, ``release_hold`` and the sweep compete for one compare-and-set on the hold's state; who
loses changes nothing and gets the first result.
"""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from billing import draws, postings, prices, sql
from billing.errors import HoldStateError
from billing.models import Bearer, BudgetEvent, EntryKind, Hold, HoldState, LedgerEntry, Unit
from billing.postings import Move
from billing.prices import Rates
from billing.usage import UsageCounts

logger = logging.getLogger(__name__)

_SETTLE = """
UPDATE billing_hold SET state = 'settled', closed_at = %s, settled_entry_id = %s
WHERE id = %s AND state = 'dispatched'{lapsed}
RETURNING user_id, group_id, conversation_id, generation_id, attempt, purpose, model, price_version_id,
          local_day, minimum_output_tokens, input_tokens, checkpoint_output_tokens
"""
_LINES = """
SELECT l.bucket_id, l.amount, k.unit, k.posted, k.limit_units, k.limit_version, k.notified_percent,
       b.thresholds, b.scope_kind, k.drawn,
       (SELECT SUM(g.remaining_units) FROM billing_grant g WHERE g.budget_id = b.id AND g.remaining_units > 0
        AND (g.expires_at IS NULL OR g.expires_at > %s))
FROM billing_holdline l JOIN billing_bucket k ON k.id = l.bucket_id
     JOIN billing_budget b ON b.id = k.budget_id
WHERE l.hold_id = %s ORDER BY l.bucket_id
"""


@dataclass(frozen=True, slots=True)
class Settlement:
    """``entry`` is the hold's usage entry, also when somebody else had settled it before (``created``
    False); None for a hold that was released or expired, which stays so. ``events`` are thresholds that
    this settlement passed, ``rates`` those that it charged by.
    """

    entry: LedgerEntry | None
    created: bool
    events: list[BudgetEvent] = field(default_factory=list)
    rates: Rates | None = None


def settle_hold(
    hold_id: UUID,
    *,
    usage: UsageCounts,
    estimated: bool,
    bearer: str = Bearer.USER,
    raw: dict[str, Any] | None = None,
    reported_input_tokens: int | None = None,
    reported_output_tokens: int | None = None,
    kind: str = "",
    now: datetime | None = None,
) -> Settlement:
    """Charge what was used and give the rest of the hold back. Settling again is a quiet no-op.

    ``estimated``: the provider did not report; ``billing.entries.true_up`` corrects it later.
    ``reported_*``: the provider's own inclusive totals, kept so that the books can be checked against them.
    ``bearer`` "house": our or the provider's fault; posted to the budgets of everyone alone.
    ``kind``: what the question was, in the caller's words (up to 16 characters), for the reports.
    Raises HoldStateError for a hold that is not there or was never dispatched.
    """
    report = _Report(estimated, bearer, raw, reported_input_tokens, reported_output_tokens, kind)
    return _settle(hold_id, usage=usage, report=report, now=now or timezone.now())


@dataclass(frozen=True, slots=True)
class _Report:
    """How a usage became known."""

    estimated: bool
    bearer: str
    raw: dict[str, Any] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    kind: str = ""


def _settle(
    hold_id: UUID, *, usage: UsageCounts | None, report: _Report, now: datetime, only_lapsed: bool = False
) -> Settlement:
    """``usage`` None: what was estimated and checkpointed, as the sweep does."""
    entry_id = uuid7()
    params: list[Any] = [sql.time_in(now), sql.uuid_in(entry_id), sql.uuid_in(hold_id)]
    if only_lapsed:
        params.append(sql.time_in(now))
    with sql.joined():
        lapsed = " AND lease_expires_at <= %s" if only_lapsed else ""
        won = sql.prepared_rows(_SETTLE.format(lapsed=lapsed), params)
        if not won:
            return _already(hold_id, lenient=only_lapsed)
        counts = usage or UsageCounts(input_uncached=won[0][10], output_visible=won[0][11])
        entry = _entry(entry_id, hold_id, won[0], counts, report, now)
        rates = _price(entry, counts)
        moves = _moves(hold_id, entry, rates, viable_output_tokens=won[0][9])
        events = postings.write(entry, moves)
        assert events is not None, "the hold was won, so its entry's key cannot be taken"
    return Settlement(entry=entry, created=True, events=events, rates=rates)


def _already(hold_id: UUID, *, lenient: bool) -> Settlement:
    hold = Hold.objects.select_related("settled_entry").filter(pk=hold_id).first()
    if not lenient and (hold is None or hold.state == HoldState.OPEN):
        raise HoldStateError(f"hold {hold_id} {'was never dispatched' if hold else 'does not exist'}")
    return Settlement(entry=hold.settled_entry if hold else None, created=False)


def _entry(
    entry_id: UUID, hold_id: UUID, won: tuple[Any, ...], counts: UsageCounts, report: _Report, now: datetime
) -> LedgerEntry:
    return LedgerEntry(
        id=entry_id,
        created_at=now,
        kind=EntryKind.USAGE,
        idempotency_key=f"usage:{hold_id}",
        bearer=report.bearer,
        hold_id=hold_id,
        user_id=won[0],
        group_id=won[1],
        conversation_id=sql.uuid_out(won[2]),
        generation_id=sql.uuid_out(won[3]),
        attempt=won[4],
        purpose=won[5],
        turn_kind=report.kind[:16],
        model=won[6],
        price_version_id=won[7],
        input_uncached_tokens=counts.input_uncached,
        cache_read_tokens=counts.cache_read,
        cache_write_tokens=counts.cache_write,
        tool_prompt_tokens=counts.tool_prompt,
        output_visible_tokens=counts.output_visible,
        thinking_tokens=counts.thinking,
        estimated=report.estimated,
        local_day=sql.day_out(won[8]),
        reported_input_tokens=report.input_tokens,
        reported_output_tokens=report.output_tokens,
        usage_raw=report.raw,
    )


def _price(entry: LedgerEntry, counts: UsageCounts) -> Rates | None:
    """Cost by the version frozen on the hold, in the tier that the true input falls into."""
    if entry.price_version_id is None:
        return None
    rates = prices.pick_tier(prices.sibling_tiers(entry.price_version_id), counts.input_total)
    assert rates is not None
    entry.price_version_id = rates.price_version_id
    entry.cost_nanousd = prices.usage_cost(rates, counts)
    return rates


def _moves(
    hold_id: UUID, entry: LedgerEntry, rates: Rates | None, *, viable_output_tokens: int
) -> list[Move]:
    """One move per line. The user's budgets bear what the user bears, the site's bear everything."""
    tokens = entry.total_tokens
    viable_money = 0 if rates is None else prices.upper_cost(rates, 0, viable_output_tokens)
    moves = []
    key = (sql.time_in(entry.created_at), sql.uuid_in(hold_id))
    for line in sql.prepared_rows(_LINES + sql.row_lock("k"), key):
        in_tokens = line[2] == Unit.TOKENS
        amount = tokens if in_tokens else entry.cost_nanousd or 0
        moves.append(
            Move(
                bucket_id=line[0],
                held=line[1],
                amount=amount,
                over=max(0, amount - line[1]),
                posts=entry.bearer == Bearer.USER or line[8] == "everyone",
                posted=line[3],
                limit_units=None if line[4] is None else line[4] + int(line[10] or 0),
                limit_version=line[5],
                notified_percent=line[6],
                thresholds=line[7],
                drawn=line[9],
                viable_units=viable_output_tokens if in_tokens else viable_money,
            )
        )
    return moves


def give_back(hold_id: UUID) -> None:
    """Take a hold's lines out of ``held``. The caller has just closed it in the same transaction."""
    key = sql.uuid_in(hold_id)
    clause = sql.row_lock("k")
    if clause:
        sql.prepared_rows(
            "SELECT k.id FROM billing_holdline l JOIN billing_bucket k ON k.id = l.bucket_id"
            f" WHERE l.hold_id = %s ORDER BY k.id{clause}",
            (key,),
        )
    returned = sql.prepared_rows(
        "UPDATE billing_bucket SET held = held - l.amount FROM billing_holdline l"
        " WHERE l.hold_id = %s AND l.bucket_id = billing_bucket.id RETURNING id, drawn",
        (key,),
    )
    draws.return_surplus([bucket_id for bucket_id, drawn in returned if drawn])


def expire_holds(
    *, now: datetime | None = None, limit: int = 500, spare: Collection[UUID] = ()
) -> list[UUID]:
    """Close holds whose lease ran out; returns their ids. Run by the sweeper; safe beside live workers.

    ``spare``: holds that somebody else is going to close, with what they were used for.
    Never dispatched: expired, everything goes back. Dispatched: the provider may bill it, so it is
    settled as estimated (input estimate and last checkpoint) and the house bears it.
    """
    now = now or timezone.now()
    lapsed = sql.prepared_rows(
        "SELECT id, state FROM billing_hold WHERE state IN ('open', 'dispatched') AND lease_expires_at <= %s"
        " ORDER BY lease_expires_at LIMIT %s",
        (sql.time_in(now), limit),
    )
    return [
        hold_id
        for hold_id, state in _ids(lapsed)
        if hold_id not in spare and _tried_to_close(hold_id, state, now)
    ]


def _tried_to_close(hold_id: UUID, state: str, now: datetime) -> bool:
    try:
        return _close_lapsed(hold_id, state, now)
    except Exception:
        # A bucket whose sums are wrong refuses the change: that must keep no other hold from its end.
        logger.exception("hold %s has lapsed and could not be closed", hold_id)
        return False


def _ids(found: Sequence[tuple[Any, ...]]) -> list[tuple[UUID, str]]:
    return [(hold_id, state) for key, state in found if (hold_id := sql.uuid_out(key)) is not None]


def _close_lapsed(hold_id: UUID, state: str, now: datetime) -> bool:
    if state == HoldState.DISPATCHED:
        report = _Report(estimated=True, bearer=Bearer.HOUSE)
        return _settle(hold_id, usage=None, report=report, now=now, only_lapsed=True).created
    with sql.joined():
        changed = sql.prepared_run(
            "UPDATE billing_hold SET state = 'expired', closed_at = %s"
            " WHERE id = %s AND state = 'open' AND lease_expires_at <= %s",
            (sql.time_in(now), sql.uuid_in(hold_id), sql.time_in(now)),
        )
        if changed:
            give_back(hold_id)
    return changed == 1
