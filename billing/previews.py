"""What a call would take, before it is asked for: nothing is written and nothing is locked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from billing import accounts, buckets, prices
from billing.buckets import BucketRow, percent_used
from billing.budgets import Meter, meter, meters, tightness
from billing.errors import BudgetExceeded, PriceUnknown
from billing.fitting import fit, units_needed
from billing.holds import HoldRequest
from billing.prices import Rates


@dataclass(frozen=True, slots=True)
class Preview:
    """``output_cap_tokens`` is what would be sent as the cap (None = refused, then ``refusal`` says why).

    ``cost_nanousd`` is the most it can cost, None = price unknown. ``tightest`` is the meter of the
    tightest hard limited budget, or None; ``percent_after`` its percentage with all holds and this call in
    it, and ``remaining_after`` what it would leave.
    """

    output_cap_tokens: int | None
    cost_nanousd: int | None
    refusal: BudgetExceeded | PriceUnknown | None
    tightest: Meter | None
    percent_after: int
    remaining_after: int | None


def preview_hold(request: HoldRequest, *, now: datetime | None = None) -> Preview:
    """What ``place_hold`` would answer now. No promise: only the hold itself takes anything."""
    now = now or timezone.now()
    found, rates = _found(request, now)
    cap: int | None = None
    refusal: BudgetExceeded | PriceUnknown | None = None
    try:
        cap = _cap(request, found, rates)
    except (BudgetExceeded, PriceUnknown) as error:
        refusal = error
    output_tokens = cap or 0
    after = []
    for row in found:
        if row.bounded and row.full_limit is not None:
            taken = row.posted + row.held + units_needed(row.unit, rates, request.input_tokens, output_tokens)
            after.append((percent_used(taken, row.full_limit), row.full_limit - taken, meter(row, now)))
    after.sort(key=lambda one: (-one[0], tightness(one[2])))
    return Preview(
        output_cap_tokens=cap,
        cost_nanousd=None if rates is None else prices.upper_cost(rates, request.input_tokens, output_tokens),
        refusal=refusal,
        tightest=after[0][2] if after else None,
        percent_after=after[0][0] if after else 0,
        remaining_after=after[0][1] if after else None,
    )


def meters_before(
    *,
    user_id: int,
    conversation_id: UUID | None,
    model: str,
    output_tokens: int,
    now: datetime | None = None,
) -> list[tuple[Meter, int]]:
    """Every limited budget that the next call meets, with the units that an answer of ``output_tokens``
    takes of it. The one that is fullest with that answer in it first, hard before soft.
    """
    now = now or timezone.now()
    rates = prices.rates(model, input_tokens=0, now=now)
    found = meters(user_id=user_id, conversation_id=conversation_id, model=model, now=now)
    pairs = [(one, units_needed(one.unit, rates, 0, output_tokens)) for one in found if one.limit is not None]
    return sorted(pairs, key=lambda pair: tightness(*pair))


def fit_in_turn(first: HoldRequest, then: HoldRequest, *, now: datetime | None = None) -> bool:
    """Whether both calls would be admitted, ``then`` after ``first`` was settled at its longest.

    They may be of different models, and so meet different budgets.
    """
    now = now or timezone.now()
    found, rates = _found(first, now)
    try:
        cap = _cap(first, found, rates)
        taken = {row.budget_id: units_needed(row.unit, rates, first.input_tokens, cap) for row in found}
        later, later_rates = _found(then, now)
        for row in later:
            row.held += taken.get(row.budget_id, 0)
        _cap(then, later, later_rates)
    except (BudgetExceeded, PriceUnknown):
        return False
    return True


def _found(request: HoldRequest, now: datetime) -> tuple[list[BucketRow], Rates | None]:
    payer = accounts.payer(request.user_id, now=now)
    scopes = buckets.scopes_of(
        user_id=request.user_id, group_id=payer.group_id, conversation_id=request.conversation_id
    )
    rates = prices.rates(request.model, input_tokens=request.input_tokens, now=now)
    return buckets.applying(scopes, model=request.model, now=now), rates


def _cap(request: HoldRequest, found: Sequence[BucketRow], rates: Rates | None) -> int:
    return fit(
        found,
        rates,
        model=request.model,
        input_tokens=request.input_tokens,
        wanted_output_tokens=request.wanted_output_tokens,
        minimum_output_tokens=request.minimum_output_tokens,
    )
