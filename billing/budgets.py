"""Budgets as people see them: meters, and setting one by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from billing import accounts, buckets, limits, plans
from billing.buckets import BucketRow, percent_used
from billing.errors import InvalidAmount
from billing.models import Account, BillingGroup, Budget, BudgetSource, Period, ScopeKind, Unit
from billing.models.budget import MAX_LIMIT_UNITS, default_thresholds
from billing.periods import check_timezone

LEVELS = (100, 90, 75)


@dataclass(frozen=True, slots=True)
class Meter:
    """One budget's state. Amounts are in ``unit``; percent and level count what is settled, not held.

    ``limit`` holds what grants can add; None = unlimited, then ``percent`` is 0. ``resets_at`` None = never.
    """

    scope: str
    scope_id: str
    unit: str
    period: str
    model: str | None
    used: int
    held: int
    limit: int | None
    percent: int
    level: str
    resets_at: datetime | None
    hard: bool
    budget_id: int

    @property
    def is_money(self) -> bool:
        """Whether amounts are nano-USD; else they are tokens."""
        return self.unit == Unit.NANOUSD

    @property
    def remaining(self) -> int | None:
        """What a new hold may take; never below 0, None = unlimited."""
        return None if self.limit is None else max(0, self.limit - self.used - self.held)


def level_of(percent: int) -> str:
    return next((str(level) for level in LEVELS if percent >= level), "ok")


def meter(row: BucketRow, now: datetime) -> Meter:
    limit = row.full_limit
    percent = 0 if limit is None else percent_used(row.posted, limit)
    return Meter(
        scope=row.scope_kind,
        scope_id=row.scope_id,
        unit=row.unit,
        period=row.period,
        model=row.model,
        used=row.posted,
        held=row.held,
        limit=limit,
        percent=percent,
        level=level_of(percent),
        resets_at=buckets.period_of(row, now)[1],
        hard=row.hard,
        budget_id=row.budget_id,
    )


def tightness(found: Meter, more: int = 0) -> tuple[bool, bool, int, int]:
    """The order of ``meters``. ``more``: units that are thought of as used as well."""
    if found.limit is None:
        return not found.hard, True, 0, found.budget_id
    share = (found.used + found.held + more) * 10**6 // found.limit if found.limit else 10**12
    return not found.hard, False, -share, found.budget_id


def meters(
    *,
    user_id: int,
    conversation_id: UUID | None = None,
    model: str | None = None,
    now: datetime | None = None,
) -> list[Meter]:
    """Every budget that a call of the user meets (of any model if ``model`` is None), tightest first:
    hard before soft, limited before unlimited, then by the share of the limit that is used or held.
    """
    now = now or timezone.now()
    payer = accounts.payer(user_id, now=now)
    scopes = buckets.scopes_of(user_id=user_id, group_id=payer.group_id, conversation_id=conversation_id)
    found = buckets.applying(scopes, model=model, now=now)
    return sorted((meter(row, now) for row in found), key=tightness)


def set_budget(
    *,
    scope: str,
    scope_id: int | UUID | str | None = None,
    unit: str,
    limit_units: int | None,
    period: str,
    model: str | None = None,
    hard: bool = True,
    thresholds: list[int] | None = None,
    timezone_name: str | None = None,
    now: datetime | None = None,
) -> Budget:
    """Set a budget by hand; it replaces the plan's one with the same key, and counts on from what the
    running period has used. A new key counts from now on.

    ``scope_id`` is the user's or group's number, the conversation's UUID, None for everyone. ``period``
    begins in ``timezone_name``: by default the user's zone, else UTC. Raises InvalidAmount.
    """
    now = now or timezone.now()
    key = check_budget(
        scope=scope,
        scope_id=scope_id,
        unit=unit,
        limit_units=limit_units,
        period=period,
        model=model,
        thresholds=thresholds,
        timezone_name=timezone_name,
    )
    with transaction.atomic():
        zone = _zone(key, timezone_name, now)
        budget, created = Budget.objects.get_or_create(
            **key,
            defaults={
                "limit_units": limit_units,
                "hard": hard,
                "thresholds": thresholds or default_thresholds(),
                "timezone": zone,
                "source": BudgetSource.HAND,
                "valid_from": now,
            },
        )
        if created:
            return budget
        return limits.change(
            budget,
            limit_units=limit_units,
            hard=hard,
            thresholds=thresholds,
            timezone_name=zone if timezone_name else None,
            source=BudgetSource.HAND,
            now=now,
        )


def close_budget(budget: Budget, *, now: datetime | None = None) -> None:
    """End a budget; if it had replaced one of the user's plan, that one comes back."""
    now = now or timezone.now()
    with transaction.atomic():
        limits.close(budget, now=now)
        if budget.scope_kind == ScopeKind.USER:
            account = Account.objects.filter(user_id=int(budget.scope_id)).first()
            if account is not None:
                plans.sync_user(account, now=now)


def check_budget(
    *,
    scope: str,
    scope_id: int | UUID | str | None,
    unit: str,
    limit_units: int | None,
    period: str,
    model: str | None = None,
    thresholds: list[int] | None = None,
    timezone_name: str | None = None,
    hard: bool = True,
) -> dict[str, str | None]:
    """The key of the budget that ``set_budget`` would set; raises InvalidAmount as it would."""
    _check_limit(limit_units)
    _check_thresholds(thresholds)
    if timezone_name is not None:
        check_timezone(timezone_name)
    return _checked_key(scope, scope_id, unit, period, model)


def _checked_key(
    scope: str, scope_id: int | UUID | str | None, unit: str, period: str, model: str | None
) -> dict[str, str | None]:
    if scope not in ScopeKind.values:
        raise InvalidAmount(f"there is no scope {scope!r}")
    if unit not in Unit.values:
        raise InvalidAmount(f"there is no unit {unit!r}")
    if period not in Period.values:
        raise InvalidAmount(f"there is no period {period!r}")
    if (scope_id is None) != (scope == ScopeKind.EVERYONE):
        raise InvalidAmount(f"a budget of scope {scope} {'names nobody' if scope_id else 'must say whose'}")
    if scope == ScopeKind.GROUP and not BillingGroup.objects.filter(pk=str(scope_id)).exists():
        raise InvalidAmount(f"there is no billing group {scope_id}")
    if scope == ScopeKind.CONVERSATION and not isinstance(scope_id, UUID):
        raise InvalidAmount(f"{scope_id!r} is not a conversation's id")
    name = "" if scope_id is None else str(scope_id)
    return {"scope_kind": scope, "scope_id": name, "model": model or None, "unit": unit, "period": period}


def _check_limit(limit_units: int | None) -> None:
    if limit_units is None:
        return
    if type(limit_units) is not int or not 0 <= limit_units <= MAX_LIMIT_UNITS:
        raise InvalidAmount(f"a limit is a whole number from 0 to {MAX_LIMIT_UNITS}, not {limit_units!r}")


def _check_thresholds(thresholds: list[int] | None) -> None:
    if thresholds is None:
        return
    if not isinstance(thresholds, list) or not all(type(t) is int and 0 < t <= 100 for t in thresholds):
        raise InvalidAmount(f"thresholds are percentages from 1 to 100, not {thresholds!r}")


def _zone(key: dict[str, str | None], timezone_name: str | None, now: datetime) -> str:
    if timezone_name is not None:
        return timezone_name
    if key["scope_kind"] in (ScopeKind.USER, ScopeKind.OWN):
        return accounts.ensure_account(user_id=int(str(key["scope_id"])), now=now).timezone
    return "UTC"
