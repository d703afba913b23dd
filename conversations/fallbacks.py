"""What follows when a model cannot answer: another one, an earlier answer, a longer wait, or a plain word.

In this order, as far as ``FALLBACKS`` lists them, and only before the first visible word: an attempt that
has shown one ends by itself. One transaction, fenced by the epoch.
"""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from billing.errors import BudgetExceeded, PriceUnknown
from conversations import statements
from conversations.attempts import Claim, Ended, Outcome
from conversations.cached_answers import find_cached_answer
from conversations.calls import record_attempt
from conversations.context import ContextTooLong
from conversations.endings import close, finish, load, pay
from conversations.models import CLAIMED_STATES, Generation, State, WaitingReason
from conversations.models.call import CallRecord
from conversations.stand_ins import chain_after, take_over, terms_for, within_shown_cost
from conversations.verdicts import Postpone
from conversations.waits import postpone

logger = logging.getLogger(__name__)

# The model cannot be had, for whatever reason: another one may be able to answer.
REPLACEABLE = frozenset(
    {
        "bad_credentials",
        "breaker_open",
        "connection_failed",
        "daily_quota",
        "model_gone",
        "not_available",
        "not_enabled",
        "out_of_credit",
        "provider_error",
        "provider_overloaded",
        "provider_timed_out",
        "rate_limited",
        "truncated",
    }
)
# It may be had again by itself, within the time that a person may want to wait.
PASSING = frozenset({"breaker_open", "connection_failed", "provider_overloaded", "rate_limited"})
SHORTEST_QUEUE_SECONDS, LONGEST_QUEUE_SECONDS = 15.0, 300.0

# How fresh an answer must be to show that its model has recovered.
RECOVERED_WITHIN_SECONDS = 60.0
# Those that waited for it do not come all at once.
WAKE_STEP_SECONDS = 0.2


def fall_back(
    claim: Claim, outcome: Outcome, *, hint_seconds: float | None = None
) -> Generation | Ended | None:
    """Spare the failed ``outcome`` if anything can, else write it.

    ``hint_seconds`` is when the service may be asked again, where somebody knows. Returns the generation
    that goes on (due at once with another model, or later), Ended, or None when the claim was lost.
    """
    now = timezone.now()
    with transaction.atomic():
        claimed = Generation.objects.select_for_update().filter(
            pk=claim.generation_id, epoch=claim.epoch, state__in=CLAIMED_STATES
        )
        if not claimed.exists():
            return None
        generation = load(claim.generation_id)
        if generation.stop_requested_at is not None:
            return finish(
                claim, replace(outcome, state=State.STOPPED, error_code="", finish_reason="stopped")
            )
        if outcome.error_code in REPLACEABLE:
            found = _another_way(generation, claim, outcome, now, hint_seconds)
            if found is not None:
                return found
        return finish(claim, outcome)


def _another_way(
    generation: Generation, claim: Claim, outcome: Outcome, now: datetime, hint_seconds: float | None
) -> Generation | Ended | None:
    found: Generation | Ended | None = None
    if "model" in settings.FALLBACKS:
        found = _another_model(generation, claim, outcome, now)
    if found is None and "cached" in settings.FALLBACKS:
        found = _cached(generation, claim, outcome, now)
    if found is None and "queue" in settings.FALLBACKS:
        found = _queue(generation, claim, outcome, now, hint_seconds)
    return found


def _another_model(
    generation: Generation, claim: Claim, outcome: Outcome, now: datetime
) -> Generation | None:
    """The first model of the chain that takes the question and costs no more than was shown."""
    for profile in chain_after(generation):
        try:
            terms = within_shown_cost(terms_for(generation, profile), generation)
            if terms is None:
                continue
            with transaction.atomic():
                _give_back(claim, outcome, now)
                take_over(generation, terms, reason=outcome.error_code, now=now)
        except (BudgetExceeded, PriceUnknown, ContextTooLong):
            generation = load(generation.pk)
            continue
        logger.info(
            "fallback generation=%s model=%s to=%s code=%s",
            generation.pk,
            claim.profile.model_id,
            profile.model_id,
            outcome.error_code,
        )
        return generation
    return None


def _cached(generation: Generation, claim: Claim, outcome: Outcome, now: datetime) -> Ended | None:
    """An earlier answer to the same question, free and marked."""
    earlier = find_cached_answer(generation, now=now)
    if earlier is None:
        return None
    _give_back(claim, outcome, now)
    # What the failed attempt cost, if anything, is the house's: this answer has no hold and no entry.
    values: dict[str, Any] = {"hold_id": None, "cached_at": earlier.finished_at}
    if generation.asked_model:  # it is an answer of the model that was asked for
        values |= {"model": generation.asked_model, "asked_model": "", "switch_reason": ""}
    Generation.objects.filter(pk=generation.pk).update(**values)
    statements.touch_conversation(generation.conversation_id, now=now)
    shown = Outcome(State.COMPLETED, text=earlier.text, html=earlier.html, finish_reason="cached")
    return close(load(generation.pk), shown, now)


def _queue(
    generation: Generation, claim: Claim, outcome: Outcome, now: datetime, hint_seconds: float | None
) -> Generation | Ended | None:
    """Wait for the service, for as long as the operator allows: each time it is asked once."""
    gives_up_at = generation.patient_since + timedelta(seconds=settings.OUTAGE_QUEUE_SECONDS)
    waited_seconds = (now - generation.patient_since).total_seconds()
    if outcome.error_code not in PASSING:
        return None
    delay = min(max(waited_seconds / 2, SHORTEST_QUEUE_SECONDS), LONGEST_QUEUE_SECONDS)
    delay *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads the questions that wait together
    delay = max(delay, hint_seconds or 0.0)
    if now + timedelta(seconds=delay) > gives_up_at:
        return None
    return postpone(
        claim,
        Postpone(WaitingReason.OUTAGE, delay, outcome.charge, outcome.error_code),
        duration_ms=outcome.duration_ms,
    )


def _give_back(claim: Claim, outcome: Outcome, now: datetime) -> None:
    """Close the books of the failed attempt."""
    failed = replace(outcome, state=State.WAITING)
    pay(claim.hold_id, claim, failed, now)
    record_attempt(claim, failed, now)


def wake_recovered(*, now: datetime, limit: int) -> int:
    """Make the questions due, one by one, that wait for a model which has just answered somebody.

    Returns how many.
    """
    waiting = Generation.objects.filter(state=State.WAITING, waiting_reason=WaitingReason.OUTAGE)
    woken = 0
    for model in waiting.filter(run_after__gt=now).values_list("model", flat=True).distinct():
        answers = CallRecord.objects.filter(
            model=model,
            outcome=State.COMPLETED,
            ended_at__gte=now - timedelta(seconds=RECOVERED_WITHIN_SECONDS),
        )
        recovered = answers.aggregate(last=Max("ended_at"))["last"]
        if recovered is None:
            continue
        late = waiting.filter(model=model, run_after__gt=now, notified_at__lt=recovered).order_by("pk")
        ids = list(late.values_list("pk", flat=True)[:limit])
        for place, generation_id in enumerate(ids):
            due = now + timedelta(seconds=place * WAKE_STEP_SECONDS)
            later = waiting.filter(pk=generation_id, run_after__gt=due)
            woken += later.update(run_after=due, notified_at=None)
    return woken
