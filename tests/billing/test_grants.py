from __future__ import annotations

from datetime import timedelta

import pytest

from billing import budgets, grants
from billing.errors import BudgetExceeded, InvalidAmount
from billing.holds import expire_holds, release_hold
from billing.models import Budget, EntryKind, Grant, LedgerEntry
from tests.billing import play

pytestmark = pytest.mark.django_db

TOMORROW = play.NOON + timedelta(days=1)


def grant(budget: Budget, units: int, key: str = "g", **changes: object) -> Grant:
    values: dict[str, object] = {"now": play.NOON, **changes}
    return grants.grant_units(budget=budget, units=units, key=key, **values)  # type: ignore[arg-type]


def left(key: str = "g") -> int:
    return Grant.objects.get(idempotency_key=key).remaining_units


def test_a_grant_is_burnt_when_the_day_is_used_up() -> None:
    budget = play.budget(1_000)
    grant(budget, 500)
    play.spend(tokens=900)
    assert left() == 500
    play.spend(tokens=300)
    assert left() == 300
    (meter,) = budgets.meters(user_id=1, now=play.NOON)
    assert (meter.used, meter.limit, meter.percent, meter.remaining) == (1_200, 1_500, 80, 300)
    with pytest.raises(BudgetExceeded) as refused:
        play.place(input_tokens=300, wanted_output_tokens=1)
    assert refused.value.limit == 1_500
    assert play.broken() == []


def test_the_next_day_has_its_own_allowance_and_the_rest_of_the_grant() -> None:
    budget = play.budget(1_000)
    grant(budget, 500)
    play.spend(tokens=1_200)
    play.spend(tokens=1_000, now=TOMORROW)
    assert left() == 300
    play.spend(tokens=300, now=TOMORROW)
    assert left() == 0
    assert play.broken() == []


@pytest.mark.parametrize("end", ["settle", "release", "expire"])
def test_what_a_hold_did_not_need_goes_back(end: str) -> None:
    budget = play.budget(1_000)
    grant(budget, 500)
    play.spend(tokens=900)
    hold = play.dispatched(input_tokens=100, wanted_output_tokens=400)
    assert left() == 100
    if end == "settle":
        play.settle(hold, 100, 50)
    elif end == "release":
        release_hold(hold.pk, reason="refused")
    else:
        expire_holds(now=play.NOON + timedelta(minutes=1))
    assert left() == (450 if end == "settle" else 500)
    assert play.bucket(budget).drawn == (50 if end == "settle" else 0)
    assert play.broken() == []


def test_what_expires_first_is_burnt_first() -> None:
    budget = play.budget(0)
    grant(budget, 100, "never")
    grant(budget, 100, "late", expires_at=play.NOON + timedelta(days=9))
    grant(budget, 100, "soon", expires_at=TOMORROW, priority=2)
    grant(budget, 100, "soon, and first", expires_at=TOMORROW, priority=1)
    hold = play.dispatched(input_tokens=0, wanted_output_tokens=250)
    assert [left(k) for k in ("soon, and first", "soon", "late", "never")] == [0, 0, 50, 100]
    play.settle(hold, 0, 120)
    assert [left(k) for k in ("soon, and first", "soon", "late", "never")] == [0, 80, 100, 100]
    assert play.broken() == []


def test_what_has_expired_cannot_be_burnt_and_is_written_off_once() -> None:
    budget = play.budget(100)
    grant(budget, 500, expires_at=TOMORROW)
    later = TOMORROW + timedelta(hours=1)
    with pytest.raises(BudgetExceeded):
        play.place(now=later)
    assert grants.expire_grants(now=play.NOON) == 0
    assert grants.expire_grants(now=later) == 1
    assert grants.expire_grants(now=later) == 0
    entry = LedgerEntry.objects.get(kind=EntryKind.GRANT_EXPIRY)
    assert (entry.granted_units, entry.user_id) == (-500, 1)
    assert play.broken() == []


def test_what_comes_back_after_the_expiry_is_written_off_too() -> None:
    budget = play.budget(100)
    grant(budget, 500, expires_at=TOMORROW)
    hold = play.dispatched(input_tokens=100, wanted_output_tokens=400)
    later = TOMORROW + timedelta(hours=1)
    assert grants.expire_grants(now=later) == 1
    play.settle(hold, 100, 100, now=later)
    assert grants.expire_grants(now=later) == 1
    written_off = LedgerEntry.objects.filter(kind=EntryKind.GRANT_EXPIRY)
    assert {entry.granted_units for entry in written_off} == {-300, -100}
    assert play.broken() == []


def test_a_new_limit_keeps_what_was_drawn() -> None:
    budget = play.budget(1_000)
    grant(budget, 500)
    play.spend(tokens=1_200)
    play.budget(2_000)
    assert play.bucket(budget).limit_units == 2_200
    play.spend(tokens=100)
    assert (play.bucket(budget).limit_units, left()) == (2_000, 500)
    assert play.broken() == []


def test_the_same_key_grants_once() -> None:
    budget = play.budget(1_000)
    assert grant(budget, 500) == grant(budget, 500)
    assert LedgerEntry.objects.filter(kind=EntryKind.GRANT).count() == 1


def test_a_budget_of_everyone_can_be_topped_up() -> None:
    play.budget(None)
    budget = play.budget(100, scope="everyone", period="none")
    grant(budget, 500)
    assert play.place().output_cap_tokens == 400
    assert play.broken() == []


@pytest.mark.parametrize("units", [0, -5, 1.5, 10**18 + 1])
def test_an_amount_that_cannot_be_is_refused(units: int) -> None:
    with pytest.raises(InvalidAmount):
        grant(play.budget(1), units)


def test_a_grant_that_has_expired_before_it_began_is_refused() -> None:
    with pytest.raises(InvalidAmount):
        grant(play.budget(1), 5, expires_at=play.NOON)
