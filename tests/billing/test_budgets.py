from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from billing import accounts, budgets
from billing.errors import BudgetExceeded, InvalidAmount
from billing.models import BillingGroup, Bucket, Budget, BudgetSource, LimitChange
from tests.billing import play

pytestmark = pytest.mark.django_db


def meters(**changes: Any) -> list[budgets.Meter]:
    return budgets.meters(**{"user_id": 1, "now": play.NOON, **changes})


def test_a_user_starts_with_the_budget_of_the_default_plan() -> None:
    (meter,) = meters()
    assert (meter.scope, meter.unit, meter.period, meter.limit) == ("user", "tokens", "day", 50_000)
    assert (meter.used, meter.held, meter.percent, meter.level, meter.hard) == (0, 0, 0, "ok", True)
    assert meter.resets_at == datetime(2026, 3, 5, tzinfo=UTC)
    assert Bucket.objects.count() == 0


def test_a_meter_counts_what_is_settled_and_shows_what_is_held() -> None:
    play.budget(1_000)
    play.spend(tokens=750)
    play.place(input_tokens=50, wanted_output_tokens=100)
    (meter,) = meters()
    assert (meter.used, meter.held, meter.percent, meter.level, meter.remaining) == (750, 150, 75, "75", 100)


@pytest.mark.parametrize(
    ("used", "level"), [(749, "ok"), (750, "75"), (899, "75"), (900, "90"), (999, "90"), (1_000, "100")]
)
def test_levels(used: int, level: str) -> None:
    play.budget(1_000)
    play.spend(tokens=used)
    assert meters()[0].level == level


def test_the_tightest_comes_first() -> None:
    play.price()
    play.budget(None)
    play.budget(100_000, period="month")
    play.budget(1_000, period="week")
    play.budget(600, scope="everyone", hard=False)
    play.budget(10**9, unit="nanousd")
    play.spend(tokens=500)
    found = [(m.scope, m.unit, m.period) for m in meters()]
    assert found == [
        ("user", "tokens", "week"),
        ("user", "tokens", "month"),
        ("user", "nanousd", "day"),
        ("user", "tokens", "day"),
        ("everyone", "tokens", "day"),
    ]


def test_a_limit_of_zero_is_used_up() -> None:
    play.budget(0)
    assert (meters()[0].percent, meters()[0].level, meters()[0].remaining) == (100, "100", 0)


def test_meters_are_those_of_the_user_the_group_the_conversation_and_the_model() -> None:
    group = BillingGroup.objects.create(name="team")
    accounts.join_group(user_id=1, group=group)
    play.budget(1, scope="group", scope_id=group.pk)
    play.budget(1, scope="conversation", scope_id=play.CONVERSATION)
    play.budget(1, scope="everyone", model="a:b")
    play.budget(1, scope_id=2)
    assert {m.scope for m in meters()} == {"user", "group", "everyone"}
    with_all = meters(conversation_id=play.CONVERSATION, model="a:b")
    assert {m.scope for m in with_all} == {"user", "group", "conversation", "everyone"}
    assert {m.scope for m in meters(model="c:d")} == {"user", "group"}


def test_a_budget_set_by_hand_replaces_the_one_of_the_plan_and_keeps_what_was_used() -> None:
    play.spend(tokens=900)
    budget = play.budget(1_000)
    assert (budget.source, budget.limit_version) == (BudgetSource.HAND, 2)
    assert Budget.objects.count() == 1
    assert (meters()[0].used, meters()[0].limit) == (900, 1_000)
    with pytest.raises(BudgetExceeded):
        play.place()


def test_the_plan_comes_back_when_the_budget_set_by_hand_is_closed() -> None:
    budgets.close_budget(play.budget(1_000), now=play.NOON)
    (budget,) = Budget.objects.all()
    assert (budget.limit_units, budget.source, budget.valid_to) == (50_000, BudgetSource.PLAN, None)


def test_closing_ends_a_budget_that_no_plan_brings() -> None:
    budget = play.budget(1_000, period="month")
    budgets.close_budget(budget, now=play.NOON)
    assert [m.period for m in meters()] == ["day"]
    everyone = play.budget(1_000, scope="everyone")
    budgets.close_budget(everyone, now=play.NOON)
    assert [m.scope for m in meters()] == ["user"]


def test_a_budget_that_is_set_again_goes_on_where_it_was() -> None:
    budget = play.budget(1_000, period="month")
    play.spend(tokens=900)
    budgets.close_budget(budget, now=play.NOON)
    play.spend(tokens=500)  # not counted: the budget is closed
    assert play.budget(1_000, period="month").pk == budget.pk
    assert play.bucket(budget).posted == 900
    with pytest.raises(BudgetExceeded):
        play.place()
    assert play.broken() == []


