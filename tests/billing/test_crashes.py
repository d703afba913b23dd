"""SIGKILL at every statement of every verb: nothing is lost, nothing is charged twice, nothing stays held."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from billing.holds import expire_holds
from billing.models import Bucket, Hold, LedgerEntry
from tests.billing import play
from tests.billing.processes import start

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "moves",
    [["place", "dispatch", "settle"], ["place", "dispatch", "release"], ["place", "dispatch", "sweep"]],
)
def test_a_process_killed_at_any_statement_leaves_the_books_right(moves: list[str]) -> None:
    play.price()
    play.budget(None, now=timezone.now())
    play.budget(10**12, scope="everyone", unit="nanousd", now=timezone.now())
    process = start("tests.billing.crash", json.dumps({"moves": moves}))
    report = json.loads(process.communicate(timeout=300)[0])
    assert report["killed"] == 2 * report["statements"] >= 30
    assert report["through"] == 1

    later = timezone.now() + timedelta(days=365)
    before = {hold.pk: hold.state for hold in Hold.objects.all()}
    swept = set(expire_holds(now=later))
    assert swept == {pk for pk, state in before.items() if state in ("open", "dispatched")}
    assert not Hold.objects.alive().exists()
    assert not Bucket.objects.exclude(held=0).exists()
    assert play.books_broken(later) == []

    # What was committed as settled is charged to the user, what was cut off while dispatched to the house.
    settled = sum(state == "settled" for state in before.values())
    cut_off = sum(state == "dispatched" for state in before.values())
    if "settle" in moves:
        assert LedgerEntry.objects.filter(bearer="user").count() == settled > 0
        assert LedgerEntry.objects.filter(bearer="house").count() == cut_off > 0
    assert not Bucket.objects.exclude(slack=0).exists()
