from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from billing import prices
from billing.errors import HoldStateError
from billing.holds import expire_holds, release_hold, settle_hold
from billing.models import BudgetEvent, Hold, HoldState, LedgerEntry, Posting, UsageRollup
from billing.usage import UsageCounts
from tests.billing import play

pytestmark = pytest.mark.django_db


def test_it_posts_what_was_used_and_returns_the_rest() -> None:
    play.price()
    money = play.budget(10**9, unit="nanousd")
    hold = play.dispatched(input_tokens=100, wanted_output_tokens=400)
    settlement = play.settle(hold, 90, 210, raw={"promptTokenCount": 90})
    assert settlement.created is True
    assert settlement.entry is not None
    entry = LedgerEntry.objects.get()
    assert entry == settlement.entry
    # 90 x 100,000 + 210 x 400,000 = 93,000,000 pico-USD.
    assert (entry.total_tokens, entry.cost_nanousd, entry.bearer) == (300, 93_000, "user")
    assert entry.usage_raw == {"promptTokenCount": 90}
    assert (play.user_bucket().posted, play.user_bucket().held, play.user_bucket().slack) == (300, 0, 0)
    assert (play.bucket(money).posted, play.bucket(money).held) == (93_000, 0)
    hold = Hold.objects.get(pk=hold.pk)
    assert (hold.state, hold.settled_entry, hold.closed_at) == (HoldState.SETTLED, entry, play.NOON)
    assert play.broken() == []


def test_it_is_a_quiet_no_op_the_second_time_whatever_the_amount() -> None:
    hold = play.dispatched()
    first = play.settle(hold, 90, 210)
    again = play.settle(hold, 1, 399, bearer="house")
    assert (again.created, again.entry, again.events) == (False, first.entry, [])
    assert play.user_bucket().posted == 300
    assert LedgerEntry.objects.count() == 1


def test_it_leaves_a_released_or_expired_hold_alone() -> None:
    released, expired = play.dispatched(), play.place()
    release_hold(released.pk, reason="rejected by the provider")
    expire_holds(now=play.NOON + timedelta(minutes=5))
    for hold in (released, expired):
        settlement = play.settle(hold, 1, 1)
        assert (settlement.created, settlement.entry) == (False, None)
    assert LedgerEntry.objects.count() == 0
    assert play.user_bucket().held == 0


def test_it_refuses_a_hold_that_was_never_sent() -> None:
    hold = play.place()
    with pytest.raises(HoldStateError, match="never dispatched"):
        play.settle(hold, 1, 1)
    with pytest.raises(HoldStateError, match="does not exist"):
        settle_hold(uuid4(), usage=UsageCounts(), estimated=False)
    assert play.user_bucket().held == 500


def test_it_records_an_overrun_in_full_and_shows_it_as_slack() -> None:
    play.budget(500)
    hold = play.dispatched(input_tokens=100, wanted_output_tokens=400)
    play.settle(hold, 130, 400)
    bucket = play.user_bucket()
    assert (bucket.posted, bucket.held, bucket.slack, bucket.limit_units) == (530, 0, 30, 500)
    assert Posting.objects.get().over == 30
    assert play.broken() == []


def test_what_the_house_bears_is_posted_to_the_site_alone() -> None:
    play.price()
    everyone = play.budget(10**9, scope="everyone", unit="nanousd", period="month")
    hold = play.dispatched()
    entry = play.settle(hold, 100, 50, bearer="house", estimated=True).entry
    assert entry is not None
    assert (entry.bearer, entry.estimated) == ("house", True)
    assert (play.user_bucket().posted, play.user_bucket().held) == (0, 0)
    assert (play.bucket(everyone).posted, play.bucket(everyone).held) == (30_000, 0)
    assert play.broken() == []


def test_it_charges_the_price_that_was_frozen_on_the_hold() -> None:
    old = play.price()
    hold = play.dispatched()
    prices.set_price(model=play.MODEL, tiers=[prices.TierPrice(200_000, 800_000)])
    entry = play.settle(hold, 100, 100).entry
    assert entry is not None
    assert (entry.price_version_id, entry.cost_nanousd) == (old, 50_000)


