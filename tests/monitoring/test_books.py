"""The checks of the books: what they find closes the bucket and becomes an incident."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import pytest

from billing.models import Bucket
from conversations.models import Pulse
from monitoring.books import KEEP_CHECKS, check_all, check_touched
from monitoring.incidents import watch
from monitoring.models import BooksCheck, Incident
from monitoring.tasks import check_books
from monitoring.tasks import check_touched as check_touched_task
from tests.billing import play
from tests.billing.corruption import execute, unguarded

pytestmark = pytest.mark.django_db


def test_right_books_are_noted_as_right(now: datetime) -> None:
    play.budget(100_000, now=now)
    play.spend(now=now)
    assert check_all().failed == {}
    assert check_touched().drifts == ()
    check_books()
    check_touched_task()
    assert BooksCheck.objects.count() == 2


def test_drift_becomes_an_incident_with_the_buckets_number_and_its_end_too(
    now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    play.budget(100_000, now=now)
    play.spend(now=now)
    bucket = Bucket.objects.get()
    execute("UPDATE billing_bucket SET posted = posted + 9")
    with caplog.at_level(logging.ERROR):
        check_touched()
    assert caplog.records[0].__dict__["posted"] == 9
    [incident] = watch(now=now)
    assert (incident.rule, incident.subject) == ("ledger_drift", f"bucket {bucket.pk}")
    execute("UPDATE billing_bucket SET posted = posted - 9")
    check_touched()
    [closed] = watch(now=now + timedelta(seconds=1))
    assert closed.pk == incident.pk


def test_the_nightly_check_finds_what_nobody_touches_and_closes_it(now: datetime) -> None:
    long_ago = now - timedelta(hours=20)
    play.budget(100_000, now=long_ago)
    play.spend(now=long_ago)
    execute("UPDATE billing_bucket SET posted = posted + 9")
    assert check_touched().checked == 0
    check = check_all()
    bucket = Bucket.objects.get()
    assert check.failed["I1"] == [str(bucket.pk)]
    assert bucket.suspended_at is not None


def test_another_broken_invariant_is_an_incident_of_its_own(now: datetime) -> None:
    play.price()
    play.budget(100_000, now=now)
    play.spend(now=now)
    with unguarded():
        execute("UPDATE billing_ledgerentry SET cost_nanousd = cost_nanousd + 1 WHERE kind = 'usage'")
    assert "I7" in check_all().failed
    watch(now=now)
    assert "invariant I7" in Incident.objects.values_list("subject", flat=True)


def test_old_results_go(now: datetime) -> None:
    BooksCheck.objects.bulk_create(
        BooksCheck(checked_at=now - timedelta(days=day), seconds=1) for day in range(1, KEEP_CHECKS + 5)
    )
    check_all()
    assert BooksCheck.objects.count() == KEEP_CHECKS


def test_worker_and_sweeper_leave_their_pulse(db: None, redis_url: str) -> None:
    from conversations.tasks import beat_pulse, sweep

    sweep()
    beat_pulse()
    assert set(Pulse.objects.values_list("name", flat=True)) == {"sweeper", "worker"}
