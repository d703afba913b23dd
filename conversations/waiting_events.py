"""The event of a waiting answer: what it waits for, until when, and what the person can do meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from conversations.events import Event, iso
from conversations.models import Generation, State, WaitingReason
from conversations.notes import model_label, notes_of
from conversations.stand_ins import offers

STOP = {"action": "stop", "label": "Cancel"}
# Waits so short that there is nothing to choose.
BRIEF = frozenset({WaitingReason.RECOVERY, WaitingReason.FALLBACK})

WORDS = {
    WaitingReason.RATE_LIMIT: "{model} is busy.",
    WaitingReason.CAPACITY: "{model} is asked as often as its provider allows.",
    WaitingReason.RETRY: "{model} had an error.",
    WaitingReason.RECOVERY: "Taking up your question again.",
    WaitingReason.FALLBACK: "Passing your question on.",
    WaitingReason.OUTAGE: "{model} is not answering. Your question is kept and sent as soon as it recovers.",
}
BY_CODE = {
    "rate_limited": "{model} takes no more questions for now.",
    "daily_quota": "{model} has reached its daily limit.",
}
RETRY_WORDS = {
    "context_too_long": "The conversation was too long; sending it without its older parts.",
    "provider_timed_out": "{model} took too long; asking once more.",
    "cut_empty": "{model} used up the answer's length on thinking; asking it to think less.",
    "connection_failed": "The connection to {model} was lost.",
    "provider_overloaded": "{model} is overloaded.",
    "breaker_open": "{model} has failed several times in a row and is left alone for a moment.",
}


def waiting_event(generation: Generation) -> Event:
    """``generation.waiting``, also as the page shows it at a reload. Asks the database."""
    now = timezone.now()
    in_queue = generation.waiting_reason == WaitingReason.CAPACITY
    due_at = _due_at(generation)
    wait = 0.0 if due_at is None else (due_at - now).total_seconds()
    event: Event = {
        "type": "generation.waiting",
        "generation_id": str(generation.pk),
        "turn_id": str(generation.turn.turn_id),
        "reason": generation.waiting_reason,
        "detail": _detail(generation),
        "wait_seconds": max(round(wait, 1), 0.0),
        "retry_at": iso(due_at),
        "attempt": generation.attempts_in_round,
        "max_attempts": settings.MAX_RETRIES,
        "epoch": generation.epoch,
        "model": generation.model,
        "options": _options(generation),
        "notes": notes_of(generation),
    }
    if generation.place is not None and in_queue:
        event["place"] = generation.place
    if generation.waiting_reason == WaitingReason.OUTAGE:
        gives_up_at = generation.patient_since + timedelta(seconds=settings.OUTAGE_QUEUE_SECONDS)
        event["gives_up_at"] = iso(gives_up_at)
    return event


def untold_wait(generation: Generation, told: Event | None) -> Event | None:
    """The event of its wait, unless ``told`` has said the same. None also where it does not wait."""
    if generation.state != State.WAITING:
        return None
    wait = (generation.epoch, generation.waiting_reason, iso(_due_at(generation)))
    if told is not None and wait == (told["epoch"], told["reason"], told["retry_at"]):
        return None
    return waiting_event(generation)


def _due_at(generation: Generation) -> datetime | None:
    in_queue = generation.waiting_reason == WaitingReason.CAPACITY
    return (generation.turn_expected_at if in_queue else None) or generation.run_after


def _detail(generation: Generation) -> str:
    reason = WaitingReason(generation.waiting_reason)
    if reason in (WaitingReason.CHOICE, WaitingReason.SCHEDULED):
        words = BY_CODE.get(generation.error_code, BY_CODE["rate_limited"])
    elif reason == WaitingReason.RETRY:
        words = RETRY_WORDS.get(generation.error_code, WORDS[WaitingReason.RETRY])
    else:
        words = WORDS.get(reason, "Waiting.")
    return words.format(model=model_label(generation.model))


def retry_words(code: str, model: str) -> str:
    """Why an attempt has failed that is made again."""
    words = RETRY_WORDS.get(
        code, WORDS[WaitingReason.RATE_LIMIT if code == "rate_limited" else WaitingReason.RETRY]
    )
    return words.format(model=model_label(model))


def _options(generation: Generation) -> list[dict[str, Any]]:
    if generation.waiting_reason in BRIEF:
        return [STOP]
    options = offers(generation, now=timezone.now())
    if generation.waiting_reason == WaitingReason.CHOICE:
        at = {"action": "schedule", "label": "Send when it may be sent", "run_at": iso(generation.run_after)}
        options.append(at)
    return [*options, STOP]
