from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from billing import entries, prices, receipts
from billing.usage import UsageCounts
from tests.billing import play

pytestmark = pytest.mark.django_db


def test_figures_are_inclusive_and_money_is_a_decimal_string() -> None:
    prices.set_price(model=play.MODEL, tiers=[prices.TierPrice(100_000, 400_000, cache_read_picousd=25_000)])
    hold = play.dispatched(now=timezone.now())
    entry = play.settle(hold, 0, 0, usage=UsageCounts(300, 100, 0, 12, 80, 20)).entry
    assert entry is not None
    receipt = receipts.receipt(entry)
    assert receipt == {
        "input_tokens": 412,
        "cached_tokens": 100,
        "output_tokens": 100,
        "thinking_tokens": 20,
        "total_tokens": 512,
        # 312 x 100 + 100 x 25 + 100 x 400 = 73,700 nano-USD.
        "cost_usd": "0.0000737",
        "estimated": False,
        "rates": {
            "input": "0.1",
            "cache_read": "0.025",
            "cache_write": "0.1",
            "tool_prompt": "0.1",
            "output": "0.4",
            "thinking": "0.4",
        },
        "price_version": entry.price_version_id,
        "charged": True,
        "entry_id": str(entry.pk),
    }


def test_an_unknown_price_and_a_house_call() -> None:
    entry = play.settle(play.dispatched(), 10, 5, bearer="house", estimated=True).entry
    assert entry is not None
    receipt = receipts.receipt(entry)
    assert (receipt["cost_usd"], receipt["rates"], receipt["charged"], receipt["estimated"]) == (
        None,
        None,
        False,
        True,
    )


def test_a_true_up_corrects_the_receipt() -> None:
    play.price()
    hold = play.dispatched()
    entry = play.settle(hold, 100, 50, estimated=True).entry
    assert entry is not None
    better = entries.true_up(hold.pk, usage=UsageCounts(90, 0, 0, 0, 60, 0))
    assert better is not None
    receipt = receipts.receipt(entry, corrections=(better,))
    assert (receipt["input_tokens"], receipt["output_tokens"], receipt["estimated"]) == (90, 60, False)
    assert receipt["cost_usd"] == "0.000033"


@pytest.mark.parametrize(
    ("nanousd", "usd"),
    [
        (None, None),
        (0, "0"),
        (1, "0.000000001"),
        (4_100_000, "0.0041"),
        (10**9, "1"),
        (10**11, "100"),
        (-500_000_000, "-0.5"),
    ],
)
def test_nano_dollars_as_text(nanousd: int | None, usd: str | None) -> None:
    assert receipts.usd(nanousd) == usd


def test_several_receipts_cost_one_query(django_assert_num_queries: Any) -> None:
    play.price()
    play.budget(None)
    found = [play.spend(), play.spend(tokens=300)]
    with django_assert_num_queries(1):
        answer = receipts.receipts(found)
    assert answer == {entry.pk: receipts.receipt(entry) for entry in found}


def test_a_receipt_with_the_rates_of_its_settlement_asks_nothing(django_assert_num_queries: Any) -> None:
    prices.set_price(model=play.MODEL, tiers=[prices.TierPrice(100_000, 400_000, cache_read_picousd=25_000)])
    settlement = play.settle(play.dispatched(now=timezone.now()), 300, 80)
    assert settlement.entry is not None
    with django_assert_num_queries(0):
        found = receipts.receipt(settlement.entry, rates=settlement.rates)
    assert found == receipts.receipt(settlement.entry)
    assert found["rates"] is not None
