"""The models over REST."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from billing.prices import TierPrice, forget_price, set_price
from conversations.database import in_database
from conversations.models import Preferences
from llm.profiles import default_model_id, get_profile
from tests.conversations.rest import Rest, count_queries

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_lists_models_with_limits_and_prices(rest: Rest) -> None:
    await in_database(lambda: set_price(model="demo:friendly", tiers=[TierPrice(100_000, 400_000)]))

    found = {model["id"]: model for model in (await rest.get("models/")).json()["results"]}

    friendly = found["demo:friendly"]
    profile = get_profile("demo:friendly")
    assert friendly["label"] == profile.label
    assert friendly["context_window_tokens"] == profile.context_window_tokens
    assert friendly["max_output_tokens"] == profile.max_output_tokens
    assert (friendly["prices"]["input"], friendly["prices"]["output"]) == ("0.1", "0.4")
    assert Decimal(friendly["prices"]["cache_read"]) == Decimal("0.1")


async def test_it_marks_the_default_of_the_site_then_of_the_person(alice: User, rest: Rest) -> None:
    async def defaults() -> list[str]:
        models = (await rest.get("models/")).json()["results"]
        return [model["id"] for model in models if model["default"]]

    assert await defaults() == [await in_database(default_model_id)]
    await in_database(
        lambda: Preferences.objects.create(user=alice, default_model="demo:500-200-20") and None
    )
    assert await defaults() == ["demo:500-200-20"]


async def test_it_says_where_a_price_is_not_known(rest: Rest) -> None:
    def forget() -> None:
        for model in ("demo:*", "demo:friendly"):
            forget_price(model=model)

    await in_database(forget)
    found = {model["id"]: model for model in (await rest.get("models/")).json()["results"]}
    assert found["demo:friendly"]["prices"] is None


async def test_it_reads_all_prices_at_once(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    await rest.get("models/")
    assert await count_queries(rest, "models/", monkeypatch) <= 5
