from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from billing.models import BillingGroup, Budget, BudgetSource

pytestmark = pytest.mark.django_db


def budget_set(*arguments: str, unit: str = "tokens", limit: str = "100", period: str = "day") -> None:
    call_command("budget_set", *arguments, "--unit", unit, "--limit", limit, "--period", period)


def test_it_sets_a_users_budget(alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    budget_set("--user", "alice", limit="4000")
    budget = Budget.objects.get()
    assert (budget.scope_kind, budget.scope_id, budget.limit_units) == ("user", str(alice.pk), 4_000)
    assert (budget.source, budget.hard) == (BudgetSource.HAND, True)
    assert "4,000 tokens per day (hard, UTC)" in capsys.readouterr().out


def test_it_sets_money_in_dollars() -> None:
    budget_set("--everyone", "--soft", unit="usd", limit="5.25", period="month")
    budget = Budget.objects.get()
    assert (budget.scope_kind, budget.unit, budget.limit_units, budget.hard) == (
        "everyone",
        "nanousd",
        5_250_000_000,
        False,
    )


def test_it_takes_a_group_a_conversation_a_model_a_zone_and_no_limit() -> None:
    group = BillingGroup.objects.create(name="red team")
    conversation = uuid4()
    budget_set("--group", "red team", "--timezone", "Asia/Tokyo", limit="none")
    budget_set("--conversation", str(conversation), "--model", "acme:friendly", period="none")
    of_group, of_conversation = Budget.objects.order_by("pk")
    assert (of_group.scope_id, of_group.limit_units, of_group.timezone) == (str(group.pk), None, "Asia/Tokyo")
    assert (of_conversation.scope_id, of_conversation.model) == (str(conversation), "acme:friendly")


@pytest.mark.parametrize(
    ("arguments", "changes", "message"),
    [
        (("--user", "nobody"), {}, "There is no user 'nobody'"),
        (("--group", "nobody"), {}, "There is no billing group 'nobody'. Groups: none."),
        (("--conversation", "c1"), {}, "not a conversation's id"),
        (("--everyone",), {"limit": "-1"}, "cannot be negative"),
        (("--everyone",), {"limit": "NaN"}, "not an amount"),
        (("--everyone",), {"limit": "Infinity"}, "not an amount"),
        (("--everyone",), {"limit": "lots"}, "not an amount"),
        (("--everyone",), {"limit": "1e30"}, "beyond what can be counted"),
        (("--everyone",), {"limit": "1.5"}, "finer than the ledger counts"),
        (("--everyone",), {"limit": "0.0000000001", "unit": "usd"}, "finer than the ledger counts"),
        (("--everyone", "--timezone", "Moon/Base"), {}, "not a time zone"),
        (("--everyone",), {"unit": "euro"}, "invalid choice"),
        (("--everyone",), {"period": "year"}, "invalid choice"),
        ((), {}, "required"),
        (("--everyone", "--user", "alice"), {}, "not allowed with"),
    ],
)
def test_it_says_what_is_wrong(arguments: tuple[str, ...], changes: dict[str, str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        budget_set(*arguments, **changes)
    assert Budget.objects.count() == 0
