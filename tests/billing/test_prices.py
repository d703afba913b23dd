from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing import prices
from billing.errors import InvalidAmount, PriceChangeTooLarge
from billing.models import PriceVersion
from billing.prices import TierPrice
from billing.usage import UsageCounts
from tests.billing import play

pytestmark = pytest.mark.django_db


def set_price(*tiers: TierPrice, **changes: Any) -> list[PriceVersion]:
    return prices.set_price(**{"model": "a:b", "tiers": tiers, **changes})


def test_an_unknown_price_is_none_everywhere() -> None:
    assert prices.rates("a:b") is None
    assert prices.quote("a:b", 1, 1) is None
    assert prices.cost("a:b", UsageCounts(1)) is None


def test_a_quote_is_the_most_a_call_can_cost() -> None:
    set_price(TierPrice(100_000, 400_000, cache_write_picousd=125_000, thinking_picousd=500_000))
    assert prices.quote("a:b", 1_000, 1_000) == 625_000
    assert prices.cost("a:b", UsageCounts(1_000, 0, 0, 0, 1_000, 0)) == 500_000


def test_it_rounds_up_once() -> None:
    set_price(TierPrice(1, 1))
    assert prices.cost("a:b", UsageCounts(1, 0, 0, 0, 1, 0)) == 1
    assert prices.cost("a:b", UsageCounts(999, 0, 0, 0, 1, 0)) == 1
    assert prices.cost("a:b", UsageCounts(1_000, 0, 0, 0, 1, 0)) == 2
    assert prices.cost("a:b", UsageCounts()) == 0


def test_a_new_price_supersedes_and_the_old_one_keeps_its_time() -> None:
    start = play.NOON - timedelta(days=10)
    (old,) = set_price(TierPrice(100_000, 400_000), valid_from=start)
    (new,) = set_price(TierPrice(200_000, 400_000), valid_from=play.NOON)
    old.refresh_from_db()
    assert (old.valid_to, new.valid_to) == (play.NOON, None)
    before, after = (prices.rates("a:b", now=at) for at in (play.NOON - timedelta(seconds=1), play.NOON))
    assert before is not None
    assert after is not None
    assert (before.price_version_id, after.price_version_id) == (old.pk, new.pk)


def test_the_same_price_again_is_no_new_version() -> None:
    assert set_price(TierPrice(1, 2)) == set_price(TierPrice(1, 2))
    assert PriceVersion.objects.exclude(source="shipped").count() == 1


def test_tiers_are_chosen_by_the_whole_input() -> None:
    set_price(TierPrice(100, 200), TierPrice(300, 400, above_input_tokens=200_000))
    below, above = (prices.rates("a:b", input_tokens=tokens) for tokens in (200_000, 200_001))
    assert below is not None
    assert above is not None
    assert (below.input_picousd, above.input_picousd) == (100, 300)


@pytest.mark.parametrize("new", [TierPrice(1_100_001, 400_000), TierPrice(9_999, 400_000)])
def test_a_price_that_moves_more_than_tenfold_must_be_confirmed(new: TierPrice) -> None:
    set_price(TierPrice(110_000, 400_000))
    with pytest.raises(PriceChangeTooLarge):
        set_price(new)
    assert set_price(new, confirm=True)[0].input_picousd == new.input_picousd


@pytest.mark.parametrize(
    "tiers",
    [
        (),
        (TierPrice(-1, 1),),
        (TierPrice(1, 10**10 + 1),),
        (TierPrice(1, 1, above_input_tokens=5),),
        (TierPrice(1, 1), TierPrice(2, 2)),
        (TierPrice(1, 1), TierPrice(2, 2, above_input_tokens=-5)),
        (TierPrice(1.5, 1),),  # type: ignore[arg-type]  # what a careless caller may pass
    ],
)
def test_it_refuses_prices_that_cannot_be(tiers: tuple[TierPrice, ...]) -> None:
    with pytest.raises(InvalidAmount):
        set_price(*tiers)
    assert PriceVersion.objects.exclude(source="shipped").count() == 0


def test_it_refuses_a_price_without_model_and_one_that_begins_too_early() -> None:
    with pytest.raises(InvalidAmount):
        set_price(TierPrice(1, 1), model="")
    set_price(TierPrice(1, 1), valid_from=play.NOON)
    with pytest.raises(InvalidAmount, match="before"):
        set_price(TierPrice(2, 2), valid_from=play.NOON)


def test_a_price_can_be_forgotten() -> None:
    set_price(TierPrice(1, 1), valid_from=play.NOON)
    assert prices.forget_price(model="a:b", now=play.NOON + timedelta(days=1)) == 1
    assert prices.rates("a:b", now=play.NOON + timedelta(days=2)) is None
    assert prices.rates("a:b", now=play.NOON) is not None


@pytest.mark.parametrize(
    ("text", "picousd"), [("0.0375", 37_500), ("0", 0), ("15", 15_000_000), (Decimal("10000"), 10**10)]
)
def test_dollars_per_million_become_pico_dollars(text: str | Decimal, picousd: int) -> None:
    assert prices.picousd_from_usd_per_million(text) == picousd


@pytest.mark.parametrize("text", ["-1", "NaN", "inf", "1e9", "10000.1", "free", "", "0.0000001"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(InvalidAmount):
        prices.picousd_from_usd_per_million(text)


def test_rates_are_shown_in_dollars_per_million() -> None:
    set_price(TierPrice(37_500, 15_000_000, cache_read_picousd=0))
    found = prices.rates("a:b")
    assert found is not None
    shown = found.usd_per_million()
    assert (shown["input"], shown["output"], shown["cache_read"]) == ("0.0375", "15", "0")


@pytest.mark.django_db
def test_a_price_for_all_models_of_a_provider_yields_to_a_models_own() -> None:
    now = datetime.now(UTC)
    assert prices.quote("demo:0-10-0", 1_000_000, 0, now) == 100_000_000
    assert prices.current_rates(["demo:x", "other:x"], now=now)["demo:x"].model == "demo:*"
    prices.set_price(model="demo:0-10-0", tiers=[prices.TierPrice(200_000, 1)])
    later = datetime.now(UTC)
    assert prices.quote("demo:0-10-0", 1_000_000, 0, later) == 200_000_000
    assert prices.quote("demo:0-11-0", 1_000_000, 0, later) == 100_000_000
    assert prices.quote("other:x", 1, 1, later) is None