def test_it_charges_the_tier_that_the_true_input_falls_into() -> None:
    prices.set_price(
        model=play.MODEL,
        tiers=[
            prices.TierPrice(100_000, 400_000),
            prices.TierPrice(200_000, 600_000, above_input_tokens=1_000),
        ],
        valid_from=play.NOON - timedelta(days=1),
    )
    play.budget(None)
    below, above = play.dispatched(input_tokens=900), play.dispatched(input_tokens=900)
    assert below.cost_nanousd == 250_000
    one = play.settle(below, 1_000, 10).entry
    other = play.settle(above, 1_001, 10).entry
    assert one is not None
    assert other is not None
    assert (one.cost_nanousd, other.cost_nanousd) == (104_000, 206_200)
    assert play.broken() == []


def test_an_unknown_price_stays_unknown() -> None:
    entry = play.settle(play.dispatched(), 100, 100).entry
    assert entry is not None
    assert LedgerEntry.objects.get().cost_nanousd is None
    assert UsageRollup.objects.get().unpriced_calls == 1
    assert play.broken() == []


def test_it_settles_into_the_period_that_admitted_the_hold() -> None:
    play.budget(1_000)
    late = play.NOON.replace(hour=23, minute=59)
    hold = play.dispatched(now=late)
    entry = play.settle(hold, 100, 100, now=late + timedelta(minutes=5)).entry
    assert entry is not None
    assert (entry.local_day.day, play.user_bucket().period_start.day) == (4, 4)
    assert play.user_bucket().posted == 200


def test_it_sums_up_the_day_per_model_and_bearer() -> None:
    play.price()
    for bearer in ("user", "user", "house"):
        hold = play.dispatched()
        play.settle(hold, 0, 0, usage=UsageCounts(10, 20, 3, 4, 50, 60), bearer=bearer, estimated=True)
    mine = UsageRollup.objects.get(bearer="user")
    assert (mine.calls, mine.estimated_calls, mine.group_id, str(mine.local_day)) == (2, 2, 0, "2026-03-04")
    assert (mine.input_uncached_tokens, mine.cache_read_tokens, mine.thinking_tokens) == (20, 40, 120)
    assert mine.cost_nanousd == 2 * 47_700
    assert UsageRollup.objects.get(bearer="house").calls == 1
    assert play.broken() == []


def test_it_settles_a_call_that_used_nothing() -> None:
    entry = play.settle(play.dispatched(), 0, 0).entry
    assert entry is not None
    assert (entry.total_tokens, play.user_bucket().posted, play.user_bucket().held) == (0, 0, 0)
    assert play.broken() == []


def test_thresholds_are_recorded_once_each() -> None:
    play.budget(1_000)
    kinds = []
    for tokens in (740, 10, 100, 40, 50, 60):
        hold = play.dispatched(input_tokens=tokens - 5, wanted_output_tokens=5, minimum_output_tokens=1)
        kinds.append([event.kind for event in play.settle(hold, tokens - 5, 5).events])
    assert kinds == [[], ["75"], [], [], ["90"], ["100"]]
    assert BudgetEvent.objects.count() == 3
    event = BudgetEvent.objects.get(kind="90")
    assert (event.posted, event.limit_units, event.created_at) == (940, 1_000, play.NOON)
    assert play.broken() == []


def test_one_settlement_can_pass_several_thresholds() -> None:
    play.budget(1_000)
    hold = play.dispatched(input_tokens=400, wanted_output_tokens=600)
    assert [event.kind for event in play.settle(hold, 400, 600).events] == ["75", "90", "100"]


def test_the_last_threshold_counts_as_reached_when_no_useful_call_fits_any_more() -> None:
    play.budget(1_000)
    hold = play.dispatched(input_tokens=400, wanted_output_tokens=600, minimum_output_tokens=50)
    assert [event.kind for event in play.settle(hold, 400, 560).events] == ["75", "90", "100"]


def test_a_raised_limit_has_thresholds_of_its_own() -> None:
    play.budget(1_000)
    play.spend(tokens=800)
    play.budget(2_000)
    play.spend(tokens=700)
    assert sorted(BudgetEvent.objects.values_list("limit_version", "kind")) == [(2, "75"), (3, "75")]
    assert play.broken() == []
