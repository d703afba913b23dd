"""Money stories with every figure computed by hand, from the first call to the last receipt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from billing import accounts, budgets, entries, grants, prices, receipts
from billing.errors import BudgetExceeded
from billing.holds import expire_holds, record_refusal, release_hold, renew_holds
from billing.models import BillingGroup, BudgetEvent, LedgerEntry, UsageRollup
from billing.usage import UsageCounts
from tests.billing import play

pytestmark = pytest.mark.django_db


def test_a_day_on_the_free_plan() -> None:
    """4,000 tokens: 500, 2,600 and 850 fit, the last answer is cut, then the day is over."""
    play.price()
    accounts.set_plan(user_id=1, plan="free", now=play.NOON)

    first = play.dispatched(input_tokens=120, wanted_output_tokens=1_000)
    assert play.settle(first, 110, 390).events == []  # 500 = 12 %
    second = play.dispatched(input_tokens=700, wanted_output_tokens=2_000)
    assert [e.kind for e in play.settle(second, 650, 1_950).events] == ["75"]  # 3,100 = 77 %
    third = play.dispatched(input_tokens=300, wanted_output_tokens=4_096)
    assert third.output_cap_tokens == 600  # 900 are left, 300 go to the question
    assert [e.kind for e in play.settle(third, 290, 560).events] == ["90"]  # 3,950 = 98 %

    with pytest.raises(BudgetExceeded) as refused:
        play.place(input_tokens=40, wanted_output_tokens=4_096)
    assert (refused.value.fits_output_tokens, refused.value.needed) == (10, 90)
    assert [e.kind for e in record_refusal(refused.value, now=play.NOON)] == ["refused", "100"]

    (meter,) = budgets.meters(user_id=1, now=play.NOON)
    assert (meter.used, meter.limit, meter.percent, meter.level) == (3_950, 4_000, 98, "90")
    # 1,050 x 100 + 2,900 x 400 nano-USD.
    total = sum(entry.cost_nanousd or 0 for entry in LedgerEntry.objects.all())
    assert total == 1_265_000
    assert play.user_bucket().slack == 0
    assert play.broken() == []


def test_a_team_shares_five_dollars_a_day() -> None:
    """Two people, $5 a day: a call of $3.10 by one leaves $1.90 for the other, whatever her plan."""
    play.price(input_picousd=10_000_000, output_picousd=30_000_000)  # $10 and $30 per million
    group = BillingGroup.objects.create(name="team")
    for user_id in (1, 2):
        accounts.set_plan(user_id=user_id, plan="unlimited", now=play.NOON)
        accounts.join_group(user_id=user_id, group=group)
    shared = play.budget(5 * 10**9, scope="group", scope_id=group.pk, unit="nanousd")

    hold = play.dispatched(1, input_tokens=10_000, wanted_output_tokens=100_000)
    assert hold.cost_nanousd == 3_100_000_000
    assert play.bucket(shared).held == 3_100_000_000
    # $1.90 less $0.10 for the question buys 60,000 tokens at $30 per million.
    other = play.dispatched(2, input_tokens=10_000, wanted_output_tokens=100_000)
    assert other.output_cap_tokens == 60_000
    with pytest.raises(BudgetExceeded):
        play.place(1, input_tokens=1, wanted_output_tokens=1)

    play.settle(hold, 10_000, 20_000)  # $0.70
    play.settle(other, 10_000, 60_000)  # $1.90
    assert play.bucket(shared).posted == 2_600_000_000
    assert play.place(1, input_tokens=10_000, wanted_output_tokens=100_000).output_cap_tokens == 76_666
    assert UsageRollup.objects.filter(group_id=group.pk).count() == 2
    assert play.broken() == []


def test_stop_pays_for_what_was_received() -> None:
    """Stopped after 37 tokens: input and those, marked as estimated; 363 of 400 tokens come back."""
    play.price()
    play.budget(1_000)
    hold = play.dispatched(input_tokens=100, wanted_output_tokens=400)
    renew_holds([(hold.pk, 30)], lease_seconds=30, now=play.NOON)
    entry = play.settle(hold, 100, 37, estimated=True).entry
    assert entry is not None
    assert receipts.receipt(entry)["cost_usd"] == "0.0000248"
    assert (play.user_bucket().posted, play.user_bucket().held) == (137, 0)
    late = entries.true_up(hold.pk, usage=UsageCounts(96, 0, 0, 0, 41, 0), now=play.NOON)
    assert late is not None
    assert (late.total_tokens, late.cost_nanousd) == (0, 1_200)
    assert play.broken() == []


def test_a_crashed_worker_costs_the_user_nothing() -> None:
    """Before the send: the hold expires. Mid-stream: the house pays 100 + 64 tokens. Then a retry."""
    play.price()
    play.budget(600)
    site = play.budget(10**9, scope="everyone", unit="nanousd", period="month")
    play.place()
    assert len(expire_holds(now=play.NOON + timedelta(seconds=30))) == 1
    lost = play.dispatched(attempt=1)
    renew_holds([(lost.pk, 64)], lease_seconds=30, now=play.NOON)
    assert expire_holds(now=play.NOON + timedelta(seconds=30)) == [lost.pk]
    retry = play.dispatched(attempt=2)
    play.settle(retry, 100, 200)
    assert (play.user_bucket().posted, play.user_bucket().held) == (300, 0)
    # 100 x 100 + 64 x 400 and 100 x 100 + 200 x 400 nano-USD.
    assert play.bucket(site).posted == 35_600 + 90_000
    assert play.broken() == []


def test_a_rate_limited_call_is_charged_once() -> None:
    """Two rejections release their holds; the third attempt is the only entry."""
    play.budget(1_000)
    for attempt in (1, 2):
        hold = play.dispatched(attempt=attempt)
        assert release_hold(hold.pk, reason="rate_limited")
    play.settle(play.dispatched(attempt=3), 100, 100)
    assert LedgerEntry.objects.count() == 1
    assert play.user_bucket().posted == 200
    assert play.broken() == []


def test_a_price_change_while_a_call_is_running() -> None:
    play.price()
    play.budget(10**9, unit="nanousd")
    running = play.dispatched()
    prices.set_price(model=play.MODEL, tiers=[prices.TierPrice(200_000, 800_000)], valid_from=play.NOON)
    later = play.dispatched(now=play.NOON + timedelta(seconds=1))
    costs = [play.settle(hold, 100, 100).entry for hold in (running, later)]
    assert [entry.cost_nanousd for entry in costs if entry] == [50_000, 100_000]
    assert play.broken() == []


def test_summer_time_gives_a_day_of_23_hours_and_no_extra_allowance() -> None:
    accounts.set_timezone(user_id=1, timezone_name="Europe/Berlin")
    play.budget(1_000)
    evening = datetime(2026, 3, 28, 22, 59, tzinfo=UTC)
    play.spend(tokens=1_000, now=evening)
    play.spend(tokens=1_000, now=evening + timedelta(minutes=1))
    with pytest.raises(BudgetExceeded) as refused:
        play.place(now=evening + timedelta(hours=23))
    assert refused.value.resets_at == datetime(2026, 3, 29, 22, tzinfo=UTC)
    play.spend(tokens=1_000, now=datetime(2026, 3, 29, 22, tzinfo=UTC))
    assert play.broken() == []


def test_a_top_up_in_the_middle_of_the_day() -> None:
    """1,000 a day are used up; 500 on top carry 300 today and 200 tomorrow."""
    budget = play.budget(1_000)
    play.spend(tokens=1_000)
    with pytest.raises(BudgetExceeded):
        play.place()
    grant = grants.grant_units(budget=budget, units=500, key="ticket 7", now=play.NOON)
    play.spend(tokens=300)
    tomorrow = play.NOON + timedelta(days=1)
    play.spend(tokens=1_200, now=tomorrow)
    grant.refresh_from_db()
    assert grant.remaining_units == 0
    with pytest.raises(BudgetExceeded):
        play.place(now=tomorrow)
    assert play.broken() == []


def test_a_limit_cut_below_what_is_used() -> None:
    """50,000 used 20,000, cut to 4,000: refused until tomorrow, 16,000 shown as slack, books right."""
    play.budget(50_000)
    play.spend(tokens=20_000)
    accounts.set_plan(user_id=1, plan="free", now=play.NOON)
    budgets.close_budget(play.user_bucket().budget, now=play.NOON)
    assert (play.user_bucket().limit_units, play.user_bucket().slack) == (4_000, 16_000)
    with pytest.raises(BudgetExceeded):
        play.place()
    assert play.place(now=play.NOON + timedelta(days=1)).output_cap_tokens == 400
    assert BudgetEvent.objects.count() == 0
    assert play.broken() == []
