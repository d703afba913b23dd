"""Queue a generation: hold its units and store it, everything or nothing."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.utils import timezone

from billing.errors import BudgetExceeded, PriceUnknown
from billing.holds import HoldRequest, place_hold
from billing.models import Hold
from billing.prices import quote
from billing.receipts import usd
from conversations import statements
from conversations.attempts import Claim
from conversations.cached_answers import request_hash
from conversations.choices import choose_length, choose_profile, choose_temperature
from conversations.context import Context, ContextTooLong, build_context
from conversations.counting import (
    fit_window,
    upper_input,
    want_count_for_refused,
    want_count_near_budget,
)
from conversations.exceptions import BudgetRefused, Conflict, Invalid
from conversations.exchanges import History
from conversations.kinds import turn_kind
from conversations.limits import check_confirmation, ways_out
from conversations.models import Generation, Turn, TurnKind
from conversations.models.conversation import first_title
from conversations.outcomes import describe_refusal
from conversations.statements import Place
from llm.messages import ChatRequest
from llm.profiles import Profile

# Covers the time between the hold and the claim; the claim renews it.
QUEUE_LEASE_SECONDS = 60.0
BUSY = "An answer is still being written here. Stop it or wait for its end."


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks for: a question, or another version of an answer, and with which model."""

    text: str = ""
    model: str = ""  # "" = the conversation's, else the person's, else the site's
    temperature: float | None = None  # None = the model's default
    max_output_tokens: int | None = None  # None = the model's default length
    confirmed: bool = True  # False: refuse with confirm_required when a hard budget would come near its end
    history: bool = True  # False: without the earlier messages


@dataclass(frozen=True, slots=True)
class Started:
    generation_id: uuid.UUID
    conversation_id: uuid.UUID
    turn_id: uuid.UUID
    continues_id: uuid.UUID | None
    model: str
    text: str
    estimate: dict[str, Any]
    # What the process that started it needs to run it; None: the same id was sent before, nothing is new.
    claim: Claim | None = None
    title: str | None = None  # set when the conversation got its first title
    edits: uuid.UUID | None = None  # the turn whose question was asked anew in other words
    is_first: bool = False  # the first version of an answer, to a question that is new

    @property
    def replayed(self) -> bool:
        return self.claim is None


@dataclass(frozen=True, slots=True)
class Question:
    """The turn that is to be answered. ``is_new``: it is stored together with its first generation."""

    id: uuid.UUID
    turn_id: uuid.UUID
    text: str
    parent_id: uuid.UUID | None
    depth: int
    is_new: bool = True

    @property
    def kind(self) -> TurnKind:
        return turn_kind(self.text, is_first=self.depth == 0)


def queue_generation(
    place: Place,
    question: Question,
    history: History,
    order: Order,
    *,
    generation_id: uuid.UUID,
    continues: Generation | None = None,
) -> Started:
    """Hold the units and store the queued generation; everything or nothing."""
    if place.is_busy:
        raise Conflict("conversation_busy", BUSY)
    now = timezone.now()
    profile = choose_profile(order.model, last=place.model, user_id=place.owner_id)
    temperature = choose_temperature(order.temperature, profile)
    wanted = choose_length(order.max_output_tokens, profile)
    if not order.history:
        history = History()
    context = _context(place, question, history, profile, temperature, wanted, continues)
    # What the provider will count may be more than what is counted here.
    input_tokens = upper_input(profile, context)
    summarisable = history if question.is_new and question.parent_id == place.head_id else None
    hold = _hold(place, generation_id, profile, context.request, summarisable, input_tokens, wanted, now)
    estimate = _estimate(input_tokens, hold.output_cap_tokens, hold.cost_nanousd)
    if not order.confirmed:
        check_confirmation(hold.nearest_limit, estimate)
    asked_model = "" if continues is None else continues.asked_model
    title = _store(place, question, generation_id, asked_model or profile.model_id, now)
    statements.insert_generation(
        id=generation_id,
        conversation_id=place.conversation_id,
        turn_id=question.id,
        continues_id=None if continues is None else continues.pk,
        model=profile.model_id,
        temperature=temperature,
        wanted_output_tokens=wanted,
        input_estimate_tokens=context.input_tokens,
        output_cap_tokens=hold.output_cap_tokens,
        hold_id=hold.pk,
        created_at=now,
        **context.parts.columns(),
        asked_model=asked_model,
        switch_reason="" if continues is None else continues.switch_reason,
        request_hash=request_hash(context.request, model=profile.model_id, wanted_output_tokens=wanted),
    )
    if continues is not None and continues.context_mark:
        Generation.objects.filter(pk=generation_id).update(context_mark=continues.context_mark)
    claim = Claim(
        generation_id=generation_id,
        conversation_id=place.conversation_id,
        turn_id=question.turn_id,
        user_id=place.owner_id,
        epoch=1,
        attempt=1,
        hold_id=hold.pk,
        profile=profile,
        request=replace(context.request, max_output_tokens=hold.output_cap_tokens),
        input_estimate_tokens=context.input_tokens,
        output_cap_tokens=hold.output_cap_tokens,
        continues_id=None if continues is None else continues.pk,
        created_at=now,
        parts=context.parts,
        kind=question.kind,
        patient_since=now,
        asked_model=asked_model,
        switch_reason="" if continues is None else continues.switch_reason,
    )
    return Started(
        generation_id=generation_id,
        conversation_id=place.conversation_id,
        turn_id=question.turn_id,
        continues_id=claim.continues_id,
        model=profile.model_id,
        text=question.text,
        estimate=estimate,
        claim=claim,
        title=title,
        is_first=question.is_new,
    )


