"""Verbs on summaries: start, claim, keep, end, drop. One transaction each; ``summary_waits`` has more.

A summary is a call like any other: its units are held before it, the hold is settled with it, and a process
that dies leaves a lease that the sweeper closes. It changes nothing but the context of later questions: one
that fails leaves the messages as they were.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.budgets import Meter, meters
from billing.errors import BudgetExceeded, PriceUnknown
from billing.holds import dispatch_hold, place_hold, release_hold, renew_holds
from conversations.choices import choose_profile
from conversations.condensing import plan_summary
from conversations.exceptions import BudgetRefused, Conflict, Invalid, NotFound
from conversations.exchanges import History
from conversations.history import branch_of, digest_of, history_of
from conversations.models import Conversation, Summary
from conversations.outcomes import describe_refusal, refusal_options
from conversations.settling import settle_lost
from conversations.side_calls import CallEnd, SideCall, pay, record_attempt
from conversations.summary_holds import QUEUE_LEASE_SECONDS, summary_hold

State = Summary.State


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryClaim(SideCall):
    """A call that makes a stored summary."""

    purpose = "summary"

    wanted_output_tokens: int
    asked_at: datetime  # retries end when the patience since then is used up
    retry_at: datetime | None = None  # None: at once

    @property
    def summary_id(self) -> uuid.UUID:
        return self.subject_id


@dataclass(frozen=True, slots=True)
class SummaryEnded:
    """What to announce: the summary at its end and the budgets as they stand now."""

    summary: Summary
    user_id: int
    meters: Sequence[Meter]


def start_summary(
    *, user_id: int, conversation_id: uuid.UUID, summary_id: uuid.UUID, model: str = ""
) -> SummaryClaim | None:
    """Hold the units of a summary of the older messages and store it, queued.

    None: the same id was used before, nothing is new. Raises NotFound, Conflict (``summary_busy``,
    ``id_conflict``), Invalid (``nothing_to_summarise``, ``unknown_model``), BudgetRefused.
    """
    try:
        with transaction.atomic():
            return _start(user_id, conversation_id, summary_id, model)
    except IntegrityError as error:
        raise Conflict("id_conflict", "This id was used before for something else.") from error


def _start(
    user_id: int, conversation_id: uuid.UUID, summary_id: uuid.UUID, model: str
) -> SummaryClaim | None:
    conversation = lock(conversation_id, user_id)
    profile = choose_profile(model, last=conversation.model, user_id=user_id)
    if Summary.objects.filter(pk=summary_id, conversation=conversation).exists():
        return None
    if Summary.objects.live().filter(conversation=conversation).exists():
        raise Conflict("summary_busy", "The older messages are being summarised already.")
    history = summarisable(conversation)
    plan = plan_summary(history, profile)
    if plan is None:
        raise Invalid("nothing_to_summarise", "There is too little here that a summary could save.")
    now = timezone.now()
    request = summary_hold(
        plan, profile, user_id=user_id, conversation_id=conversation_id, summary_id=summary_id
    )
    try:
        hold = place_hold(request, now=now)
    except BudgetExceeded as error:
        options = [option for option in refusal_options(error) if option["action"] == "wait"]
        raise BudgetRefused(
            "budget_exceeded", describe_refusal(error, now), options=options, resets_at=error.resets_at
        ) from error
    except PriceUnknown as error:
        raise BudgetRefused(
            "price_unknown",
            "The price of this model is not known, so a budget in money cannot allow it. Pick another model.",
        ) from error
    head = conversation.head_turn
    assert head is not None, "a plan has turns"
    from_depth, until_depth = plan.begin + history.older_turns, plan.end - 1 + history.older_turns
    covered = branch_of(conversation_id, head.pk, head.depth)[from_depth : until_depth + 1]
    Summary.objects.create(
        id=summary_id,
        conversation=conversation,
        from_depth=from_depth,
        until_depth=until_depth,
        digest=digest_of(covered),
        before_tokens=plan.before_tokens,
        model=profile.model_id,
        hold_id=hold.pk,
        input_estimate_tokens=plan.input_tokens,
        output_cap_tokens=hold.output_cap_tokens,
        lease_expires_at=now + timedelta(seconds=QUEUE_LEASE_SECONDS),
        created_at=now,
    )
    sent = replace(plan.request, max_output_tokens=hold.output_cap_tokens)
    return SummaryClaim(
        subject_id=summary_id,
        conversation_id=conversation_id,
        user_id=user_id,
        hold_id=hold.pk,
        profile=profile,
        request=sent,
        input_estimate_tokens=plan.input_tokens,
        wanted_output_tokens=plan.request.max_output_tokens,
        asked_at=now,
    )


def lock(conversation_id: uuid.UUID, user_id: int) -> Conversation:
    """The person's conversation, locked until the transaction ends. Raises NotFound."""
    conversation = (
        Conversation.objects.select_for_update(of=("self",))
        .select_related("head_turn__chosen")
        .filter(pk=conversation_id, owner_id=user_id, owner__is_active=True)
        .first()
    )
    if conversation is None:
        raise NotFound
    return conversation


