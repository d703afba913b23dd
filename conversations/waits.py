"""Verbs on attempts: put a generation off to its next attempt."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.errors import BudgetExceeded, PriceUnknown
from conversations.attempts import STOPPED, Claim, Ended, Outcome
from conversations.calls import record_attempt, record_lost
from conversations.claims import hold_attempt
from conversations.endings import close, load, pay, pay_without_claim
from conversations.models import Generation, State, WaitingReason
from conversations.verdicts import Postpone
from llm.profiles import Profile

# How long a hold for the next attempt outlives the moment it is due.
HOLD_GRACE_SECONDS = 60.0
# A longer wait keeps nothing reserved: the budget is asked again when it is over.
HOLD_WAIT_LIMIT_SECONDS = 600.0


def postpone(claim: Claim, verdict: Postpone, *, duration_ms: int | None = None) -> Generation | Ended | None:
    """Put the generation off to its next attempt, with a new hold in place of the old one.

    ``duration_ms`` says how long this attempt took. Returns the waiting generation; Ended where the budget
    no longer allows another attempt; None when the claim was lost.
    """
    now = timezone.now()
    run_after = now + timedelta(seconds=verdict.delay_seconds)
    changes = {} if verdict.remedy is None else {"remedy": verdict.remedy}
    with transaction.atomic():
        won = Generation.objects.advance(
            claim.generation_id,
            epoch=claim.epoch,
            state=State.WAITING,
            waiting_reason=verdict.reason,
            error_code=verdict.code,
            run_after=run_after,
            paced_seconds=F("paced_seconds") + verdict.paced_seconds,
            notified_at=now,
            lease_expires_at=None,
            hold_id=None,
            **changes,
        )
        if not won:
            return None
        generation = load(claim.generation_id)
        outcome = Outcome(
            State.WAITING, error_code=verdict.code, charge=verdict.charge, duration_ms=duration_ms
        )
        pay(claim.hold_id, claim, outcome, now)
        record_attempt(claim, outcome, now)
        if generation.stop_requested_at is not None:
            return close(generation, STOPPED, now)
        # Nothing is held for what the person may not want, nor for long.
        undecided = verdict.reason == WaitingReason.CHOICE
        if verdict.delay_seconds <= HOLD_WAIT_LIMIT_SECONDS and not undecided:
            refused = hold_next(generation, claim.profile, wait_seconds=verdict.delay_seconds, now=now)
            if refused is not None:
                return refused
    return generation


def hold_next(
    generation: Generation, profile: Profile, *, wait_seconds: float, now: datetime
) -> Ended | None:
    """Hold the units of the attempt after the wait. Ended: the budget allows it no longer."""
    try:
        with transaction.atomic():
            hold = hold_attempt(
                generation,
                profile,
                key=f"{generation.pk}:{generation.epoch + 1}",
                now=now,
                lease_seconds=wait_seconds + HOLD_GRACE_SECONDS,
            )
    except (BudgetExceeded, PriceUnknown):
        return close(generation, Outcome(State.FAILED, error_code="budget_exceeded", charge="nobody"), now)
    generation.hold_id, generation.output_cap_tokens = hold.pk, hold.output_cap_tokens
    generation.save(update_fields=["hold_id", "output_cap_tokens"])
    return None


def revive_lapsed(generation: Generation) -> Generation | Ended | None:
    """Queue anew an attempt whose process died before its first token.

    Returns the waiting generation; Ended where its stop was asked for; None when it was no longer lapsed.
    """
    now = timezone.now()
    with transaction.atomic():
        won = Generation.objects.filter(lease_expires_at__lte=now).advance(
            generation.pk,
            epoch=generation.epoch,
            state=State.WAITING,
            waiting_reason=WaitingReason.RECOVERY,
            run_after=now,
            lease_expires_at=None,
            notified_at=None,
            hold_id=None,
        )
        if not won:
            return None
        pay_without_claim(generation, Outcome(State.WAITING, charge="house"), now)
        record_lost(generation, State.WAITING, now)
        fresh = load(generation.pk)
        return fresh if fresh.stop_requested_at is None else close(fresh, STOPPED, now)
