"""A generation that waits for the pace its provider allows: put off without having been tried."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.errors import BudgetExceeded, PriceUnknown
from billing.holds import release_hold
from conversations.admission.gate import CapacityWait
from conversations.attempts import STOPPED, Claim, Ended, Outcome
from conversations.claims import hold_attempt
from conversations.endings import close, load
from conversations.models import Generation, State, WaitingReason
from conversations.waits import HOLD_GRACE_SECONDS

# Those ahead may use less than they took, or give up: a long wait asks for its time and place again.
ASK_AGAIN_SECONDS = 30.0


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
        try:
            with transaction.atomic():
                hold = hold_attempt(
                    generation,
                    claim.profile,
                    key=f"{generation.pk}:{generation.epoch + 1}",
                    now=now,
                    lease_seconds=seconds + HOLD_GRACE_SECONDS,
                )
        except (BudgetExceeded, PriceUnknown):
            refused = Outcome(State.FAILED, error_code="budget_exceeded", charge="nobody")
            return close(generation, refused, now)
        generation.hold_id, generation.output_cap_tokens = hold.pk, hold.output_cap_tokens
        generation.save(update_fields=["hold_id", "output_cap_tokens"])
    return generation