def summarisable(conversation: Conversation) -> History:
    """The branch that is shown, up to its last finished answer."""
    head = conversation.head_turn
    if head is None:
        return History()
    if head.chosen is not None and head.chosen.is_live:
        return history_of(conversation.pk, head.parent_id, head.depth - 1)
    return history_of(conversation.pk, head.pk, head.depth)


def claim_summary(claim: SummaryClaim) -> bool:
    """Take the attempt that is due and mark its hold as dispatched. False: it was stopped, or has lapsed."""
    now = timezone.now()
    with transaction.atomic():
        won = Summary.objects.change(
            claim.summary_id,
            before=Summary.IDLE_STATES,
            state=State.RUNNING,
            error_code="",
            retry_at=None,
            lease_expires_at=now + timedelta(seconds=settings.LEASE_SECONDS),
        )
        return won and dispatch_hold(claim.hold_id, lease_seconds=settings.LEASE_SECONDS, now=now)


def renew_summary(claim: SummaryClaim, output_tokens: int) -> bool:
    """The heartbeat of its call. Returns whether it shall stop: somebody wants it, or it is there no more."""
    now = timezone.now()
    lease_until = now + timedelta(seconds=settings.LEASE_SECONDS)
    with transaction.atomic():
        if not Summary.objects.change(claim.summary_id, before=[State.RUNNING], lease_expires_at=lease_until):
            return True
        renew_holds([(claim.hold_id, output_tokens)], lease_seconds=settings.LEASE_SECONDS, now=now)
    return Summary.objects.filter(pk=claim.summary_id, stop_requested_at__isnull=False).exists()


def end_summary(claim: SummaryClaim, end: CallEnd) -> SummaryEnded | None:
    """Close it, with its money. None: the conversation is gone, or it was closed meanwhile.

    The hold is settled in any case: the call was made.
    """
    now = timezone.now()
    state = State.STOPPED if end.is_stopped else State.FAILED if end.error_code else State.COMPLETED
    with transaction.atomic():
        won = (
            Summary.objects.live()
            .filter(pk=claim.summary_id)
            .update(
                state=state,
                text=end.text if state == State.COMPLETED else "",
                error_code=end.error_code,
                lease_expires_at=None,
                retry_at=None,
                finished_at=now,
            )
        )
        pay(claim, end, now)
        if not won:
            return None
        record_attempt(claim, end, state, now)
        summary = Summary.objects.get(pk=claim.summary_id)
        if summary.hold_id is not None and summary.hold_id != claim.hold_id:
            # It was cancelled while it was being put off: the hold of the next attempt is placed already.
            release_hold(summary.hold_id, reason=end.error_code or "stopped", now=now)
        return ended_summary(summary, claim.user_id, now)


def close_lapsed_summary(summary: Summary) -> SummaryEnded | None:
    """Fail one whose process died. Never sent: nobody pays; sent: the house. None: it was no longer due."""
    now = timezone.now()
    closing = {"state": State.FAILED, "error_code": "server_lost", "finished_at": now}
    with transaction.atomic():
        lapsed = Summary.objects.filter(pk=summary.pk, state=summary.state).lapsed(now)
        if not lapsed.update(**closing, lease_expires_at=None):
            return None
        if summary.hold_id is not None:
            if summary.state in Summary.IDLE_STATES:
                release_hold(summary.hold_id, reason="server_lost", now=now)
            else:
                settle_lost(
                    summary.hold_id,
                    model=summary.model,
                    input_estimate_tokens=summary.input_estimate_tokens,
                    output_cap_tokens=summary.output_cap_tokens,
                    now=now,
                )
        summary.refresh_from_db()
        return ended_summary(summary, summary.conversation.owner_id, now)


def ended_summary(summary: Summary, user_id: int, now: datetime) -> SummaryEnded:
    standing = meters(user_id=user_id, conversation_id=summary.conversation_id, model=summary.model, now=now)
    return SummaryEnded(summary, user_id, standing)


def drop_summaries(*, user_id: int, conversation_id: uuid.UUID) -> int:
    """Send the messages in full again: forget the summaries of all branches. What they cost stays.

    Raises NotFound, and Conflict while one is being made. Returns how many there were.
    """
    with transaction.atomic():
        conversation = lock(conversation_id, user_id)
        if Summary.objects.live().filter(conversation=conversation).exists():
            raise Conflict("summary_busy", "The older messages are being summarised. Wait for its end.")
        return Summary.objects.filter(conversation=conversation).delete()[0]
