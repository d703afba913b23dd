"""Limits that people set for themselves, below those that an admin has set.

A limit of one's own is a hard budget in a scope of its own: it meets the same calls as the admin's, so it
can only ever refuse more, whatever happens to the admin's afterwards.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from billing import budgets
from billing.errors import InvalidAmount
from billing.models import Budget, Period, ScopeKind, Unit
from billing.receipts import usd

_PERIOD_WORDS = {Period.DAY: "a day", Period.WEEK: "a week", Period.MONTH: "a month", Period.NONE: "in total"}


def own_limits(user_id: int, *, now: datetime | None = None) -> list[Budget]:
    """The limits of one's own that are in force."""
    in_force = Q(valid_to__isnull=True) | Q(valid_to__gt=now or timezone.now())
    found = Budget.objects.filter(in_force, scope_kind=ScopeKind.OWN, scope_id=str(user_id))
    return list(found.order_by("unit", "period"))


def set_own_limit(
    *, user_id: int, unit: str, period: str, limit_units: int, now: datetime | None = None
) -> Budget:
    """Set a limit of one's own for all models together; in force from now on, for the running period too.

    Raises InvalidAmount unless it lies below the admin's limit of the same unit and period, if there is one.
    """
    now = now or timezone.now()
    if limit_units is None:
        raise InvalidAmount("a limit of your own needs a figure; remove it to have none")
    budgets.check_budget(scope="own", scope_id=user_id, unit=unit, limit_units=limit_units, period=period)
    ceiling = _ceiling(user_id, unit, period, now)
    if ceiling is not None and limit_units >= ceiling:
        amount = f"${usd(ceiling)}" if unit == Unit.NANOUSD else f"{ceiling:,} tokens"
        words = _PERIOD_WORDS[Period(period)]
        raise InvalidAmount(f"a limit of your own must be below the {amount} {words} that you have")
    return budgets.set_budget(
        scope="own", scope_id=user_id, unit=unit, limit_units=limit_units, period=period, now=now
    )


def remove_own_limit(*, user_id: int, budget_id: int, now: datetime | None = None) -> bool:
    """End a limit of one's own. False where there is none such."""
    now = now or timezone.now()
    found = next((one for one in own_limits(user_id, now=now) if one.pk == budget_id), None)
    if found is not None:
        budgets.close_budget(found, now=now)
    return found is not None


def _ceiling(user_id: int, unit: str, period: str, now: datetime) -> int | None:
    """The admin's hard limit with this unit and period, with what grants add."""
    limits = [
        one.limit
        for one in budgets.meters(user_id=user_id, now=now)
        if one.scope == ScopeKind.USER
        and (one.unit, one.period, one.model) == (unit, period, None)
        and one.hard
        and one.limit is not None
    ]
    return min(limits, default=None)
