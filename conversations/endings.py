"""Verbs on attempts: end the generation, with its text, its money and what is to be announced."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from billing.budgets import meters
from billing.holds import Settlement, release_hold
from conversations import statements
from conversations.attempts import Claim, Ended, Outcome
from conversations.calls import record_attempt, record_lost
from conversations.events import Event, generation_ended
from conversations.kinds import has_fence
from conversations.late_usage import true_up_late
from conversations.markdown import to_html
from conversations.models import Generation, State, Turn, TurnKind
from conversations.receipts import receipt, receipts
from conversations.settling import settle_call, settle_lost


def finish(claim: Claim, outcome: Outcome) -> Ended | None:
    """End the generation: text, state, money and books in one transaction. None: the claim was lost."""
    now = timezone.now()
    values = final_values(outcome)
    with transaction.atomic():
        if not statements.end_claimed(
            claim.generation_id, epoch=claim.epoch, values=list(values.values()), now=now
        ):
            true_up_late(claim.hold_id, claim, outcome, now=now)
            return None
        settlement = pay(claim.hold_id, claim, outcome, now)
        record_attempt(claim, outcome, now)
        if (kind := kind_of(claim, outcome)) != claim.kind:
            statements.note_kind(claim.conversation_id, claim.turn_id, kind=kind.value)
        statements.touch_conversation(claim.conversation_id, now=now)
        generation = Generation(
            id=claim.generation_id,
            conversation_id=claim.conversation_id,
            turn=Turn(turn_id=claim.turn_id),
            model=claim.profile.model_id,
            temperature=claim.request.temperature,
            attempts=claim.attempt,
            input_estimate_tokens=claim.input_estimate_tokens,
            output_cap_tokens=claim.output_cap_tokens,
            **claim.parts.columns(),
            asked_model=claim.asked_model,
            switch_reason=claim.switch_reason,
            remedy=claim.remedy,
            **values,
        )
        return ended_now(generation, claim.user_id, settlement, now)


def close_lapsed(generation: Generation, *, text: str, seq: int) -> Ended | None:
    """End an answer whose process died: what arrived stays, the house pays."""
    now = timezone.now()
    state = State.INTERRUPTED if seq else State.FAILED
    outcome = Outcome(state, text=text, seq=seq, html=to_html(text), error_code="server_lost", charge="house")
    with transaction.atomic():
        won = Generation.objects.filter(lease_expires_at__lte=now).advance(
            generation.pk, epoch=generation.epoch, **final_values(outcome), **closing(now)
        )
        if not won:
            return None
        settlement = pay_without_claim(generation, outcome, now)
        record_lost(generation, outcome.state, now)
        return ended_now(load(generation.pk), generation.conversation.owner_id, settlement, now)


def close_undecided(generation_id: uuid.UUID) -> Ended | None:
    """End an answer for which the person has not chosen while there was something to choose."""
    now = timezone.now()
    with transaction.atomic():
        waiting = Generation.objects.undecided(now).select_for_update().filter(pk=generation_id)
        if not waiting.exists():
            return None
        generation = load(generation_id)
        code = generation.error_code or "rate_limited"
        return close(generation, Outcome(State.FAILED, error_code=code, charge="nobody"), now)


def close(generation: Generation, outcome: Outcome, now: datetime) -> Ended:
    """End a generation that this transaction has already claimed, without an attempt."""
    Generation.objects.filter(pk=generation.pk).update(**final_values(outcome), **closing(now))
    if generation.hold_id is not None:
        release_hold(generation.hold_id, reason=outcome.error_code, now=now)
    return ended_now(load(generation.pk), generation.conversation.owner_id, None, now)


def load(generation_id: uuid.UUID) -> Generation:
    return Generation.objects.select_related("turn", "conversation", "continues").get(pk=generation_id)


def ended_event(generation_id: uuid.UUID) -> Event | None:
    """The terminal event of a generation that has ended, from the database; None while it is live."""
    generation = Generation.objects.select_related("turn").filter(pk=generation_id).first()
    if generation is None or generation.is_live:
        return None
    return ended_event_of(generation)


def ended_event_of(generation: Generation) -> Event:
    return generation_ended(generation, receipts([generation])[generation.pk])


def final_values(outcome: Outcome) -> dict[str, Any]:
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


def closing(now: datetime) -> dict[str, Any]:
    return {"finished_at": now, "lease_expires_at": None, "run_after": None, "waiting_reason": ""}


def kind_of(claim: Claim, outcome: Outcome) -> TurnKind:
    """The kind of the turn, now that its answer is known."""
    return TurnKind.CODE if has_fence(outcome.text) else claim.kind


def pay(hold_id: uuid.UUID, claim: Claim, outcome: Outcome, now: datetime) -> Settlement | None:
    """Settle or release the hold of an attempt, by who bears it."""
    if outcome.charge == "nobody":
        release_hold(hold_id, reason=outcome.error_code or "refused by the provider", now=now)
        return None
    settlement = settle_call(
        hold_id,
        usage=outcome.usage,
        text=outcome.text,
        input_estimate_tokens=claim.input_estimate_tokens,
        output_cap_tokens=claim.output_cap_tokens,
        encoding=claim.profile.encoding,
        bearer=outcome.charge,
        kind=kind_of(claim, outcome).value,
        now=now,
    )
    if not settlement.created:
        true_up_late(hold_id, claim, outcome, now=now)
    return settlement


def pay_without_claim(generation: Generation, outcome: Outcome, now: datetime) -> Settlement | None:
    if generation.hold_id is None:
        return None
    return settle_lost(
        generation.hold_id,
        model=generation.model,
        text=outcome.text,
        input_estimate_tokens=generation.input_estimate_tokens,
        output_cap_tokens=generation.output_cap_tokens,
        kind=generation.turn.kind,
        now=now,
    )


def ended_now(generation: Generation, user_id: int, settlement: Settlement | None, now: datetime) -> Ended:
    event = generation_ended(generation, receipt(generation, settlement))
    standing = meters(
        user_id=user_id,
        conversation_id=generation.conversation_id,
        model=generation.model,
        now=now,
    )
    return Ended(event, standing, user_id, generation.conversation_id, now)