def test_a_limit_below_what_is_used_refuses_and_leaves_the_books_right() -> None:
    play.budget(10_000)
    play.spend(tokens=4_000)
    play.place(input_tokens=400, wanted_output_tokens=600)
    budget = play.budget(3_000)
    change = LimitChange.objects.latest("pk")
    assert (change.old_limit_units, change.new_limit_units, change.slack_added) == (10_000, 3_000, 2_000)
    assert (play.bucket(budget).slack, play.bucket(budget).limit_version) == (2_000, budget.limit_version)
    with pytest.raises(BudgetExceeded):
        play.place()
    assert play.broken() == []


def test_a_soft_budget_made_hard_counts_what_ran_over() -> None:
    play.budget(None)
    soft = play.budget(300, scope="everyone", hard=False)
    play.spend(tokens=500)
    play.budget(300, scope="everyone", hard=True)
    assert play.bucket(soft).slack == 200
    with pytest.raises(BudgetExceeded):
        play.place()
    assert play.broken() == []


def test_setting_the_same_limit_again_is_no_new_version() -> None:
    assert play.budget(1_000).limit_version == play.budget(1_000).limit_version


def test_a_users_budget_begins_its_days_in_the_users_zone() -> None:
    accounts.set_timezone(user_id=1, timezone_name="Asia/Tokyo")
    assert play.budget(1_000).timezone == "Asia/Tokyo"
    assert play.budget(1_000, timezone_name="Europe/Berlin").timezone == "Europe/Berlin"
    assert play.budget(1_000, scope="everyone").timezone == "UTC"


def test_a_change_of_zone_gives_no_second_allowance() -> None:
    play.budget(1_000)
    play.spend(tokens=1_000)
    accounts.set_timezone(user_id=1, timezone_name="Asia/Tokyo")  # its midnight is at 15:00 UTC
    with pytest.raises(BudgetExceeded):
        play.place(now=play.NOON.replace(hour=16))
    midnight = play.NOON.replace(day=5, hour=0)
    play.spend(tokens=1_000, now=midnight)
    # The first Tokyo midnight is 15 h away, but a day in UTC would not be over: it is the one after.
    with pytest.raises(BudgetExceeded) as refused:
        play.place(now=midnight + timedelta(hours=16))
    assert refused.value.resets_at == datetime(2026, 3, 6, 15, tzinfo=UTC)
    play.spend(tokens=1_000, now=datetime(2026, 3, 6, 15, tzinfo=UTC))
    assert play.broken() == []


def test_a_clock_set_back_finds_the_bucket_of_its_time() -> None:
    play.spend(tokens=500)
    play.spend(tokens=400, now=play.NOON - timedelta(days=1))
    play.spend(tokens=300, now=play.NOON)
    assert sorted(Bucket.objects.values_list("posted", flat=True)) == [400, 800]
    assert play.broken() == []


def test_a_clock_set_back_in_another_zone_ends_its_period_where_the_next_one_begins() -> None:
    midnight = datetime(2026, 3, 5, tzinfo=UTC)
    play.spend(now=midnight + timedelta(hours=12))
    accounts.set_timezone(user_id=1, timezone_name="America/New_York")  # its day ends at 05:00 UTC
    play.spend(now=midnight - timedelta(hours=1))
    first = Bucket.objects.earliest("period_start")
    assert (first.period_start, first.period_end) == (midnight - timedelta(hours=19), midnight)
    assert play.broken() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"limit": -1},
        {"limit": 10**18 + 1},
        {"limit": 1.5},
        {"limit": True},
        {"scope": "planet"},
        {"unit": "euro"},
        {"period": "year"},
        {"scope_id": None},
        {"scope": "group", "scope_id": 999},
        {"scope": "conversation", "scope_id": "c"},
        {"timezone_name": "Mars/Olympus"},
        {"timezone_name": "../etc/passwd"},
        {"thresholds": [0]},
        {"thresholds": [101]},
    ],
)
def test_it_refuses_what_cannot_be(changes: dict[str, Any]) -> None:
    limit = changes.pop("limit", 1_000)
    with pytest.raises(InvalidAmount):
        play.budget(limit, **changes)
    assert Budget.objects.filter(source=BudgetSource.HAND).count() == 0


def test_a_budget_for_everyone_names_nobody() -> None:
    with pytest.raises(InvalidAmount):
        budgets.set_budget(scope="everyone", scope_id=uuid4(), unit="tokens", limit_units=1, period="day")
