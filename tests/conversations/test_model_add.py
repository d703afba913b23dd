from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.prices import rates
from llm import profiles
from llm.models import ModelProfile

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_profiles() -> None:
    profiles.clear_cache()


def add(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    options.setdefault("context", 128_000)
    options.setdefault("max_output", 4_096)
    call_command("model_add", *arguments, stdout=out, **options)
    return out.getvalue()


def test_it_adds_a_model_with_its_price() -> None:
    assert "price set" in add("openai:new", input_usd="0.10", output_usd="0.40", cached_usd="0.0375")
    assert profiles.get_profile("openai:new").max_output_tokens == 4_096
    found = rates("openai:new")
    assert found is not None
    assert (found.input_picousd, found.output_picousd, found.cache_read_picousd) == (100_000, 400_000, 37_500)


def test_it_takes_the_limits_of_the_provider_and_keeps_those_left_out() -> None:
    add("openai:new", requests_per_minute=60, tokens_per_minute=250_000, requests_per_day=1_000)
    add("openai:new", requests_per_minute=120)
    found = profiles.get_profile("openai:new")
    assert (found.requests_per_minute, found.tokens_per_minute, found.requests_per_day) == (
        120,
        250_000,
        1_000,
    )


def test_it_leaves_a_price_unknown() -> None:
    add("openai:new")
    assert rates("openai:new") is None


def test_it_keeps_the_price_when_only_limits_change() -> None:
    add("openai:new", input_usd="1", output_usd="2")
    add("openai:new", max_output=100, label="New")
    found = rates("openai:new")
    assert found is not None
    assert (found.input_picousd, found.cache_read_picousd) == (1_000_000, 1_000_000)
    assert ModelProfile.objects.get(model_id="openai:new").label == "New"


def test_it_asks_before_a_price_changes_tenfold() -> None:
    add("openai:new", input_usd="1", output_usd="2")
    with pytest.raises(CommandError, match="--confirm"):
        add("openai:new", input_usd="50", output_usd="2")
    add("openai:new", input_usd="50", output_usd="2", confirm=True)
    found = rates("openai:new")
    assert found is not None
    assert found.input_picousd == 50_000_000


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("nobody:x", {}, "no provider"),
        ("openai:", {}, "colon"),
        ("openai:new", {"max_output": 0}, "1 <= minimum"),
        ("openai:new", {"input_usd": "1"}, "both"),
        ("openai:new", {"input_usd": "-1", "output_usd": "1"}, "negative"),
        ("openai:new", {"input_usd": "dear", "output_usd": "1"}, "price"),
    ],
)
def test_it_changes_nothing_when_something_is_wrong(model: str, options: dict[str, Any], words: str) -> None:
    before = ModelProfile.objects.count()
    with pytest.raises(CommandError, match=words):
        add(model, **options)
    assert ModelProfile.objects.count() == before
