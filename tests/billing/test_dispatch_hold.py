from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from billing.holds import dispatch_hold, expire_holds, release_hold
from billing.models import Hold, HoldState
from tests.billing import play

pytestmark = pytest.mark.django_db


def test_it_marks_an_open_hold_once() -> None:
    hold = play.place()
    assert dispatch_hold(hold.pk, now=play.NOON) is True
    assert dispatch_hold(hold.pk, now=play.NOON) is False
    hold = Hold.objects.get(pk=hold.pk)
    assert (hold.state, hold.dispatched_at) == (HoldState.DISPATCHED, play.NOON)


def test_it_says_no_for_a_closed_or_unknown_hold() -> None:
    hold = play.place()
    release_hold(hold.pk, reason="cancelled")
    assert dispatch_hold(hold.pk) is False
    assert dispatch_hold(uuid4()) is False


def test_it_begins_the_lease_anew_when_it_waited_longer_than_that() -> None:
    hold = play.place(lease_seconds=30.0)
    later = play.NOON + timedelta(minutes=2)
    assert dispatch_hold(hold.pk, lease_seconds=30.0, now=later) is True
    assert expire_holds(now=later + timedelta(seconds=29)) == []
    assert expire_holds(now=later + timedelta(seconds=31)) == [hold.pk]
