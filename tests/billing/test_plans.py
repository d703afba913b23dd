from __future__ import annotations

import pytest

from billing import accounts, budgets, plans
from billing.errors import BudgetExceeded
from billing.models import Budget, BudgetSource, Plan, PlanBudget
from tests.billing import play

pytestmark = pytest.mark.django_db


def test_three_plans_are_shipped() -> None:
    shipped = PlanBudget.objects.values_list("plan__name", "limit_units", "unit", "period", "hard")
    assert sorted(shipped, key=lambda row: row[0]) == [
        ("free", 4_000, "tokens", "day", True),
        ("pro", 50_000, "tokens", "day", True),
        ("unlimited", None, "tokens", "day", True),
    ]


def test_a_change_of_plan_keeps_what_the_day_has_used() -> None:
    accounts.set_plan(user_id=1, plan="pro", now=play.NOON)
    play.spend(tokens=3_900)
    accounts.set_plan(user_id=1, plan="free", now=play.NOON)
    with pytest.raises(BudgetExceeded) as refused:
        play.place()
    assert (refused.value.limit, refused.value.used) == (4_000, 3_900)
    accounts.set_plan(user_id=1, plan="unlimited", now=play.NOON)
    play.spend(tokens=100_000)
    assert play.user_bucket().posted == 103_900
    assert play.broken() == []


def test_budgets_that_the_new_plan_lacks_are_closed() -> None:
    PlanBudget.objects.create(
        plan=Plan.objects.get(name="pro"), unit="nanousd", period="month", limit_units=5
    )
    accounts.set_plan(user_id=1, plan="pro", now=play.NOON)
    accounts.set_plan(user_id=1, plan="free", now=play.NOON)
    assert [m.unit for m in budgets.meters(user_id=1, now=play.NOON)] == ["tokens"]
    assert Budget.objects.get(unit="nanousd").valid_to is not None


def test_a_changed_plan_reaches_everybody_on_it() -> None:
    for user_id in (1, 2, 3):
        accounts.set_plan(user_id=user_id, plan="free" if user_id == 3 else "pro", now=play.NOON)
    play.budget(7)
    pro = Plan.objects.get(name="pro")
    pro.budgets.update(limit_units=60_000)
    assert plans.sync_plan(pro, now=play.NOON) == 2
    limits = dict(Budget.objects.values_list("scope_id", "limit_units"))
    assert limits == {"1": 7, "2": 60_000, "3": 4_000}
    assert Budget.objects.get(scope_id="1").source == BudgetSource.HAND
