"""Another model in the place of the one that was asked for: which, for how much, and the change itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings

from billing import prices
from billing.holds import HoldRequest, place_hold
from billing.models import Hold
from billing.previews import preview_hold
from billing.receipts import usd
from conversations.claims import context_of
from conversations.models import Generation, State, WaitingReason
from conversations.notes import BY_PERSON
from conversations.parts import Parts
from llm.errors import UnknownModel
from llm.profiles import Profile, get_profile, list_profiles

OFFERED = 2
# Covers the time between the hold and the claim, which renews it.
LEASE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a model would be asked for in the place of the present one."""

    profile: Profile
    input_tokens: int  # our count
    wanted_output_tokens: int
    temperature: float | None
    parts: Parts = field(default_factory=Parts)

    @property
    def upper_input_tokens(self) -> int:
        return self.profile.estimate.upper(self.input_tokens)


def chain_after(generation: Generation) -> Iterator[Profile]:
    """The models that may stand in and were not tried yet, in order."""
    asked = generation.asked_model or generation.model
    try:
        chain = get_profile(asked).fallbacks
    except UnknownModel:
        chain = tuple(settings.FALLBACK_MODELS)
    tried = chain.index(generation.model) + 1 if generation.model in chain else 0
    for model_id in chain[tried:]:
        profile = _usable(model_id)
        if profile is not None and model_id not in (asked, generation.model):
            yield profile


def terms_for(generation: Generation, profile: Profile) -> Terms:
    """The same question for another model: counted anew. Raises ContextTooLong."""
    wanted = min(generation.wanted_output_tokens, profile.max_output_tokens)
    temperature = generation.temperature
    if not profile.takes_temperature:
        temperature = None
    elif temperature is not None:
        temperature = min(temperature, profile.max_temperature)
    like_it = Generation(
        model=profile.model_id,
        conversation=generation.conversation,
        turn=generation.turn,
        continues=generation.continues,
        temperature=temperature,
        output_cap_tokens=wanted,
        attempts=generation.attempts,
    )
    context = context_of(like_it, profile)
    return Terms(profile, context.input_tokens, wanted, temperature, context.parts)


def within_shown_cost(terms: Terms, generation: Generation) -> Terms | None:
    """The terms with an answer so short that they cost no more than was shown; None where that is too short.

    What was shown is the first hold: the most that the person agreed to.
    """
    first = Hold.objects.filter(idempotency_key=f"{generation.pk}:1").first()
    if first is None or first.cost_nanousd is None:
        return terms  # the price asked for was unknown, so no budget in money was relied on
    rates = prices.rates(terms.profile.model_id, input_tokens=terms.upper_input_tokens)
    if rates is None:
        return None
    allowed_picousd = first.cost_nanousd * settings.FALLBACK_COST_PERCENT * 10
    rest = allowed_picousd - terms.upper_input_tokens * rates.worst_input_picousd
    wanted = terms.wanted_output_tokens
    if rates.worst_output_picousd:
        wanted = min(wanted, rest // rates.worst_output_picousd)
    elif rest < 0:
        return None
    if wanted < min(terms.profile.minimum_output_tokens, terms.wanted_output_tokens):
        return None
    return replace(terms, wanted_output_tokens=wanted)


def take_over(generation: Generation, terms: Terms, *, reason: str, now: datetime) -> Hold:
    """Give the generation to the model of the terms, with a hold of its own; it is due at once.

    The caller has given the old hold back, in this transaction. Raises BudgetExceeded, PriceUnknown.
    """
    # A person may change the model more than once while it waits: each change has a hold of its own.
    key = f"{generation.pk}:{generation.epoch + 1}:{uuid.uuid4().hex[:8]}"
    hold = place_hold(_hold_request(generation, terms, key=key), now=now)
    # Told is what was the matter with the model that was asked for, not with those in between.
    if not generation.asked_model or reason == BY_PERSON:
        generation.switch_reason = reason
    generation.asked_model = generation.asked_model or generation.model
    if generation.asked_model == terms.profile.model_id:
        generation.asked_model = generation.switch_reason = ""
    generation.model = terms.profile.model_id
    generation.temperature = terms.temperature
    generation.wanted_output_tokens = terms.wanted_output_tokens
    generation.input_estimate_tokens = terms.input_tokens
    generation.output_cap_tokens = hold.output_cap_tokens
    generation.hold_id = hold.pk
    generation.remedy = ""
    for column, tokens in terms.parts.columns().items():
        setattr(generation, column, tokens)
    generation.state = State.WAITING
    generation.waiting_reason = WaitingReason.FALLBACK
    generation.run_after = generation.notified_at = now
    generation.lease_expires_at = None
    generation.save()
    return hold


def offers(generation: Generation, *, now: datetime) -> list[dict[str, Any]]:
    """``switch`` options: models that could answer now, and the most that each would cost.

    Those that stand in for the model come first, then the cheapest.
    """
    tried = {generation.model, generation.asked_model}
    named = [profile for profile in chain_after(generation) if profile.model_id not in tried]
    tried |= {profile.model_id for profile in named}
    others = [profile for profile in list_profiles() if profile.model_id not in tried]
    rates = prices.current_rates([profile.model_id for profile in others], now=now)
    others = [profile for profile in others if profile.model_id in rates]
    others.sort(key=lambda profile: rates[profile.model_id].worst_output_picousd)
    found: list[dict[str, Any]] = []
    for profile in [*named, *others]:
        wanted = min(generation.wanted_output_tokens, profile.max_output_tokens)
        terms = Terms(profile, generation.input_estimate_tokens, wanted, None)
        if terms.upper_input_tokens + wanted > profile.context_window_tokens:
            continue
        seen = preview_hold(_hold_request(generation, terms, key="preview"), now=now)
        if seen.output_cap_tokens is not None:
            option = {"action": "switch", "label": f"Use {profile.label} now", "model": profile.model_id}
            cost = usd(seen.cost_nanousd)
            found.append(option if cost is None else {**option, "cost_usd": cost})
        if len(found) == OFFERED:
            break
    return found


def _hold_request(generation: Generation, terms: Terms, *, key: str) -> HoldRequest:
    profile = terms.profile
    return HoldRequest(
        key=key,
        fingerprint=f"{profile.model_id}:{terms.input_tokens}:{terms.wanted_output_tokens}",
        user_id=generation.conversation.owner_id,
        conversation_id=generation.conversation_id,
        generation_id=generation.pk,
        attempt=generation.attempts + 1,
        purpose="answer",
        model=profile.model_id,
        input_tokens=terms.upper_input_tokens,
        wanted_output_tokens=terms.wanted_output_tokens,
        minimum_output_tokens=min(profile.minimum_output_tokens, terms.wanted_output_tokens),
        lease_seconds=LEASE_SECONDS,
    )


def _usable(model_id: str) -> Profile | None:
    try:
        profile = get_profile(model_id)
    except UnknownModel:
        return None
    return profile if profile.usable or profile.provider.kind == "demo" else None
