"""Holds: place, dispatch, renew, release; ``settle_hold`` and ``expire_holds`` come from ``settlements``.

Every change of state is one conditional update that says who won; the loser does nothing. On PostgreSQL
rows are locked in one order: the hold, then its buckets by id. On SQLite BEGIN IMMEDIATE serialises.
"""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from billing import accounts, buckets, draws, prices, sql
from billing.buckets import BucketRow
from billing.errors import (
    BillingError,
    BudgetExceeded,
    HoldConflict,
    InvalidAmount,
    PriceUnknown,
)
from billing.fitting import fit, nearest_limit, rest_percents, units_needed
from billing.models import MAX_CALL_TOKENS, Hold, HoldState, Unit
from billing.periods import local_day
from billing.prices import Rates
from billing.refusals import record_refusal
from billing.settlements import Settlement, expire_holds, give_back, settle_hold

__all__ = [
    "BudgetExceeded",
    "HoldConflict",
    "HoldRequest",
    "PriceUnknown",
    "Settlement",
    "dispatch_hold",
    "expire_holds",
    "place_hold",
    "record_refusal",
    "release_hold",
    "renew_holds",
    "settle_hold",
]

_HOLD_COLUMNS = (
    "id",
    "idempotency_key",
    "fingerprint",
    "user_id",
    "group_id",
    "conversation_id",
    "generation_id",
    "attempt",
    "purpose",
    "model",
    "price_version_id",
    "input_tokens",
    "output_cap_tokens",
    "wanted_output_tokens",
    "minimum_output_tokens",
    "cost_nanousd",
    "local_day",
    "state",
    "created_at",
    "lease_expires_at",
    "checkpoint_output_tokens",
    "release_reason",
)
_INSERT_HOLD = (
    f"INSERT INTO billing_hold ({', '.join(_HOLD_COLUMNS)}) VALUES ({sql.marks(len(_HOLD_COLUMNS))})"
    " ON CONFLICT (idempotency_key) DO NOTHING"
)
_RENEW_CHUNK = 500


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """One attempt that wants to call a provider.

    ``key`` is "<generation uuid>:<attempt>"; ``input_tokens`` an upper estimate; ``wanted_output_tokens``
    is cut to what fits, but never below ``minimum_output_tokens``.
    """

    key: str
    fingerprint: str
    user_id: int
    conversation_id: UUID
    generation_id: UUID
    attempt: int
    purpose: str
    model: str
    input_tokens: int
    wanted_output_tokens: int
    minimum_output_tokens: int
    lease_seconds: float

    def __post_init__(self) -> None:
        if not 0 < len(self.key) <= 120:
            raise InvalidAmount("a hold needs a key of 1 to 120 characters")
        if not 0 <= self.input_tokens <= MAX_CALL_TOKENS:
            raise InvalidAmount(f"input_tokens cannot be {self.input_tokens!r}")
        if not 0 < self.wanted_output_tokens <= MAX_CALL_TOKENS - self.input_tokens:
            raise InvalidAmount(f"wanted_output_tokens cannot be {self.wanted_output_tokens!r}")
        if self.minimum_output_tokens < 1:
            raise InvalidAmount("minimum_output_tokens must be at least 1")
        if not self.lease_seconds > 0:
            raise InvalidAmount("lease_seconds must be positive")


def place_hold(request: HoldRequest, *, now: datetime | None = None) -> Hold:
    """Take the units of one call from every bucket that applies, or take nothing.

    ``hold.output_cap_tokens`` is what must be sent as the provider's cap. The same key again returns the
    first hold, whatever became of it. Raises BudgetExceeded, PriceUnknown, HoldConflict; the first two are
    raised before anything is written, so the caller's transaction may go on.
    """
    now = now or timezone.now()
    with sql.joined():
        payer = accounts.payer(request.user_id, now=now)
        scopes = buckets.scopes_of(
            user_id=request.user_id, group_id=payer.group_id, conversation_id=request.conversation_id
        )
        found = buckets.running(scopes, model=request.model, now=now)
        rates = prices.rates(request.model, input_tokens=request.input_tokens, now=now)
        try:
            cap = fit(
                found,
                rates,
                model=request.model,
                input_tokens=request.input_tokens,
                wanted_output_tokens=request.wanted_output_tokens,
                minimum_output_tokens=request.minimum_output_tokens,
            )
        except BillingError:
            existing = _same_request(request)
            if existing is not None:
                return existing
            raise
        hold = _new_hold(request, payer, rates, cap, now)
        if not _insert(hold):
            existing = _same_request(request)
            assert existing is not None
            return existing
        hold.nearest_limit = nearest_limit(found, rates, request.input_tokens, cap)
        hold.rest_percents = rest_percents(found, rates, request.input_tokens, cap)
        _take(hold, found, rates, now)
    return hold


def _same_request(request: HoldRequest) -> Hold | None:
    existing = Hold.objects.filter(idempotency_key=request.key).first()
    if existing is not None and existing.fingerprint != request.fingerprint:
        raise HoldConflict(request.key)
    return existing


