"""The minute's check: it sees a wrong sum, closes that bucket alone, and opens it when it is right again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing import self_checks
from billing.errors import BucketSuspended, BudgetExceeded
from billing.holds import place_hold
from billing.models import Bucket, Posting
from billing.previews import preview_hold
from billing.self_checks import Drift, check_buckets, check_touched, touched_buckets
from tests.billing import play
from tests.billing.corruption import execute, unguarded

pytestmark = pytest.mark.django_db

SOON = play.NOON + timedelta(seconds=30)


def test_it_finds_nothing_where_the_books_are_right() -> None:
    play.budget(100_000)
    play.budget(None, scope="everyone", period="month")
    play.spend()
    play.dispatched()
    check = check_touched(now=SOON)
    assert (check.checked, check.drifts, check.lifted) == (2, (), 0)


@pytest.mark.parametrize("column", ["posted", "held", "slack"])
def test_it_closes_the_bucket_whose_sum_is_wrong_and_no_other(column: str) -> None:
    play.budget(100_000)
    play.budget(100_000, scope_id=2)
    play.spend()
    play.spend(user_id=2)
    wrong = play.user_bucket()
    execute(f"UPDATE billing_bucket SET {column} = {column} + 7 WHERE id = {wrong.pk}")
    check = check_touched(now=SOON)
    assert check.drifts == (Drift(wrong.pk, **{**dict.fromkeys(("posted", "held", "slack"), 0), column: 7}),)
    with pytest.raises(BucketSuspended) as refusal:
        play.place(now=SOON)
    assert isinstance(refusal.value, BudgetExceeded)
    assert refusal.value.fits_output_tokens == 0
    assert isinstance(preview_hold(play.request(), now=SOON).refusal, BucketSuspended)
    assert place_hold(play.request(user_id=2), now=SOON).output_cap_tokens == 400


def test_what_runs_is_still_settled_while_its_bucket_is_closed() -> None:
    play.budget(100_000)
    hold = play.dispatched()
    Bucket.objects.update(suspended_at=play.NOON)
    entry = play.settle(hold, 100, 200).entry
    assert Posting.objects.get(entry=entry).amount == 300


def test_it_opens_the_bucket_when_somebody_has_put_it_right() -> None:
    play.budget(100_000)
    play.spend()
    execute("UPDATE billing_bucket SET posted = posted + 7")
    assert check_touched(now=SOON).drifts
    later = SOON + timedelta(hours=5)
    assert len(check_touched(now=later).drifts) == 1  # still looked at, though nothing touches it
    assert Bucket.objects.get().suspended_at == SOON
    execute("UPDATE billing_bucket SET posted = posted - 7")
    assert check_touched(now=later).lifted == 1
    assert play.place(now=later).output_cap_tokens == 400


def test_it_changes_no_sum() -> None:
    play.budget(100_000)
    play.spend(tokens=500)
    with unguarded():
        execute("UPDATE billing_posting SET amount = amount + 1")
    assert check_touched(now=SOON).drifts == (Drift(Bucket.objects.get().pk, -1, 0, 0),)
    assert Bucket.objects.get().posted == 500


def test_a_large_bucket_is_left_to_the_nightly_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_checks, "MOST_POSTINGS", 1)
    play.budget(100_000)
    play.spend()
    play.spend()
    check = check_touched(now=SOON)
    assert (check.checked, check.skipped) == (0, 1)
    assert check_buckets([Bucket.objects.get().pk, 10**9], whole=True, now=SOON).checked == 1


def test_a_large_bucket_is_opened_as_soon_as_it_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_checks, "MOST_POSTINGS", 1)
    play.budget(100_000)
    play.spend()
    play.spend()
    Bucket.objects.update(suspended_at=play.NOON)
    assert check_touched(now=SOON).lifted == 1
    assert Bucket.objects.get().suspended_at is None


def test_of_very_many_buckets_each_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_checks, "MOST_BUCKETS", 1)
    for user_id in (1, 2):
        play.budget(100_000, scope_id=str(user_id))
        play.spend(user_id)
    passes = [touched_buckets(since=play.NOON) for _ in range(50)]
    assert {len(found) for found in passes} == {1}
    assert len({found[0] for found in passes}) == 2
