"""Limits that people set below the admin's."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from billing.accounts import set_plan, set_timezone
from billing.budgets import meters, set_budget
from billing.errors import BudgetExceeded, InvalidAmount
from billing.holds import HoldRequest, place_hold
from billing.models import Budget
from billing.own_limits import own_limits, remove_own_limit, set_own_limit

pytestmark = pytest.mark.django_db


def ask(user: User, tokens: int) -> None:
    place_hold(
        HoldRequest(
            key=str(uuid4()),
            fingerprint="",
            user_id=user.pk,
            conversation_id=uuid4(),
            generation_id=uuid4(),
            attempt=1,
            purpose="answer",
            model="demo:friendly",
            input_tokens=0,
            wanted_output_tokens=tokens,
            minimum_output_tokens=tokens,
            lease_seconds=60,
        )
    )


def test_it_refuses_beyond_a_limit_of_ones_own(alice: User) -> None:
    set_own_limit(user_id=alice.pk, unit="tokens", period="day", limit_units=1000)
    ask(alice, 900)
    with pytest.raises(BudgetExceeded) as refused:
        ask(alice, 101)
    assert (refused.value.budget.scope, refused.value.limit) == ("own", 1000)


def test_it_leaves_the_admins_limit_in_force(alice: User) -> None:
    set_own_limit(user_id=alice.pk, unit="tokens", period="week", limit_units=10**9)
    with pytest.raises(BudgetExceeded) as refused:
        ask(alice, 50_001)
    assert refused.value.budget.scope == "user"


@pytest.mark.parametrize("limit", [50_000, 50_001, 10**12])
def test_it_takes_no_limit_at_or_above_the_admins(alice: User, limit: int) -> None:
    with pytest.raises(InvalidAmount, match="below the 50,000 tokens a day"):
        set_own_limit(user_id=alice.pk, unit="tokens", period="day", limit_units=limit)
    assert own_limits(alice.pk) == []


def test_it_takes_any_limit_where_the_admin_set_none(alice: User) -> None:
    set_plan(user_id=alice.pk, plan="unlimited")
    set_own_limit(user_id=alice.pk, unit="nanousd", period="month", limit_units=5 * 10**9)
    assert [one.limit_units for one in own_limits(alice.pk)] == [5 * 10**9]


@pytest.mark.parametrize("limit", [-1, None, 10**19, 1.5])
def test_it_takes_no_limit_that_cannot_be(alice: User, limit: int) -> None:
    with pytest.raises(InvalidAmount):
        set_own_limit(user_id=alice.pk, unit="tokens", period="day", limit_units=limit)


def test_it_counts_on_when_the_limit_is_changed_or_set_again(alice: User) -> None:
    limit = set_own_limit(user_id=alice.pk, unit="tokens", period="day", limit_units=1000)
    ask(alice, 900)
    assert remove_own_limit(user_id=alice.pk, budget_id=limit.pk)
    ask(alice, 900)
    again = set_own_limit(user_id=alice.pk, unit="tokens", period="day", limit_units=2000)
    assert again.pk == limit.pk
    [mine] = [meter for meter in meters(user_id=alice.pk) if meter.scope == "own"]
    assert (mine.held, mine.limit) == (900, 2000)  # what was asked while it was gone was not its business


def test_it_removes_nobody_elses_limit_and_no_limit_of_an_admin(alice: User, charlie: User) -> None:
    limit = set_own_limit(user_id=alice.pk, unit="tokens", period="day", limit_units=1000)
    admins = Budget.objects.get(scope_kind="user", scope_id=str(alice.pk))
    assert not remove_own_limit(user_id=charlie.pk, budget_id=limit.pk)
    assert not remove_own_limit(user_id=alice.pk, budget_id=admins.pk)
    assert len(own_limits(alice.pk)) == 1


def test_it_moves_with_the_persons_zone(alice: User) -> None:
    set_own_limit(user_id=alice.pk, unit="tokens", period="day", limit_units=1000)
    set_timezone(user_id=alice.pk, timezone_name="Asia/Tokyo")
    assert own_limits(alice.pk)[0].timezone == "Asia/Tokyo"


def test_it_never_meets_somebody_elses_calls(alice: User, charlie: User) -> None:
    set_own_limit(user_id=alice.pk, unit="tokens", period="day", limit_units=10)
    ask(charlie, 900)


def test_it_keeps_a_limit_above_one_that_the_admin_lowers_later(alice: User) -> None:
    set_own_limit(user_id=alice.pk, unit="tokens", period="day", limit_units=1000)
    now = timezone.now() + timedelta(seconds=1)
    set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=500, period="day", now=now)
    with pytest.raises(BudgetExceeded) as refused:
        ask(alice, 501)
    assert refused.value.budget.scope == "user"
