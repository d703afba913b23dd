"""Real processes on one real database, all at once: nothing is over, nothing is doubled, nothing drifts."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing import accounts, books, budgets
from billing.models import (
    BillingGroup,
    Bucket,
    BudgetEvent,
    Hold,
    LedgerEntry,
    PendingRollup,
    SiteDayRollup,
    UserMonthRollup,
)
from billing.rollups import fold_pending
from tests.billing import play
from tests.billing.processes import start

pytestmark = pytest.mark.django_db(transaction=True)

# Each client is a process.
CLIENTS = 256 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 64


def hammer(plans: list[dict[str, Any]]) -> Counter[str]:
    """Run the clients of all plans, start them together, and add up what they report."""
    process = start("tests.billing.hammer", json.dumps(plans))
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        total: Counter[str] = Counter(json.loads(process.stdout.readline()))
        process.wait(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert [word for word in total if word.startswith("error")] == []
    return total


def spending(clients: int, **changes: Any) -> dict[str, Any]:
    plan = {"work": "spend", "clients": clients, "user_ids": [1], "input_tokens": 60, "output_tokens": 40}
    return {**plan, "over": 0, "calls": 0, **changes}


def assert_books() -> None:
    assert [finding.invariant.name for finding in books.check_books() if not finding.ok] == []
    assert not Hold.objects.alive().exists()
    assert not Bucket.objects.exclude(held=0).exists()


@pytest.mark.parametrize("over", [0, 7])
def test_64_processes_on_a_budget_worth_exactly_n_calls(over: int) -> None:
    """256 with the long profile. Each call takes 100 tokens and uses ``over`` more input than it held."""
    budget = play.budget(100 * 57, now=timezone.now())
    total = hammer([spending(CLIENTS, over=over)])
    bucket = Bucket.objects.get(budget=budget)
    # Admitted is the most that the limit allows; beyond it is only what nobody could have held.
    if over == 0:
        assert total["admitted"] == 57
    assert 5_700 - 100 < bucket.posted <= 5_700 + 57 * over
    assert bucket.posted - bucket.slack <= 5_700
    assert total["refused"] == CLIENTS
    assert total["settled"] == total["admitted"] == LedgerEntry.objects.count()
    assert bucket.posted == total["admitted"] * (100 + over)
    assert bucket.slack == total["admitted"] * over
    assert total["events"] == BudgetEvent.objects.count() == 4
    assert_books()


def test_first_calls_of_an_unknown_user() -> None:
    """litellm#40095: eight parallel first calls of somebody whom the ledger has never seen."""
    accounts.default_plan().budgets.update(limit_units=300)
    total = hammer([spending(4, user_ids=[77]) for _ in range(2)])
    assert (total["admitted"], total["refused"]) == (3, 8)
    assert_books()


def test_five_parallel_calls_on_a_limit_of_one_hundred() -> None:
    """litellm#18730: they used 663."""
    play.budget(100, now=timezone.now())
    total = hammer([spending(5, input_tokens=33, output_tokens=67)])
    assert (total["admitted"], LedgerEntry.objects.count()) == (1, 1)
    assert play.user_bucket().posted == 100
    assert_books()


def test_a_shared_budget_of_a_conversation() -> None:
    """litellm#34732: check, then add, by parallel calls of one session."""
    play.budget(None, now=timezone.now())
    budget = play.budget(1_000, scope="conversation", scope_id=play.CONVERSATION, period="none")
    total = hammer([spending(8, user_ids=users) for users in ([1, 2], [3, 4])])
    assert total["admitted"] == 10
    assert play.bucket(budget).posted == 1_000
    assert_books()


def test_ten_people_of_a_group_with_eight_tabs_each() -> None:
    group = BillingGroup.objects.create(name="team")
    for user_id in range(1, 11):
        accounts.join_group(user_id=user_id, group=group)
    play.price()
    # 60 x 100 + 40 x 400 nano-USD a call: 33 of them.
    budget = budgets.set_budget(
        scope="group", scope_id=group.pk, unit="nanousd", limit_units=33 * 22_000 + 21_999, period="month"
    )
    total = hammer([spending(8, user_ids=[user_id, user_id + 5]) for user_id in range(1, 6)])
    assert total["admitted"] == 33
    assert play.bucket(budget).posted == 33 * 22_000
    assert_books()


def test_settle_against_sweep_against_release() -> None:
    """Each hold is closed by exactly one of them, and the books say by whom."""
    play.budget(None, now=timezone.now())
    play.budget(None, scope="everyone", now=timezone.now())
    long_ago = timezone.now() - timedelta(minutes=5)
    placed = [str(play.dispatched(now=long_ago).pk) for _ in range(150)]
    total = hammer(
        [
            {"work": "close", "by": by, "clients": 2, "user_ids": [1], "holds": placed}
            for by in ("settle", "sweep", "release", "settle")
        ]
    )
    assert total["settle"] + total["sweep"] + total["release"] == 150
    states = Counter(Hold.objects.values_list("state", flat=True))
    assert states["released"] == total["release"]
    assert states["settled"] == total["settle"] + total["sweep"] == LedgerEntry.objects.count()
    assert LedgerEntry.objects.filter(bearer="house").count() == total["sweep"]
    assert_books()


def test_folding_beside_settling_and_folding_loses_and_doubles_nothing() -> None:
    play.budget(100 * 160, now=timezone.now())
    for _ in range(120):
        play.spend(tokens=100, now=timezone.now())
    folding = {"work": "fold", "clients": 4, "user_ids": [0], "rounds": 30}
    total = hammer([spending(4), folding])
    assert total["admitted"] == 40
    assert total["folded"] >= 120
    assert total["folded"] + fold_pending() == 160
    assert not PendingRollup.objects.exists()
    assert sum(row.calls for row in SiteDayRollup.objects.all()) == 160
    assert sum(row.calls for row in UserMonthRollup.objects.all()) == 160
    assert_books()
