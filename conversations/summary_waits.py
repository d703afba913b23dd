"""Verbs on summaries that met a fault, or that the person does not want any more. One transaction each."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from billing.errors import BudgetExceeded, PriceUnknown
from billing.holds import place_hold, release_hold
from conversations.models import Summary
from conversations.side_calls import CallEnd, pay, record_attempt
from conversations.summaries import (
    SummaryClaim,
    SummaryEnded,
    end_summary,
    ended_summary,
    lock,
)
from conversations.summary_holds import QUEUE_LEASE_SECONDS, attempt_hold

State = Summary.State


def postpone_summary(
    claim: SummaryClaim, end: CallEnd, delay_seconds: float
) -> SummaryClaim | SummaryEnded | None:
    """Put the summary off to its next attempt, with a new hold in place of the old one.

    ``end`` is how this attempt went. Returns the claim for the next one; SummaryEnded where it was to be
    stopped or the budget does not allow another one; None where it was closed meanwhile.
    """
    now = timezone.now()
    with transaction.atomic():
        summary = Summary.objects.live().select_for_update().filter(pk=claim.summary_id).first()
        if summary is None or summary.stop_requested_at is not None:
            return end_summary(claim, replace(end, is_stopped=True, error_code=""))
        attempt, retry_at = claim.attempt + 1, now + timedelta(seconds=delay_seconds)
        request = attempt_hold(
            claim.profile,
            input_estimate_tokens=claim.input_estimate_tokens,
            wanted=claim.wanted_output_tokens,
            user_id=claim.user_id,
            conversation_id=claim.conversation_id,
            summary_id=claim.summary_id,
            attempt=attempt,
            wait_seconds=delay_seconds,
        )
        try:
            with transaction.atomic():
                pay(claim, end, now)
                hold = place_hold(request, now=now)
        except (BudgetExceeded, PriceUnknown):
            return end_summary(claim, replace(end, error_code="budget_exceeded"))
        record_attempt(claim, end, State.WAITING, now)
        summary.state, summary.error_code, summary.attempts = State.WAITING, end.error_code, attempt
        summary.hold_id, summary.output_cap_tokens = hold.pk, hold.output_cap_tokens
        summary.retry_at = retry_at
        summary.lease_expires_at = retry_at + timedelta(seconds=QUEUE_LEASE_SECONDS)
        summary.save()
    sent = replace(claim.request, max_output_tokens=hold.output_cap_tokens, attempt=attempt)
    return replace(claim, hold_id=hold.pk, request=sent, attempt=attempt, retry_at=retry_at)


def abandon_summary(claim: SummaryClaim) -> bool:
    """Release the hold of one that is wanted no more: its conversation is gone, or it was closed.

    Returns whether it is; False leaves everything as it is.
    """
    with transaction.atomic():
        if Summary.objects.live().filter(pk=claim.summary_id).exists():
            return False
        release_hold(claim.hold_id, reason="stopped", now=timezone.now())
        return True


def stop_summary(*, user_id: int, conversation_id: uuid.UUID) -> tuple[Summary, SummaryEnded | None] | None:
    """Ask that the summary that is being made be stopped. None: there is none. Raises NotFound.

    One that nobody is being asked for ends here and now and costs nothing: then SummaryEnded comes with it.
    The other is ended by the process that makes it, and what came is charged.
    """
    now = timezone.now()
    with transaction.atomic():
        lock(conversation_id, user_id)
        live = Summary.objects.live().select_for_update()
        summary = live.filter(conversation_id=conversation_id).first()
        if summary is None:
            return None
        summary.stop_requested_at = now
        if summary.state not in Summary.IDLE_STATES:
            summary.save(update_fields=["stop_requested_at"])
            return summary, None
        summary.state, summary.error_code = State.STOPPED, ""
        summary.finished_at, summary.lease_expires_at, summary.retry_at = now, None, None
        summary.save()
        if summary.hold_id is not None:
            release_hold(summary.hold_id, reason="stopped", now=now)
        return summary, ended_summary(summary, user_id, now)
