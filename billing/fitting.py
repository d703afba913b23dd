"""How long an answer may be, given every budget that applies. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from billing.buckets import BucketRow, percent_used
from billing.errors import BucketSuspended, BudgetExceeded, BudgetName, PriceUnknown
from billing.models import Unit
from billing.prices import Rates, to_nanousd


def units_needed(unit: str, rates: Rates | None, input_tokens: int, output_tokens: int) -> int:
    """What a call can take at most from a bucket of this unit; 0 for money where the price is unknown."""
    if unit == Unit.TOKENS:
        return input_tokens + output_tokens
    if rates is None:
        return 0
    return to_nanousd(input_tokens * rates.worst_input_picousd + output_tokens * rates.worst_output_picousd)


def fits_output(row: BucketRow, rates: Rates | None, input_tokens: int, wanted: int) -> int:
    """The longest output (at most ``wanted``) that a bounded bucket admits with this input; may be < 0."""
    if row.unit == Unit.TOKENS:
        return min(wanted, row.remaining - input_tokens)
    assert rates is not None
    left_picousd = row.remaining * 1000 - input_tokens * rates.worst_input_picousd
    if rates.worst_output_picousd == 0:
        return wanted if left_picousd >= 0 else -1
    return min(wanted, left_picousd // rates.worst_output_picousd)


def nearest_limit(
    found: Sequence[BucketRow], rates: Rates | None, input_tokens: int, output_tokens: int
) -> tuple[int, BudgetName] | None:
    """The hard limited budget that the call, with all holds, would bring highest, and to how many percent."""
    after = [
        (percent_used(taken, row.full_limit), row.name)
        for row in found
        if row.bounded and row.full_limit is not None
        for taken in [row.posted + row.held + units_needed(row.unit, rates, input_tokens, output_tokens)]
    ]
    return max(after, key=lambda one: one[0], default=None)


def rest_percents(
    found: Sequence[BucketRow], rates: Rates | None, input_tokens: int, output_tokens: int
) -> tuple[tuple[int, int], ...]:
    """Per hard limited budget: how many percent of what is left the call takes, and its input alone."""
    return tuple(
        (
            units_needed(row.unit, rates, input_tokens, output_tokens) * 100 // row.remaining,
            units_needed(row.unit, rates, input_tokens, 0) * 100 // row.remaining,
        )
        for row in found
        if row.bounded and row.remaining > 0
    )


def fit(
    found: Sequence[BucketRow],
    rates: Rates | None,
    *,
    model: str,
    input_tokens: int,
    wanted_output_tokens: int,
    minimum_output_tokens: int,
) -> int:
    """The output cap: what is wanted, cut to the tightest hard budget.

    Raises BudgetExceeded naming the tightest budget where less than the minimum fits, BucketSuspended for
    one whose books are being looked into, and PriceUnknown where a hard budget in money applies and there
    is no price.
    """
    cap = wanted_output_tokens
    tightest: BucketRow | None = None
    for row in found:
        if not row.bounded:
            continue
        if row.suspended:
            raise _refusal(BucketSuspended, row, rates, input_tokens, minimum_output_tokens, 0)
        if row.unit == Unit.NANOUSD and rates is None:
            raise PriceUnknown(model=model, budget=row.name)
        fits = fits_output(row, rates, input_tokens, wanted_output_tokens)
        if fits < cap:
            cap, tightest = fits, row
    minimum = min(minimum_output_tokens, wanted_output_tokens)
    if cap >= max(1, minimum):
        return cap
    assert tightest is not None
    raise _refusal(BudgetExceeded, tightest, rates, input_tokens, minimum, max(0, cap))


def _refusal(
    kind: type[BudgetExceeded],
    row: BucketRow,
    rates: Rates | None,
    input_tokens: int,
    minimum_output_tokens: int,
    fits_output_tokens: int,
) -> BudgetExceeded:
    assert row.full_limit is not None
    return kind(
        budget=row.name,
        limit_version=row.limit_version,
        limit=row.full_limit,
        used=row.posted,
        held=row.held,
        needed=units_needed(row.unit, rates, input_tokens, minimum_output_tokens),
        fits_output_tokens=fits_output_tokens,
        resets_at=row.period_end,
    )
