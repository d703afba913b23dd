from __future__ import annotations

from uuid import uuid4

import pytest

from billing.holds import dispatch_hold, release_hold
from billing.models import Hold, HoldState, LedgerEntry
from tests.billing import play

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("sent", [False, True])
def test_it_gives_everything_back_once(sent: bool) -> None:
    play.price()
    money = play.budget(10**9, unit="nanousd")
    kept = play.place()
    hold = play.place()
    if sent:
        dispatch_hold(hold.pk)
    assert release_hold(hold.pk, reason="the provider was busy", now=play.NOON) is True
    assert release_hold(hold.pk, reason="again", now=play.NOON) is False
    hold = Hold.objects.get(pk=hold.pk)
    assert (hold.state, hold.release_reason) == (HoldState.RELEASED, "the provider was busy")
    assert (play.user_bucket().held, play.bucket(money).held) == (500, kept.cost_nanousd)
    assert LedgerEntry.objects.count() == 0
    assert play.broken() == []


def test_it_does_not_touch_a_settled_or_unknown_hold() -> None:
    hold = play.dispatched()
    play.settle(hold, 100, 100)
    assert release_hold(hold.pk, reason="late") is False
    assert release_hold(uuid4(), reason="nothing") is False
    assert play.user_bucket().posted == 200
