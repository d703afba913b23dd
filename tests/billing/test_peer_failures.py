"""What goes wrong elsewhere, played against this ledger. The concurrent ones are in ``test_hammer.py``."""

from __future__ import annotations

from typing import Any

import pytest

from billing import holds
from billing.errors import BudgetExceeded, InvalidAmount
from billing.models import LedgerEntry
from billing.prices import TierPrice, set_price
from tests.billing import play

pytestmark = pytest.mark.django_db


def test_librechat_6451_there_is_no_one_last_run() -> None:
    """There a request is held by its prompt alone, and the last one may write as long as it likes."""
    play.budget(1_000)
    play.spend(tokens=800)
    # 100 of input, and of the 4,000 wanted only what is left: the cap is cut before it is sent.
    last = play.dispatched(input_tokens=100, wanted_output_tokens=4_000)
    assert last.output_cap_tokens == 100
    play.settle(last, 100, last.output_cap_tokens)
    bucket = play.user_bucket()
    assert (bucket.posted, bucket.slack) == (1_000, 0)
    with pytest.raises(BudgetExceeded):
        play.place(input_tokens=1, wanted_output_tokens=1, minimum_output_tokens=1)
    assert play.broken() == []


def test_librechat_6451_many_last_runs_at_once() -> None:
    """While the last one is being written, a second finds nothing left: holds count."""
    play.budget(1_000)
    play.dispatched(input_tokens=100, wanted_output_tokens=900)
    with pytest.raises(BudgetExceeded) as refused:
        play.place(input_tokens=100, wanted_output_tokens=900, minimum_output_tokens=1)
    assert (refused.value.used, refused.value.held) == (0, 1_000)


def test_librechat_2359_no_price_gives_money_back() -> None:
    with pytest.raises(InvalidAmount, match="cannot be -1000000"):
        set_price(model=play.MODEL, tiers=[TierPrice(-1_000_000, 100)])


def test_litellm_40002_the_tier_of_a_long_prompt_is_held() -> None:
    """There five long prompts were held at the price of short ones, and a cap of $0.45 let $0.60 pass."""
    set_price(
        model=play.MODEL,
        tiers=[TierPrice(100_000, 400_000), TierPrice(400_000, 400_000, above_input_tokens=200_000)],
        valid_from=play.NOON,
    )
    play.budget(None)
    play.budget(450_000_000, unit="nanousd")
    asked: dict[str, Any] = {
        "input_tokens": 300_000,
        "wanted_output_tokens": 100,
        "minimum_output_tokens": 100,
    }
    for _ in range(3):
        play.settle(play.dispatched(**asked), 300_000, 100)
    with pytest.raises(BudgetExceeded):
        play.place(**asked)
    assert sum(entry.cost_nanousd or 0 for entry in LedgerEntry.objects.all()) == 3 * 120_040_000
    assert play.broken() == []


def test_litellm_35524_an_unknown_price_is_not_free() -> None:
    play.budget(10**9, unit="nanousd")
    with pytest.raises(holds.PriceUnknown):
        play.place(model="nobody:knows")
