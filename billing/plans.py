"""Plans turned into budgets: each user of a plan has one ``Budget`` row per ``PlanBudget``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from billing import limits
from billing.models import Account, Budget, BudgetSource, Plan, PlanBudget, ScopeKind

_Key = tuple[str, str, str]


def _key(row: Budget | PlanBudget) -> _Key:
    return row.model or "", row.unit, row.period


def sync_user(account: Account, *, now: datetime, planned: Iterable[PlanBudget] | None = None) -> None:
    """Make the user's budgets those of the plan; one set by hand replaces the plan's with the same key."""
    planned = list(account.plan.budgets.all() if planned is None else planned)
    scope = {"scope_kind": ScopeKind.USER, "scope_id": str(account.user_id)}
    with transaction.atomic():
        owned = {_key(budget): budget for budget in Budget.objects.select_for_update().filter(**scope)}
        for row in planned:
            budget = owned.pop(_key(row), None)
            if budget is None:
                Budget.objects.get_or_create(
                    **scope,
                    model=row.model,
                    unit=row.unit,
                    period=row.period,
                    defaults={
                        "limit_units": row.limit_units,
                        "hard": row.hard,
                        "thresholds": row.thresholds,
                        "timezone": account.timezone,
                        "source": BudgetSource.PLAN,
                        "valid_from": now,
                    },
                )
            elif budget.source == BudgetSource.PLAN or budget.valid_to is not None:
                limits.change(
                    budget,
                    limit_units=row.limit_units,
                    hard=row.hard,
                    thresholds=row.thresholds,
                    source=BudgetSource.PLAN,
                    now=now,
                )
        for budget in owned.values():
            if budget.source == BudgetSource.PLAN and budget.valid_to is None:
                limits.close(budget, now=now)


def sync_plan(plan: Plan, *, now: datetime | None = None) -> int:
    """Bring a changed plan to everybody who is on it. Returns how many users that are."""
    now = now or timezone.now()
    planned = list(plan.budgets.all())
    count = 0
    for account in plan.accounts.iterator():
        sync_user(account, now=now, planned=planned)
        count += 1
    return count
