from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from billing import prices
from billing.models import PriceVersion
from billing.price_list import import_prices, published_price
from tests.billing import play

pytestmark = pytest.mark.django_db

AUTUMN = datetime(2026, 11, 1, tzinfo=UTC)


def test_a_published_price_becomes_a_version() -> None:
    (done,) = import_prices(["gemini:gemini-2.5-flash"], now=AUTUMN)
    assert done.outcome == "new"
    row = PriceVersion.objects.get(model="gemini:gemini-2.5-flash")
    assert (row.input_picousd, row.cache_read_picousd, row.output_picousd) == (300_000, 30_000, 2_500_000)
    assert (row.thinking_picousd, row.valid_from) == (2_500_000, AUTUMN)
    assert row.source.startswith("genai-prices ")


def test_tiers_and_cache_writes_are_taken_over() -> None:
    tiers = published_price("gemini:gemini-2.5-pro", now=AUTUMN)
    assert tiers is not None
    assert [(t.above_input_tokens, t.input_picousd, t.output_picousd) for t in tiers] == [
        (0, 1_250_000, 10_000_000),
        (200_000, 2_500_000, 15_000_000),
    ]
    (claude,) = published_price("anthropic:claude-3-5-haiku-latest", now=AUTUMN) or ()
    assert (claude.input_picousd, claude.cache_write_picousd) == (800_000, 1_000_000)


@pytest.mark.parametrize("model", ["gemini:no-such-model", "ollama:llama3", "gemini-2.5-flash", "deepseek:"])
def test_what_the_list_does_not_know_stays_unknown(model: str) -> None:
    assert [one.outcome for one in import_prices([model], now=AUTUMN)] == ["unknown"]
    assert prices.rates(model, now=AUTUMN) is None


def test_the_same_price_again_is_no_new_version() -> None:
    outcomes = [import_prices(["openai:gpt-4o"], now=AUTUMN + timedelta(days=n))[0].outcome for n in (0, 1)]
    assert outcomes == ["new", "same"]
    assert PriceVersion.objects.filter(model="openai:gpt-4o").count() == 1


def test_an_admins_own_price_stands_above_the_list() -> None:
    play.price("openai:gpt-4o")
    (done,) = import_prices(["openai:gpt-4o"], now=AUTUMN)
    assert (done.outcome, done.reason) == ("kept", "set by hand")


def test_a_price_that_moved_more_than_tenfold_is_refused_until_confirmed() -> None:
    import_prices(["openai:gpt-4o"], now=AUTUMN)
    running = PriceVersion.objects.get(model="openai:gpt-4o")
    tier = prices.TierPrice(running.input_picousd * 20, running.output_picousd)
    later = AUTUMN + timedelta(days=1)
    prices.set_price(
        model="openai:gpt-4o", tiers=[tier], source="genai-prices 0", confirm=True, valid_from=later
    )
    assert import_prices(["openai:gpt-4o"], now=later + timedelta(days=1))[0].outcome == "refused"
    assert import_prices(["openai:gpt-4o"], confirm=True, now=later + timedelta(days=1))[0].outcome == "new"


def test_the_command_says_what_became_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("price_import", "openai:gpt-4o", "ollama:llama3")
    assert capsys.readouterr().out.splitlines() == ["new      openai:gpt-4o", "unknown  ollama:llama3"]
    call_command("price_import")
    assert capsys.readouterr().out.splitlines() == ["same     openai:gpt-4o"]
    with pytest.raises(CommandError, match="not a model's name"):
        call_command("price_import", "gpt-4o")
