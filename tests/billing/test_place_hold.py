from __future__ import annotations

from typing import Any

import pytest

from billing import accounts
from billing.errors import BudgetExceeded, HoldConflict, InvalidAmount, PriceUnknown
from billing.holds import place_hold
from billing.models import BillingGroup, Bucket, Hold, HoldLine, HoldState
from tests.billing import play

pytestmark = pytest.mark.django_db


def test_it_takes_input_and_output_from_every_bucket_that_applies() -> None:
    play.price()
    group = BillingGroup.objects.create(name="team")
    accounts.join_group(user_id=1, group=group)
    rules = [
        play.budget(10_000),
        play.budget(10**9, unit="nanousd"),
        play.budget(20_000, period="month"),
        play.budget(30_000, scope="group", scope_id=group.pk),
        play.budget(40_000, scope="conversation", scope_id=play.CONVERSATION, period="none"),
        play.budget(50_000, scope="everyone"),
        play.budget(60_000, scope="everyone", model=play.MODEL, period="week"),
        play.budget(70_000, scope="everyone", model="other:model"),
        play.budget(80_000, scope="user", scope_id=2),
    ]
    hold = play.place(input_tokens=100, wanted_output_tokens=400)
    assert hold.output_cap_tokens == 400
    # 100 x 100,000 + 400 x 400,000 pico-USD = 170,000 nano-USD.
    assert hold.cost_nanousd == 170_000
    held = {rule.pk: [b.held for b in rule.buckets.all()] for rule in rules}
    assert [held[rule.pk] for rule in rules] == [[500], [170_000], [500], [500], [500], [500], [500], [], []]
    assert HoldLine.objects.filter(hold=hold).count() == 7


def test_it_freezes_who_pays_and_the_day() -> None:
    group = BillingGroup.objects.create(name="team")
    accounts.join_group(user_id=1, group=group)
    accounts.set_timezone(user_id=1, timezone_name="Pacific/Auckland")
    hold = Hold.objects.get(pk=play.place().pk)
    assert (hold.group_id, str(hold.local_day), hold.state) == (group.pk, "2026-03-05", HoldState.OPEN)


def test_it_cuts_the_answer_to_what_the_tightest_budget_leaves() -> None:
    play.price()
    play.budget(10_000)
    # 300 tokens of output would fit: (130,000,000 - 100 x 100,000) / 400,000.
    money = play.budget(130_000, unit="nanousd")
    hold = play.place(input_tokens=100, wanted_output_tokens=400)
    assert hold.output_cap_tokens == 300
    assert play.bucket(money).held == 130_000
    assert play.user_bucket().held == 400


def test_it_says_how_much_of_what_is_left_the_call_takes() -> None:
    play.price()
    play.budget(1000)
    assert play.place(input_tokens=100, wanted_output_tokens=400).rest_percents == ((50, 10),)
    play.budget(130_000, unit="nanousd")
    # 500 tokens are left; 100 x 100,000 + 300 x 400,000 pico-USD are all of the money.
    percents = play.place(key="second:1", input_tokens=100, wanted_output_tokens=400).rest_percents
    assert sorted(percents) == [(80, 20), (100, 7)]
    accounts.set_plan(user_id=2, plan="unlimited")
    assert play.place(key="third:1", user_id=2).rest_percents == ()


def test_it_rounds_the_cut_so_that_the_cost_never_passes_the_limit() -> None:
    play.price(input_picousd=333, output_picousd=777_777)
    play.budget(100_001, unit="nanousd")
    hold = play.place(input_tokens=7, wanted_output_tokens=400)
    assert hold.output_cap_tokens == 128
    assert hold.cost_nanousd == 99_558


def test_it_refuses_below_the_useful_minimum_and_says_what_would_fit() -> None:
    budget = play.budget(1_000)
    play.spend(tokens=700)
    play.place(input_tokens=100, wanted_output_tokens=60)
    with pytest.raises(BudgetExceeded) as refused:
        play.place(input_tokens=100, wanted_output_tokens=400, minimum_output_tokens=50)
    error = refused.value
    assert (error.budget.scope, error.budget.unit, error.budget.period) == ("user", "tokens", "day")
    assert (error.limit, error.used, error.held) == (1_000, 700, 160)
    assert (error.needed, error.fits_output_tokens) == (150, 40)
    assert error.resets_at is not None
    assert error.resets_at.isoformat() == "2026-03-05T00:00:00+00:00"
    assert error.code == "budget_exceeded"
    assert play.bucket(budget).held == 160
    assert Hold.objects.count() == 2


