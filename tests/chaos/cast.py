"""The people of a chaos run, what they may spend, and the model that they ask."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.contrib.auth.models import User

from billing.accounts import set_plan
from billing.budgets import set_budget
from billing.models import Plan
from billing.prices import TierPrice, set_price
from conversations.models import ApiKey, Conversation
from llm.models import Provider
from llm.profiles import add_model

INPUT_PICOUSD, OUTPUT_PICOUSD = 100_000, 400_000


@dataclass(frozen=True)
class Person:
    user_id: int
    secret: str
    conversation_id: uuid.UUID


def offer(*models: str, stand_in: str = "") -> None:
    """Priced models of the scripted provider, named in its grammar (``50-240-8!429x1@1``).

    ``stand_in`` answers where they cannot.
    """
    Provider.objects.get_or_create(
        name="openai", defaults={"kind": "openai_compatible", "api_key_env": "OPENAI_API_KEY"}
    )
    for model in models:
        row = add_model(model_id=f"openai:{model}", context_window_tokens=64_000, max_output_tokens=4_000)
        if stand_in:
            row.fallbacks = f"openai:{stand_in}"
            row.save()
        set_price(model=f"openai:{model}", tiers=[TierPrice(INPUT_PICOUSD, OUTPUT_PICOUSD)])


def site_budget() -> None:
    """What all of them share: its bucket takes part in every hold."""
    set_budget(scope="everyone", unit="nanousd", limit_units=10**13, period="day")
    set_budget(scope="everyone", unit="tokens", limit_units=10**10, period="month")


def person(name: str) -> Person:
    """With an empty conversation, and budgets whose buckets their first question makes."""
    user = User.objects.create_user(name)
    if Plan.objects.filter(name="unlimited").exists():
        set_plan(user_id=user.pk, plan="unlimited")
    set_budget(scope="user", scope_id=user.pk, unit="tokens", limit_units=10**8, period="day")
    set_budget(scope="user", scope_id=user.pk, unit="nanousd", limit_units=10**11, period="month")
    conversation = Conversation.objects.create(owner=user)
    return Person(user.pk, ApiKey.create(user=user)[1], conversation.pk)
