"""A generation that waits for the pace its provider allows: put off without being tried, and called up."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.holds import release_hold
from conversations.admission.gate import CapacityWait
from conversations.attempts import STOPPED, Claim, Ended
from conversations.endings import close, load
from conversations.models import Generation, State, Summary, WaitingReason
from conversations.waits import hold_next

# Those ahead may use less than they took, or give up: a long wait asks for its time and place again.
ASK_AGAIN_SECONDS = 30.0
# Nobody is called up for less than this.
LEAST_GAIN = timedelta(seconds=0.25)


def put_off(claim: Claim, wait: CapacityWait) -> Generation | Ended | None:
    """Let the generation wait for its turn. Its units stay held; the attempt was none and is not counted.

    Returns the waiting generation; Ended where the budget changed meanwhile and allows it no longer, or
    its stop was asked for; None when the claim was lost.
    """
    now = timezone.now()
    seconds = min(wait.seconds, ASK_AGAIN_SECONDS)
    with transaction.atomic():
        won = Generation.objects.advance(
            claim.generation_id,
            epoch=claim.epoch,
            state=State.WAITING,
            waiting_reason=WaitingReason.CAPACITY,
            run_after=now + timedelta(seconds=seconds),
            place=wait.place,
            turn_expected_at=now + timedelta(seconds=wait.seconds),
            paced_seconds=F("paced_seconds") + seconds,
            attempts=F("attempts") - 1,
            notified_at=now,
            lease_expires_at=None,
            hold_id=None,
        )
        if not won:
            return None
        generation = load(claim.generation_id)
        release_hold(claim.hold_id, reason="waits for capacity", now=now)
        if generation.stop_requested_at is not None:
            return close(generation, STOPPED, now)
        return hold_next(generation, claim.profile, wait_seconds=seconds, now=now) or generation


def call_up(generation_id: uuid.UUID, *, seconds: float) -> bool:
    """Make one that waits for its turn due in so many seconds. False: it is due by then anyway, or gone."""
    now = timezone.now()
    due = now + timedelta(seconds=seconds)
    waiting = Generation.objects.filter(
        pk=generation_id, state=State.WAITING, waiting_reason=WaitingReason.CAPACITY
    )
    told = waiting.filter(run_after__gt=due + LEAST_GAIN).values_list("run_after", flat=True).first()
    if told is None:
        return False
    gained_seconds = (told - due).total_seconds()
    return bool(
        waiting.filter(run_after=told).update(
            run_after=due,
            turn_expected_at=due,
            notified_at=now,
            paced_seconds=F("paced_seconds") - gained_seconds,
        )
    )


def has_gone(ticket: uuid.UUID, *, model: str) -> bool:
    """Whether a place in the queue of the model belongs to nobody any more."""
    answers = Generation.objects.live().filter(pk=ticket, model=model)
    return not answers.exists() and not Summary.objects.live().filter(pk=ticket).exists()
