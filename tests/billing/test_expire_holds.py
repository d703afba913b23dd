from __future__ import annotations

from datetime import timedelta

import pytest

from billing.holds import expire_holds, renew_holds, settle_hold
from billing.models import Hold, HoldState, LedgerEntry
from billing.usage import UsageCounts
from tests.billing import play
from tests.billing.corruption import execute

pytestmark = pytest.mark.django_db

LATER = play.NOON + timedelta(seconds=31)


def test_a_hold_that_was_never_sent_expires_and_costs_nothing() -> None:
    hold = play.place()
    assert expire_holds(now=play.NOON + timedelta(seconds=29)) == []
    assert expire_holds(now=LATER) == [hold.pk]
    assert expire_holds(now=LATER) == []
    assert Hold.objects.get().state == HoldState.EXPIRED
    assert (play.user_bucket().held, LedgerEntry.objects.count()) == (0, 0)
    assert play.broken() == []


def test_a_lost_call_is_settled_from_its_checkpoint_at_the_cost_of_the_house() -> None:
    play.price()
    everyone = play.budget(None, scope="everyone")
    hold = play.dispatched(input_tokens=100)
    renew_holds([(hold.pk, 120)], lease_seconds=30, now=play.NOON)
    assert expire_holds(now=LATER) == [hold.pk]
    entry = LedgerEntry.objects.get()
    assert (entry.bearer, entry.estimated, entry.total_tokens, entry.cost_nanousd) == (
        "house",
        True,
        220,
        58_000,
    )
    assert (play.user_bucket().posted, play.user_bucket().held) == (0, 0)
    assert play.bucket(everyone).posted == 220
    assert play.broken() == []


def test_a_late_settlement_after_the_sweep_changes_nothing() -> None:
    hold = play.dispatched()
    expire_holds(now=LATER)
    settlement = settle_hold(hold.pk, usage=UsageCounts(1_000, 0, 0, 0, 1_000, 0), estimated=False, now=LATER)
    assert settlement.created is False
    assert settlement.entry == LedgerEntry.objects.get()


def test_a_renewed_hold_is_left_alone() -> None:
    hold = play.dispatched()
    renew_holds([(hold.pk, 1)], lease_seconds=30, now=LATER)
    assert expire_holds(now=LATER) == []
    assert Hold.objects.get().state == HoldState.DISPATCHED


def test_it_takes_the_oldest_first_and_no_more_than_asked_for() -> None:
    play.budget(None)
    second = play.place(lease_seconds=20)
    first = play.place(lease_seconds=10)
    play.place(lease_seconds=25)
    assert expire_holds(now=LATER, limit=2) == [first.pk, second.pk]


@pytest.mark.django_db(transaction=True)
def test_one_that_cannot_be_closed_keeps_no_other_from_it() -> None:
    # The sums of the first one's bucket were spoiled: what it holds cannot be taken out of them.
    stuck, sent, open_one = play.dispatched(), play.dispatched(user_id=2), play.place(user_id=3)
    execute(f"UPDATE billing_bucket SET held = 0 WHERE id = {play.user_bucket().pk}")
    assert set(expire_holds(now=LATER)) == {sent.pk, open_one.pk}
    assert Hold.objects.get(pk=stuck.pk).state == HoldState.DISPATCHED
