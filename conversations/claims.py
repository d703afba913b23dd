"""Verbs on attempts: claim a generation for one, and keep the claim alive."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing.errors import BudgetExceeded, PriceUnknown
from billing.holds import HoldRequest, dispatch_hold, place_hold, renew_holds
from billing.models import Hold
from conversations import statements
from conversations.attempts import STOPPED, Beat, Claim, Ended, Outcome
from conversations.context import Context, ContextTooLong, build_context
from conversations.endings import close, load
from conversations.history import history_before
from conversations.kinds import turn_kind
from conversations.models import Generation, Remedy, State
from conversations.notes import notes_of
from conversations.parts import parts_of
from llm.errors import UnknownModel
from llm.profiles import Profile, get_profile


def claim(generation_id: uuid.UUID, *, owner: str, prepared: Claim | None = None) -> Claim | Ended | None:
    """Take the generation for one attempt and mark its hold as dispatched.

    ``prepared`` is what the send that queued it has worked out already, for the first claim in the same
    process. None: somebody else has it, or it is not due. Ended: it could not be started any more (no
    budget, no such model), so it was closed.
    """
    if prepared is not None and _claim_prepared(prepared, owner):
        return prepared
    with transaction.atomic():
        now = timezone.now()  # in here: on SQLite a transaction may wait for others before it begins
        if not Generation.objects.claim(
            generation_id, owner=owner, lease_seconds=settings.LEASE_SECONDS, now=now
        ):
            return None
        generation = load(generation_id)
        if generation.stop_requested_at is not None:
            return close(generation, STOPPED, now)
        try:
            claimed = _prepare(generation, now)
            # Counting a long context takes its time: the lease begins when that is done.
            Generation.objects.filter(pk=generation_id).update(lease_expires_at=_lease_until())
            renew_holds([(claimed.hold_id, 0)], lease_seconds=settings.LEASE_SECONDS)
            return claimed
        except (BudgetExceeded, PriceUnknown):
            code = "budget_exceeded"
        except ContextTooLong:
            code = "context_too_long"
        except UnknownModel:
            code = "unknown_model"
        return close(generation, Outcome(State.FAILED, error_code=code, charge="nobody"), now)


def give_up(generation_id: uuid.UUID) -> Ended | None:
    """End a generation that could not be begun for a fault of ours. None: it is not due any more.

    Its hold ends with its lease: giving that back may be the very thing that fails.
    """
    now = timezone.now()
    with transaction.atomic():
        due = Generation.objects.claimable(now).select_for_update().filter(pk=generation_id)
        if not due.exists():
            return None
        generation = load(generation_id)
        generation.hold_id = None
        return close(generation, Outcome(State.FAILED, error_code="internal_error", charge="nobody"), now)


def _lease_until() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)


class _HoldGone(Exception):
    """The prepared hold is not open any more."""


def _claim_prepared(prepared: Claim, owner: str) -> bool:
    try:
        with transaction.atomic():
            now = timezone.now()
            if not statements.claim_queued(
                prepared.generation_id, owner=owner, lease_until=_lease_until(), now=now
            ):
                return False
            if not dispatch_hold(prepared.hold_id, lease_seconds=settings.LEASE_SECONDS, now=now):
                raise _HoldGone
    except _HoldGone:
        return False
    return True


def _prepare(generation: Generation, now: datetime) -> Claim:
    profile = get_profile(generation.model)
    hold_id = generation.hold_id
    lease = settings.LEASE_SECONDS
    if hold_id is None or not dispatch_hold(hold_id, lease_seconds=lease, now=now):
        hold = hold_attempt(generation, profile, key=f"{generation.pk}:{generation.epoch}:again", now=now)
        hold_id = hold.pk
        Generation.objects.filter(pk=generation.pk).update(
            hold_id=hold_id, output_cap_tokens=hold.output_cap_tokens
        )
        generation.hold_id, generation.output_cap_tokens = hold_id, hold.output_cap_tokens
        dispatch_hold(hold_id, lease_seconds=lease, now=now)
    # The context may have been changed since: no more is sent than was held.
    most, is_trimmed = generation.input_estimate_tokens, generation.remedy == Remedy.TRIMMED
    context = _context_as_held(generation, profile, most // 2 if is_trimmed else most)
    return Claim(
        generation_id=generation.pk,
        conversation_id=generation.conversation_id,
        turn_id=generation.turn.turn_id,
        user_id=generation.conversation.owner_id,
        epoch=generation.epoch,
        attempt=generation.attempts,
        hold_id=hold_id,
        profile=profile,
        request=context.request,
        input_estimate_tokens=context.input_tokens if is_trimmed else most,
        output_cap_tokens=generation.output_cap_tokens,
        continues_id=generation.continues_id,
        created_at=generation.created_at,
        parts=context.parts if is_trimmed else parts_of(generation),
        kind=turn_kind(generation.turn.text, is_first=generation.turn.depth == 0),
        patient_since=generation.patient_since,
        paced_seconds=generation.paced_seconds,
        attempt_in_round=generation.attempts_in_round,
        remedy=generation.remedy,
        asked_model=generation.asked_model,
        switch_reason=generation.switch_reason,
        notes=notes_of(generation),
    )


def context_of(generation: Generation, profile: Profile, *, most_input_tokens: int | None = None) -> Context:
    """What is sent for the generation as it stands. Raises ContextTooLong."""
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
        most_input_tokens=most_input_tokens,
    )
    if generation.remedy == Remedy.THINK_LESS:
        return replace(context, request=replace(context.request, think_less=True))
    return context


def _context_as_held(generation: Generation, profile: Profile, most_input_tokens: int) -> Context:
    """The context by our estimate; where that is too small for it, by what was held for it."""
    try:
        context = context_of(generation, profile, most_input_tokens=most_input_tokens)
        if not context.is_cut:
            return context
    except ContextTooLong:
        pass
    held = _held_input(generation)
    if held is not None and generation.input_estimate_tokens:
        percent = -(-held * 100 // generation.input_estimate_tokens)
        profile = replace(profile, estimate_percent=percent, prompt_overhead_tokens=0)
    return context_of(generation, profile, most_input_tokens=most_input_tokens)


def _held_input(generation: Generation) -> int | None:
    """What was held for the input by this model before, as the provider may have counted it."""
    holds = Hold.objects.filter(generation_id=generation.pk, model=generation.model, purpose="answer")
    return holds.order_by("-created_at").values_list("input_tokens", flat=True).first()


def hold_attempt(
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
            input_tokens=_held_input(generation) or profile.estimate.upper(generation.input_estimate_tokens),
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
    with transaction.atomic():
        now = timezone.now()
        answers = statements.store_beats(
            [(one.generation_id, one.epoch, one.text, one.seq) for one in beats],
            lease_until=_lease_until(),
        )
        if renew:
            renew_holds(
                [(one.hold_id, one.output_tokens) for one in beats if one.generation_id in answers],
                lease_seconds=settings.LEASE_SECONDS,
                now=now,
            )
    return answers
