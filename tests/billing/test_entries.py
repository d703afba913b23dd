from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from billing import entries, prices
from billing.errors import InvalidAmount
from billing.holds import expire_holds
from billing.models import Bucket, EntryKind, LedgerEntry, PriceVersion, UsageRollup
from billing.usage import UsageCounts
from tests.billing import play

pytestmark = pytest.mark.django_db


def estimate(input_tokens: int = 100, output_tokens: int = 200) -> LedgerEntry:
    hold = play.dispatched()
    entry = play.settle(hold, input_tokens, output_tokens, estimated=True).entry
    assert entry is not None
    return entry


@pytest.mark.parametrize(
    ("truth", "tokens", "cost", "slack"),
    [
        (UsageCounts(100, 0, 0, 0, 250, 0), 50, 20_000, 50),
        (UsageCounts(100, 0, 0, 0, 150, 0), -50, -20_000, 0),
        (UsageCounts(60, 40, 0, 0, 200, 0), 0, 0, 0),
    ],
)
def test_a_true_up_posts_the_signed_difference(
    truth: UsageCounts, tokens: int, cost: int, slack: int
) -> None:
    play.price()
    first = estimate()
    assert first.hold_id is not None
    entry = entries.true_up(first.hold_id, usage=truth, raw={"late": True}, now=play.NOON)
    assert entry is not None
    assert (entry.kind, entry.total_tokens, entry.cost_nanousd) == (EntryKind.TRUEUP, tokens, cost)
    bucket = play.user_bucket()
    assert (bucket.posted, bucket.held, bucket.slack) == (300 + tokens, 0, slack)
    assert play.broken() == []


def test_there_is_one_true_up_whatever_comes_later() -> None:
    first = estimate()
    assert first.hold_id is not None
    one = entries.true_up(first.hold_id, usage=UsageCounts(100, 0, 0, 0, 250, 0))
    two = entries.true_up(first.hold_id, usage=UsageCounts(100, 0, 0, 0, 999, 0))
    assert one == two
    assert play.user_bucket().posted == 350


def test_what_was_reported_needs_no_true_up() -> None:
    hold = play.dispatched()
    play.settle(hold, 100, 100)
    assert entries.true_up(hold.pk, usage=UsageCounts(1)) is None
    assert entries.true_up(uuid4(), usage=UsageCounts(1)) is None
    assert entries.true_up(play.place().pk, usage=UsageCounts(1)) is None


def test_a_true_up_of_a_swept_call_stays_with_the_house() -> None:
    everyone = play.budget(None, scope="everyone")
    hold = play.dispatched()
    expire_holds(now=play.NOON + timedelta(minutes=1))
    entry = entries.true_up(hold.pk, usage=UsageCounts(100, 0, 0, 0, 300, 0))
    assert entry is not None
    assert entry.bearer == "house"
    assert (play.user_bucket().posted, play.bucket(everyone).posted) == (0, 400)
    assert play.broken() == []


def test_a_refund_is_a_new_entry_and_is_made_once() -> None:
    play.price()
    play.budget(600)
    spent = play.spend(tokens=600)
    refund = entries.refund(spent.pk, reason="wrong answer", actor_id=9, now=play.NOON)
    assert entries.refund(spent.pk, reason="again") == refund
    assert (refund.reverses, refund.total_tokens, refund.cost_nanousd) == (
        spent,
        -600,
        -(spent.cost_nanousd or 0),
    )
    assert (refund.note, refund.actor_id, refund.local_day) == ("wrong answer", 9, spent.local_day)
    assert LedgerEntry.objects.get(pk=spent.pk).total_tokens == 600
    assert play.user_bucket().posted == 0
    assert play.place().output_cap_tokens == 400
    rollup = UsageRollup.objects.get()
    assert (rollup.calls, rollup.output_visible_tokens, rollup.cost_nanousd) == (1, 0, 0)
    assert play.broken() == []


def test_a_refund_of_yesterday_counts_yesterday() -> None:
    play.budget(600)
    spent = play.spend(tokens=600)
    tomorrow = play.NOON + timedelta(days=1)
    play.spend(tokens=300, now=tomorrow)
    entries.refund(spent.pk, reason="late", now=tomorrow)
    buckets = Bucket.objects.order_by("period_start")
    assert [bucket.posted for bucket in buckets] == [0, 300]
    assert play.broken() == []


def test_an_adjustment_charges_or_credits_once_per_key() -> None:
    play.price()
    money = play.budget(10**9, unit="nanousd")
    spent = play.spend(tokens=500)
    usage = UsageCounts(output_visible=10)
    one = entries.adjust(spent.pk, key="a", usage=usage, cost_nanousd=4_000, reason="missed", now=play.NOON)
    assert entries.adjust(spent.pk, key="a", usage=usage, cost_nanousd=4_000, reason="missed") == one
    entries.adjust(spent.pk, key="b", usage=usage, cost_nanousd=1_000, reason="goodwill", credit=True)
    assert play.user_bucket().posted == 500
    assert play.bucket(money).posted == (spent.cost_nanousd or 0) + 3_000
    assert play.broken() == []


def test_a_credit_cannot_take_back_more_than_was_posted() -> None:
    spent = play.spend(tokens=500)
    with pytest.raises(InvalidAmount, match="more than is posted"):
        entries.adjust(
            spent.pk, key="a", usage=UsageCounts(501), cost_nanousd=None, reason="too much", credit=True
        )
    assert play.broken() == []


@pytest.mark.parametrize("cost", [-1, 1.5])
def test_a_cost_that_cannot_be_is_refused(cost: int) -> None:
    with pytest.raises(InvalidAmount):
        entries.adjust(play.spend().pk, key="a", usage=UsageCounts(), cost_nanousd=cost, reason="")


def test_a_wrong_price_is_refunded_and_charged_anew() -> None:
    play.price(input_picousd=1_000_000, output_picousd=4_000_000)
    money = play.budget(10**9, unit="nanousd")
    spent = play.spend(tokens=500)
    right = prices.set_price(model=play.MODEL, tiers=[prices.TierPrice(100_000, 400_000)])[0]
    for _ in range(2):
        entry = entries.reprice(spent.pk, price_version=right, reason="a digit too many", now=play.NOON)
    assert (entry.cost_nanousd, entry.price_version_id) == (170_000, right.pk)
    assert play.bucket(money).posted == 170_000
    assert play.user_bucket().posted == 500
    assert LedgerEntry.objects.count() == 3
    assert PriceVersion.objects.exclude(source="shipped").count() == 2
    assert play.broken() == []


def test_corrections_cannot_be_corrected_and_unknown_entries_not_either() -> None:
    refund = entries.refund(play.spend().pk, reason="")
    with pytest.raises(InvalidAmount, match="refund"):
        entries.refund(refund.pk, reason="")
    with pytest.raises(InvalidAmount, match="no ledger entry"):
        entries.refund(uuid4(), reason="")
