"""Budgets in money, as pages and sockets show them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from billing.budgets import Meter, meters, set_budget
from conversations.events import budget_changed
from conversations.templatetags.figures import at_most, budget_key, budget_text, rate

pytestmark = pytest.mark.django_db


@pytest.fixture
def money(alice: User) -> Meter:
    set_budget(scope="user", scope_id=alice.pk, unit="nanousd", limit_units=5 * 10**9, period="day")
    return next(meter for meter in meters(user_id=alice.pk) if meter.is_money)


def test_it_writes_a_budget_in_money_as_dollars(money: Meter) -> None:
    assert budget_text(money) == "$0.00 / $5.00 today (0 %)"


def test_it_tells_the_browser_dollars_and_not_nano_dollars(money: Meter) -> None:
    event = budget_changed(money)
    assert (event["unit"], event["limit"], event["used"]) == ("usd", "5", "0")
    # The script builds the same key from the event, to find the bar that it changes.
    assert budget_key(money) == f"{event['scope']}:{event['unit']}:{event['period']}:"


@pytest.mark.parametrize(
    ("usd", "text"), [("0.1", "$0.10"), ("0.025", "$0.025"), ("10", "$10.00"), ("1.25", "$1.25")]
)
def test_a_price_has_every_decimal_and_at_least_the_cents(usd: str, text: str) -> None:
    assert rate(usd) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        ("0.0018", "$0.0018"), ("0.00181", "$0.0019"), ("0.00001", "$0.0001"), ("0.00996", "$0.01"),
        ("0.02", "$0.02"), ("0.0223", "$0.0223"), ("0.02221", "$0.0223"), ("0.10", "$0.10"),
        ("0.99999", "$1.00"), ("1.001", "$1.01"), ("1234.5", "$1,234.50"),
        ("0", "$0.00"), (None, ""), ("", ""),
    ],
)  # fmt: skip
def test_it_rounds_the_most_that_something_costs_up(usd: str | None, text: str) -> None:
    assert at_most(usd) == text
