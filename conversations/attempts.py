"""Verbs on attempts: claim a generation, keep its claim alive, put it off, end it.

Synchronous, one transaction each. All of them are fenced: they change nothing once another process has
claimed the generation (its epoch moved on) or it has reached an end.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing.budgets import Meter, meters
from billing.errors import BudgetExceeded, PriceUnknown
from billing.holds import (
    HoldRequest,
    Settlement,
    dispatch_hold,
    place_hold,
    release_hold,
    renew_holds,
    settle_hold,
)
from billing.models import Hold
from conversations import statements
from conversations.context import ContextTooLong, build_context
from conversations.events import Event, generation_ended
from conversations.history import history_before
from conversations.markdown import to_html
from conversations.metering import believable, usage_counts
from conversations.models import Generation, State, Turn, WaitingReason
from conversations.receipts import receipt, receipts
from llm.errors import UnknownModel
from llm.messages import ChatRequest
from llm.profiles import Profile, get_profile
from llm.tokens import estimate_upper
from llm.usage import Usage

# How long a hold for the next attempt outlives the moment it is due.
HOLD_GRACE_SECONDS = 60.0
# A longer wait keeps nothing reserved: the budget is asked again when it is over.
HOLD_WAIT_LIMIT_SECONDS = 600.0

Charge = Literal["user", "house", "nobody"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt: a claimed generation, its dispatched hold and the request to send."""

    generation_id: uuid.UUID
    conversation_id: uuid.UUID
    turn_id: uuid.UUID
    user_id: int
    epoch: int
    attempt: int
    hold_id: uuid.UUID
    profile: Profile
    request: ChatRequest
    input_estimate_tokens: int
    output_cap_tokens: int
    continues_id: uuid.UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. ``usage`` is what the provider reported, None when it said nothing."""

    state: State
    text: str = ""
    seq: int = 0
    html: str = ""
    finish_reason: str = ""
    error_code: str = ""
    usage: Usage | None = None
    charge: Charge = "user"
    first_token_ms: int | None = None
    duration_ms: int | None = None


# The person no longer waits for it, and nothing was sent for it.
STOPPED = Outcome(State.STOPPED, finish_reason="stopped", charge="nobody")


@dataclass(frozen=True, slots=True)
class Ended:
    """What to announce after an end: the terminal event and the budgets as they stand now."""

    event: Event
    meters: Sequence[Meter]
    user_id: int
    conversation_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Beat:
    """What a running attempt tells the database once a second."""

    generation_id: uuid.UUID
    epoch: int
    hold_id: uuid.UUID
    text: str
    seq: int
    output_tokens: int


def claim(generation_id: uuid.UUID, *, owner: str, prepared: Claim | None = None) -> Claim | Ended | None:
    """Take the generation for one attempt and mark its hold as dispatched.

    ``prepared`` is what the send that queued it has worked out already, for the first claim in the same
    process. None: somebody else has it, or it is not due. Ended: it could not be started any more (no
    budget, no such model), so it was closed.
    """
    now = timezone.now()
    if prepared is not None and _claim_prepared(prepared, owner, now):
        return prepared
    with transaction.atomic():
        if not Generation.objects.claim(
            generation_id, owner=owner, lease_seconds=settings.LEASE_SECONDS, now=now
        ):
            return None
        generation = _load(generation_id)
        if generation.stop_requested_at is not None:
            return _close(generation, STOPPED, now)
        try:
            return _prepare(generation, now)
        except (BudgetExceeded, PriceUnknown):
            code = "budget_exceeded"
        except ContextTooLong:
            code = "context_too_long"
        except UnknownModel:
            code = "unknown_model"
        return _close(generation, Outcome(State.FAILED, error_code=code, charge="nobody"), now)


class _HoldGone(Exception):
    """The prepared hold is not open any more."""


def _claim_prepared(prepared: Claim, owner: str, now: datetime) -> bool:
    lease_until = now + timedelta(seconds=settings.LEASE_SECONDS)
    try:
        with transaction.atomic():
            if not statements.claim_queued(
                prepared.generation_id, owner=owner, lease_until=lease_until, now=now
            ):
                return False
            if not dispatch_hold(prepared.hold_id, now=now):
                raise _HoldGone
    except _HoldGone:
        return False
    return True


def _load(generation_id: uuid.UUID) -> Generation:
    return Generation.objects.select_related("turn", "conversation", "continues").get(pk=generation_id)


def _prepare(generation: Generation, now: datetime) -> Claim:
    profile = get_profile(generation.model)
    hold_id = generation.hold_id
    if hold_id is None or not dispatch_hold(hold_id, now=now):
        hold = _hold(generation, profile, key=f"{generation.pk}:{generation.epoch}:again", now=now)
        hold_id = hold.pk
        Generation.objects.filter(pk=generation.pk).update(
            hold_id=hold_id, output_cap_tokens=hold.output_cap_tokens
        )
        generation.hold_id, generation.output_cap_tokens = hold_id, hold.output_cap_tokens
        dispatch_hold(hold_id, now=now)
    turn = generation.turn
    context = build_context(
        history=history_before(turn),
        question=turn.text,
        system=generation.conversation.system_prompt,
        profile=profile,
        temperature=generation.temperature,
        max_output_tokens=generation.output_cap_tokens,
        partial_answer=generation.continues.answer_text() if generation.continues else "",
        attempt=generation.attempts,
    )
    return Claim(
        generation_id=generation.pk,
        conversation_id=generation.conversation_id,
        turn_id=turn.turn_id,
        user_id=generation.conversation.owner_id,
        epoch=generation.epoch,
        attempt=generation.attempts,
        hold_id=hold_id,
        profile=profile,
        request=context.request,
        input_estimate_tokens=generation.input_estimate_tokens,
        output_cap_tokens=generation.output_cap_tokens,
        continues_id=generation.continues_id,
        created_at=generation.created_at,
    )


def _hold(
    generation: Generation,
    profile: Profile,
    *,
    key: str,
    now: datetime,
    lease_seconds: float | None = None,
) -> Hold:
    return place_hold(
        HoldRequest(
            key=key,
            fingerprint=f"{generation.model}:{generation.input_estimate_tokens}:{generation.wanted_output_tokens}",
            user_id=generation.conversation.owner_id,
            conversation_id=generation.conversation_id,
            generation_id=generation.pk,
            attempt=generation.attempts,
            purpose="answer",
            model=generation.model,
            input_tokens=estimate_upper(generation.input_estimate_tokens, profile.estimate_percent),
            wanted_output_tokens=generation.wanted_output_tokens,
            minimum_output_tokens=min(profile.minimum_output_tokens, generation.wanted_output_tokens),
            lease_seconds=settings.LEASE_SECONDS if lease_seconds is None else lease_seconds,
        ),
        now=now,
    )


def beat(beats: Sequence[Beat], *, renew: bool) -> dict[uuid.UUID, bool]:
    """Store the texts of running attempts; with ``renew`` also prolong their holds.

    Returns for each generation that is still ours whether its stop was requested; one that is missing
    was taken over by another process.
    """
    now = timezone.now()
    with transaction.atomic():
        answers = statements.store_beats(
            [(one.generation_id, one.epoch, one.text, one.seq) for one in beats],
            lease_until=now + timedelta(seconds=settings.LEASE_SECONDS),
        )
        if renew:
            renew_holds(
                [(one.hold_id, one.output_tokens) for one in beats if one.generation_id in answers],
                lease_seconds=settings.LEASE_SECONDS,
                now=now,
            )
    return answers


def postpone(
    claim: Claim, *, reason: WaitingReason, delay_seconds: float, charge: Charge
) -> Generation | Ended | None:
    """Put the generation off to its next attempt, with a new hold in place of the old one.

    Returns the waiting generation; Ended where the budget no longer allows another attempt; None when
    the claim was lost.
    """
    now = timezone.now()
    run_after = now + timedelta(seconds=delay_seconds)
    with transaction.atomic():
        won = Generation.objects.advance(
            claim.generation_id,
            epoch=claim.epoch,
            state=State.WAITING,
            waiting_reason=reason,
            run_after=run_after,
            notified_at=now,
            lease_expires_at=None,
            hold_id=None,
        )
        if not won:
            return None
        generation = _load(claim.generation_id)
        _pay(claim.hold_id, claim, Outcome(State.WAITING, charge=charge), now)
        if generation.stop_requested_at is not None:
            return _close(generation, STOPPED, now)
        if delay_seconds <= HOLD_WAIT_LIMIT_SECONDS:
            try:
                with transaction.atomic():
                    hold = _hold(
                        generation,
                        claim.profile,
                        key=f"{generation.pk}:{generation.epoch + 1}",
                        now=now,
                        lease_seconds=delay_seconds + HOLD_GRACE_SECONDS,
                    )
            except (BudgetExceeded, PriceUnknown):
                return _close(
                    generation, Outcome(State.FAILED, error_code="budget_exceeded", charge="nobody"), now
                )
            generation.hold_id, generation.output_cap_tokens = hold.pk, hold.output_cap_tokens
            generation.save(update_fields=["hold_id", "output_cap_tokens"])
    return generation


def finish(claim: Claim, outcome: Outcome) -> Ended | None:
    """End the generation: text, state, money and books in one transaction. None: the claim was lost."""
    now = timezone.now()
    values = _final_values(outcome)
    with transaction.atomic():
        if not statements.end_claimed(
            claim.generation_id, epoch=claim.epoch, values=list(values.values()), now=now
        ):
            return None
        settlement = _pay(claim.hold_id, claim, outcome, now)
        statements.touch_conversation(claim.conversation_id, now=now)
        generation = Generation(
            id=claim.generation_id,
            conversation_id=claim.conversation_id,
            turn=Turn(turn_id=claim.turn_id),
            model=claim.profile.model_id,
            **values,
        )
        return _ended(generation, claim.user_id, settlement, now)


def close_lapsed(generation: Generation, *, text: str, seq: int) -> Ended | None:
    """End an answer whose process died after its first token: what arrived stays, the house pays."""
    now = timezone.now()
    outcome = Outcome(
        State.INTERRUPTED, text=text, seq=seq, html=to_html(text), error_code="server_lost", charge="house"
    )
    with transaction.atomic():
        won = Generation.objects.filter(lease_expires_at__lte=now).advance(
            generation.pk, epoch=generation.epoch, **_final_values(outcome), **_closing(now)
        )
        if not won:
            return None
        settlement = _pay_without_claim(generation, outcome, now)
        return _ended(_load(generation.pk), generation.conversation.owner_id, settlement, now)


def revive_lapsed(generation: Generation) -> bool:
    """Queue anew an attempt whose process died before its first token. Returns whether this call did."""
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
        if won:
            _pay_without_claim(generation, Outcome(State.WAITING, charge="house"), now)
            fresh = _load(generation.pk)
            if fresh.stop_requested_at is not None:
                _close(fresh, STOPPED, now)
    return won


def ended_event(generation_id: uuid.UUID) -> Event | None:
    """The terminal event of a generation that has ended, from the database; None while it is live."""
    generation = Generation.objects.select_related("turn").filter(pk=generation_id).first()
    if generation is None or generation.is_live:
        return None
    return ended_event_of(generation)


def ended_event_of(generation: Generation) -> Event:
    return generation_ended(generation, receipts([generation])[generation.pk])


def _final_values(outcome: Outcome) -> dict[str, Any]:
    """What the outcome writes, in the order of ``statements.end_claimed``."""
    return {
        "state": outcome.state.value,
        "text": outcome.text,
        "seq": outcome.seq,
        "html": outcome.html,
        "finish_reason": outcome.finish_reason,
        "error_code": outcome.error_code,
        "first_token_ms": outcome.first_token_ms,
        "duration_ms": outcome.duration_ms,
    }


def _closing(now: datetime) -> dict[str, Any]:
    return {"finished_at": now, "lease_expires_at": None, "run_after": None, "waiting_reason": ""}


def _close(generation: Generation, outcome: Outcome, now: datetime) -> Ended:
    """End a generation that this transaction has already claimed, without an attempt."""
    Generation.objects.filter(pk=generation.pk).update(**_final_values(outcome), **_closing(now))
    if generation.hold_id is not None:
        release_hold(generation.hold_id, reason=outcome.error_code, now=now)
    return _ended(_load(generation.pk), generation.conversation.owner_id, None, now)


def _pay(hold_id: uuid.UUID, claim: Claim, outcome: Outcome, now: datetime) -> Settlement | None:
    """Settle or release the hold of an attempt, by who bears it."""
    if outcome.charge == "nobody":
        release_hold(hold_id, reason=outcome.error_code or "refused by the provider", now=now)
        return None
    usage = believable(outcome.usage)
    counts, estimated = usage_counts(
        usage,
        input_estimate_tokens=claim.input_estimate_tokens,
        text=outcome.text,
        encoding=claim.profile.encoding,
        output_cap_tokens=claim.output_cap_tokens,
    )
    return settle_hold(
        hold_id,
        usage=counts,
        estimated=estimated,
        bearer=outcome.charge,
        raw=outcome.usage.raw if outcome.usage is not None else None,
        reported_input_tokens=usage.input_tokens if usage is not None else None,
        reported_output_tokens=usage.output_tokens if usage is not None else None,
        now=now,
    )


def _pay_without_claim(generation: Generation, outcome: Outcome, now: datetime) -> Settlement | None:
    if generation.hold_id is None:
        return None
    try:
        encoding = get_profile(generation.model).encoding
    except UnknownModel:
        encoding = "o200k_base"
    counts, _ = usage_counts(
        None,
        input_estimate_tokens=generation.input_estimate_tokens,
        text=outcome.text,
        encoding=encoding,
        output_cap_tokens=generation.output_cap_tokens,
    )
    return settle_hold(generation.hold_id, usage=counts, estimated=True, bearer="house", now=now)


def _ended(generation: Generation, user_id: int, settlement: Settlement | None, now: datetime) -> Ended:
    event = generation_ended(generation, receipt(generation, settlement.entry if settlement else None))
    standing = meters(
        user_id=user_id,
        conversation_id=generation.conversation_id,
        model=generation.model,
        now=now,
    )
    return Ended(event, standing, user_id, generation.conversation_id)