def estimate_of(model: str, input_tokens: int, output_tokens: int) -> dict[str, Any]:
    return _estimate(input_tokens, output_tokens, quote(model, input_tokens, output_tokens))


def _estimate(input_tokens: int, output_tokens: int, cost_nanousd: int | None) -> dict[str, Any]:
    return {
        "input_tokens": input_tokens,
        "max_output_tokens": output_tokens,
        "cost_usd": usd(cost_nanousd),
    }


def _store(
    place: Place, question: Question, generation_id: uuid.UUID, model: str, now: datetime
) -> str | None:
    """Store the turn and point the conversation to it; returns a title that is new.

    The turn's foreign key to its generation, which comes next, is checked at commit.
    """
    title = None
    if question.is_new:
        statements.insert_turn(
            id=question.id,
            conversation_id=place.conversation_id,
            turn_id=question.turn_id,
            parent_id=question.parent_id,
            depth=question.depth,
            text=question.text,
            kind=question.kind.value,
            chosen_id=generation_id,
            created_at=now,
        )
        place.head_id = question.id
        if not place.title and not place.title_source:
            place.title, place.title_source = first_title(question.text)
            title = place.title
    else:
        Turn.objects.filter(pk=question.id).update(chosen_id=generation_id)
    place.model = model
    statements.point_conversation(place, now=now)
    return title


def _context(
    place: Place,
    question: Question,
    history: History,
    profile: Profile,
    temperature: float | None,
    wanted: int,
    continues: Generation | None,
) -> Context:
    def build(estimated: Profile) -> Context:
        return build_context(
            history=history,
            question=question.text,
            system=place.system_prompt,
            profile=estimated,
            temperature=temperature,
            max_output_tokens=wanted,
            partial_answer="" if continues is None else continues.answer_text(),
        )

    try:
        return fit_window(profile, build, room_tokens=profile.context_window_tokens - wanted)
    except ContextTooLong as error:
        raise Invalid(
            "context_too_long",
            f"The message has about {error.input_tokens:,} tokens; with an answer of {wanted:,} tokens this "
            f"model has room for {error.room_tokens:,}.",
        ) from error


def _hold(
    place: Place,
    generation_id: uuid.UUID,
    profile: Profile,
    chat_request: ChatRequest,
    history: History | None,
    input_tokens: int,
    wanted: int,
    now: datetime,
) -> Hold:
    request = HoldRequest(
        key=f"{generation_id}:1",
        fingerprint=f"{profile.model_id}:{input_tokens}:{wanted}",
        user_id=place.owner_id,
        conversation_id=place.conversation_id,
        generation_id=generation_id,
        attempt=1,
        purpose="answer",
        model=profile.model_id,
        input_tokens=input_tokens,
        wanted_output_tokens=wanted,
        minimum_output_tokens=min(profile.minimum_output_tokens, wanted),
        lease_seconds=QUEUE_LEASE_SECONDS,
    )
    try:
        hold = place_hold(request, now=now)
    except BudgetExceeded as error:
        want_count_for_refused(profile, chat_request, request, now)
        raise BudgetRefused(
            "budget_exceeded",
            describe_refusal(error, now),
            options=ways_out(error, request, chat_request, profile, history=history, now=now),
            resets_at=error.resets_at,
            estimate=estimate_of(profile.model_id, input_tokens, wanted),
        ) from error
    except PriceUnknown as error:
        raise BudgetRefused(
            "price_unknown",
            "The price of this model is not known, so a budget in money cannot allow it. "
            "Pick another model or ask an admin for its price.",
        ) from error
    want_count_near_budget(profile, chat_request, hold)
    return hold
