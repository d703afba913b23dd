from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from billing.holds import release_hold, renew_holds
from billing.models import Hold
from tests.billing import play

pytestmark = pytest.mark.django_db


def test_it_extends_leases_and_notes_what_has_arrived() -> None:
    one, two = play.place(), play.dispatched()
    later = play.NOON + timedelta(seconds=10)
    assert renew_holds([(one.pk, 0), (two.pk, 120)], lease_seconds=30, now=later) == 2
    assert set(Hold.objects.values_list("lease_expires_at", "checkpoint_output_tokens")) == {
        (later + timedelta(seconds=30), 0),
        (later + timedelta(seconds=30), 120),
    }


def test_a_checkpoint_never_goes_back() -> None:
    hold = play.dispatched()
    renew_holds([(hold.pk, 120)], lease_seconds=30)
    renew_holds([(hold.pk, 80)], lease_seconds=30)
    assert Hold.objects.get().checkpoint_output_tokens == 120


def test_it_leaves_closed_and_unknown_holds_alone() -> None:
    hold = play.place()
    release_hold(hold.pk, reason="stopped")
    assert renew_holds([(hold.pk, 5), (uuid4(), 5)], lease_seconds=30) == 0
    assert renew_holds([], lease_seconds=30) == 0


def test_it_renews_more_than_one_statement_takes() -> None:
    play.budget(None)
    placed = [play.place().pk for _ in range(3)]
    leases = [(pk, 1) for pk in placed] + [(uuid4(), 1) for _ in range(1_200)]
    assert renew_holds(leases, lease_seconds=30) == 3