def _new_hold(
    request: HoldRequest, payer: accounts.Payer, rates: Rates | None, cap: int, now: datetime
) -> Hold:
    return Hold(
        id=uuid7(),
        idempotency_key=request.key,
        fingerprint=request.fingerprint,
        user_id=request.user_id,
        group_id=payer.group_id,
        conversation_id=request.conversation_id,
        generation_id=request.generation_id,
        attempt=request.attempt,
        purpose=request.purpose,
        model=request.model,
        price_version_id=None if rates is None else rates.price_version_id,
        input_tokens=request.input_tokens,
        output_cap_tokens=cap,
        wanted_output_tokens=request.wanted_output_tokens,
        minimum_output_tokens=min(request.minimum_output_tokens, request.wanted_output_tokens),
        cost_nanousd=None if rates is None else prices.upper_cost(rates, request.input_tokens, cap),
        local_day=local_day(payer.timezone, now),
        state=HoldState.OPEN,
        created_at=now,
        lease_expires_at=now + timedelta(seconds=request.lease_seconds),
    )


def _insert(hold: Hold) -> bool:
    values: list[Any] = [getattr(hold, column) for column in _HOLD_COLUMNS]
    for index, column in enumerate(_HOLD_COLUMNS):
        if isinstance(values[index], UUID):
            values[index] = sql.uuid_in(values[index])
        elif isinstance(values[index], datetime):
            values[index] = sql.time_in(values[index])
        elif column == "local_day":
            values[index] = sql.day_in(values[index])
    inserted = sql.prepared_run(_INSERT_HOLD, values)
    hold._state.adding, hold._state.db = False, "default"
    return inserted == 1


def _take(hold: Hold, found: Sequence[BucketRow], rates: Rates | None, now: datetime) -> None:
    """Write the lines and add them to ``held``, under the limit once more; the CHECK stands behind."""
    tokens = units_needed(Unit.TOKENS, rates, hold.input_tokens, hold.output_cap_tokens)
    money = units_needed(Unit.NANOUSD, rates, hold.input_tokens, hold.output_cap_tokens)
    lines: list[Any] = []
    taken: list[int | None] = []
    for row in found:
        amount = tokens if row.unit == Unit.TOKENS else money
        if amount > 0:
            lines += (sql.uuid_in(hold.id), row.bucket_id, amount)
            taken.append(row.bucket_id)
            draws.draw_shortage(row, amount, now=now)
    if not taken:
        return
    sql.prepared_run(
        "INSERT INTO billing_holdline (hold_id, bucket_id, amount) VALUES " + sql.tuples(len(taken), 3), lines
    )
    amount_of = "CASE unit WHEN 'tokens' THEN %s ELSE %s END"
    updated = sql.prepared_run(
        f"UPDATE billing_bucket SET held = held + {amount_of} WHERE id IN ({sql.marks(len(taken))})"
        f" AND (NOT hard OR limit_units IS NULL OR posted + held + {amount_of} <= limit_units)",
        (tokens, money, *taken, tokens, money),
    )
    if updated != len(taken):
        raise RuntimeError("a bucket changed under the hold's lock; nothing was taken")


def dispatch_hold(hold_id: UUID, *, lease_seconds: float | None = None, now: datetime | None = None) -> bool:
    """Mark the hold before the provider is called. False = it is not open any more: do not send.

    ``lease_seconds``: the lease begins anew. A hold that had waited to the end of its lease would else be
    settled by the sweep while its call is running.
    """
    now = now or timezone.now()
    params: list[Any] = [sql.time_in(now)]
    lease = ""
    if lease_seconds is not None:
        lease = ", lease_expires_at = %s"
        params.append(sql.time_in(now + timedelta(seconds=lease_seconds)))
    changed = sql.prepared_run(
        f"UPDATE billing_hold SET state = 'dispatched', dispatched_at = %s{lease}"
        " WHERE id = %s AND state = 'open'",
        [*params, sql.uuid_in(hold_id)],
    )
    return changed == 1


def release_hold(hold_id: UUID, *, reason: str, now: datetime | None = None) -> bool:
    """Give everything back: nothing was sent, or the provider rejected it before any work.

    False = the hold was closed before; nothing changes then.
    """
    with sql.joined():
        changed = sql.prepared_run(
            "UPDATE billing_hold SET state = 'released', closed_at = %s, release_reason = %s"
            " WHERE id = %s AND state IN ('open', 'dispatched')",
            (sql.time_in(now or timezone.now()), reason[:80], sql.uuid_in(hold_id)),
        )
        if changed:
            give_back(hold_id)
    return changed == 1


def renew_holds(
    leases: Sequence[tuple[UUID, int]], *, lease_seconds: float, now: datetime | None = None
) -> int:
    """The heartbeat: extend the leases and note how many output tokens have arrived so far.

    Closed holds are left alone; a checkpoint never goes back. Returns how many were renewed.
    """
    expires = sql.time_in((now or timezone.now()) + timedelta(seconds=lease_seconds))
    renewed = 0
    # One order of locking for all who renew in bulk.
    ordered = sorted(leases, key=lambda lease: lease[0])
    for begin in range(0, len(ordered), _RENEW_CHUNK):
        chunk = ordered[begin : begin + _RENEW_CHUNK]
        params: list[Any] = []
        for hold_id, output_tokens in chunk:
            params += (sql.uuid_in(hold_id), max(0, output_tokens))
        renewed += sql.prepared_run(
            "UPDATE billing_hold SET lease_expires_at = %s, checkpoint_output_tokens ="
            " CASE WHEN lease.column2 > checkpoint_output_tokens THEN lease.column2"
            " ELSE checkpoint_output_tokens END"
            f" FROM (VALUES {sql.tuples(len(chunk), 2)}) AS lease"
            " WHERE billing_hold.id = lease.column1 AND state IN ('open', 'dispatched')",
            [expires, *params],
        )
    return renewed