def test_it_names_the_tightest_of_several_budgets() -> None:
    play.budget(1_000)
    play.budget(120, scope="conversation", scope_id=play.CONVERSATION, period="none")
    with pytest.raises(BudgetExceeded) as refused:
        play.place()
    assert refused.value.budget.scope == "conversation"
    assert refused.value.resets_at is None
    assert refused.value.fits_output_tokens == 20


def test_it_refuses_with_a_limit_of_zero() -> None:
    play.budget(0)
    with pytest.raises(BudgetExceeded) as refused:
        play.place(input_tokens=0, wanted_output_tokens=1, minimum_output_tokens=1)
    assert refused.value.fits_output_tokens == 0


def test_it_admits_to_the_last_token_and_not_one_more() -> None:
    play.budget(500)
    assert play.place(input_tokens=100, wanted_output_tokens=400).output_cap_tokens == 400
    with pytest.raises(BudgetExceeded):
        play.place(input_tokens=0, wanted_output_tokens=1, minimum_output_tokens=1)


def test_it_lets_a_soft_budget_run_over() -> None:
    play.budget(None)
    soft = play.budget(300, scope="everyone", hard=False)
    assert play.place().output_cap_tokens == 400
    assert play.place().output_cap_tokens == 400
    assert play.bucket(soft).held == 1_000


def test_it_counts_an_unlimited_budget() -> None:
    play.budget(None)
    play.place()
    assert play.user_bucket().held == 500


def test_slack_is_never_allowance() -> None:
    play.budget(1_000)
    hold = play.dispatched(input_tokens=100, wanted_output_tokens=400)
    play.settle(hold, 400, 400)  # 300 tokens more input than was held
    bucket = play.user_bucket()
    assert (bucket.posted, bucket.slack) == (800, 300)
    assert play.place(input_tokens=100, wanted_output_tokens=400).output_cap_tokens == 100
    assert play.broken() == []


@pytest.mark.parametrize("hard", [True, False])
def test_an_unknown_price_is_refused_by_hard_money_budgets_only(hard: bool) -> None:
    play.budget(10**9, unit="nanousd", hard=hard)
    if hard:
        with pytest.raises(PriceUnknown):
            play.place()
        assert Hold.objects.count() == 0
    else:
        hold = play.place()
        assert hold.cost_nanousd is None
        assert HoldLine.objects.get(hold=hold).bucket == play.user_bucket()


def test_a_free_model_takes_no_money() -> None:
    play.price(input_picousd=0, output_picousd=0)
    play.budget(0, unit="nanousd")
    assert play.place().cost_nanousd == 0
    assert play.broken() == []


def test_the_same_key_returns_the_first_hold() -> None:
    play.budget(500)
    wanted = play.request()
    first = place_hold(wanted, now=play.NOON)
    # The budget is used up by now: the duplicate is not refused, it is the same hold.
    again = place_hold(wanted, now=play.NOON)
    assert again.pk == first.pk
    assert play.user_bucket().held == 500
    assert Hold.objects.count() == 1


def test_the_same_key_returns_the_first_hold_while_there_is_room() -> None:
    play.budget(10_000)
    wanted = play.request()
    first = place_hold(wanted, now=play.NOON)
    assert place_hold(wanted, now=play.NOON).pk == first.pk
    assert play.user_bucket().held == 500


def test_the_same_key_for_another_request_is_a_conflict() -> None:
    play.place(key="k", fingerprint="one")
    with pytest.raises(HoldConflict):
        play.place(key="k", fingerprint="two")


def test_a_new_user_gets_the_default_plan_on_the_first_call(settings: pytest.FixtureRequest) -> None:
    settings.DEFAULT_PLAN = "free"  # type: ignore[attr-defined]  # pytest-django's settings wrapper
    play.place(user_id=77)
    assert play.user_bucket(77).limit_units == 4_000


def test_it_opens_one_bucket_per_period() -> None:
    budget = play.budget(1_000)
    play.spend(tokens=1_000)
    tomorrow = play.NOON.replace(day=5, hour=0, minute=0)
    play.spend(tokens=1_000, now=tomorrow)
    assert [(b.posted, b.period_start.day) for b in Bucket.objects.filter(budget=budget).order_by("pk")] == [
        (1_000, 4),
        (1_000, 5),
    ]
    assert play.broken() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"key": ""},
        {"key": "k" * 121},
        {"input_tokens": -1},
        {"input_tokens": 10**9},
        {"wanted_output_tokens": 0},
        {"wanted_output_tokens": 10**9},
        {"minimum_output_tokens": 0},
        {"lease_seconds": 0},
        {"lease_seconds": float("nan")},
    ],
)
def test_it_refuses_what_cannot_be_asked_for(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidAmount):
        play.request(**changes)
