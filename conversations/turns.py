"""Verbs on turns: ask, retry, regenerate, continue, edit, stop. One transaction each.

A refusal leaves nothing behind: no turn, no generation, no hold. The same frame sent twice starts one
generation: the client mints the ids.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.errors import BudgetExceeded, PriceUnknown
from billing.holds import HoldRequest, place_hold, record_refusal, release_hold
from billing.prices import quote
from billing.receipts import usd
from conversations.context import HISTORY_TURNS, Context, ContextTooLong, build_context
from conversations.exceptions import BudgetRefused, Conflict, Invalid, NotFound, Refusal, Unavailable
from conversations.models import Conversation, Generation, State, Turn
from conversations.models.ids import new_id
from conversations.outcomes import describe_refusal, refusal_options
from llm.errors import UnknownModel
from llm.profiles import Profile, default_model_id, get_profile

# Covers the time between the hold and the claim; the claim renews it.
QUEUE_LEASE_SECONDS = 60.0
BUSY = "An answer is still being written here. Stop it or wait for its end."

Version = Literal["retry", "regenerate", "continue"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks for: a question, or another version of an answer, and with which model."""

    text: str = ""
    model: str = ""  # "" = the conversation's, else the person's, else the site's
    temperature: float | None = None  # None = the model's default
    max_output_tokens: int | None = None  # None = the model's default length


@dataclass(frozen=True, slots=True)
class Started:
    generation_id: uuid.UUID
    conversation_id: uuid.UUID
    turn_id: uuid.UUID
    continues_id: uuid.UUID | None
    model: str
    text: str
    estimate: dict[str, Any]
    replayed: bool  # the same id was sent before: nothing new was started
    title: str | None  # set when the conversation got its first title


def start_turn(*, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID, order: Order) -> Started:
    """Store a question and queue its answer at the end of the conversation's current branch.

    Raises a :class:`Refusal`: NotFound, Invalid (empty, too long, unknown model, bad value), Conflict
    (the id was used for another text; an answer is still being written), BudgetRefused.
    """
    text = clean_text(order.text)
    try:
        with transaction.atomic():
            conversation = _lock_conversation(conversation_id, user_id)
            existing = conversation.turns.select_related("chosen").filter(turn_id=turn_id).first()
            if existing is not None:
                return _replay(existing, text)
            history = conversation.path(last=HISTORY_TURNS)
            parent = history[-1] if history else None
            turn = Turn(conversation=conversation, turn_id=turn_id, parent=parent, text=text)
            turn.depth = 0 if parent is None else parent.depth + 1
            return _launch(conversation, turn, history, order, generation_id=new_id(), is_new_turn=True)
    except IntegrityError as error:
        # Another process stored the same id, or started an answer, in the same moment.
        raise _conflict_behind(error, conversation_id) from error


def edit_turn(
    *, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID, new_turn_id: uuid.UUID, order: Order
) -> Started:
    """Ask an earlier question anew, in other words, as a sibling; the old branch stays."""
    text = clean_text(order.text)
    try:
        with transaction.atomic():
            conversation = _lock_conversation(conversation_id, user_id)
            existing = conversation.turns.select_related("chosen").filter(turn_id=new_turn_id).first()
            if existing is not None:
                return _replay(existing, text)
            edited = _turn_of(conversation, turn_id)
            history = _history_before(edited, conversation)
            turn = Turn(conversation=conversation, turn_id=new_turn_id, parent_id=edited.parent_id, text=text)
            turn.depth = edited.depth
            return _launch(conversation, turn, history, order, generation_id=new_id(), is_new_turn=True)
    except IntegrityError as error:
        raise _conflict_behind(error, conversation_id) from error


def start_version(
    *,
    user_id: int,
    conversation_id: uuid.UUID,
    turn_id: uuid.UUID,
    generation_id: uuid.UUID,
    version: Version,
    order: Order,
) -> Started:
    """Another version of an answer: a sibling (retry, regenerate), or one that continues the chosen one."""
    try:
        with transaction.atomic():
            conversation = _lock_conversation(conversation_id, user_id)
            turn = _turn_of(conversation, turn_id)
            existing = Generation.objects.filter(pk=generation_id).first()
            if existing is not None:
                if existing.turn_id != turn.pk:
                    raise Conflict("id_conflict", "This generation id was used before for something else.")
                return _started(turn, existing, replayed=True)
            chosen = turn.chosen
            continues = None
            if version == "continue":
                if chosen is None or chosen.is_live or not chosen.text:
                    raise Invalid("nothing_to_continue", "There is no answer here to continue.")
                continues = chosen
            if version != "regenerate" and chosen is not None:
                order = replace(order, model=chosen.model, temperature=chosen.temperature)
            history = _history_before(turn, conversation)
            return _launch(
                conversation,
                turn,
                history,
                order,
                generation_id=generation_id,
                is_new_turn=False,
                continues=continues,
            )
    except IntegrityError as error:
        raise _conflict_behind(error, conversation_id) from error


def stop_turn(*, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID) -> Generation | None:
    """Ask that the live answer of a turn be stopped.

    An answer that no process is writing ends here and now, and its hold is released. One that is being
    written gets ``stop_requested_at``; the process that writes it ends it. Returns the generation, or
    None when there is nothing live: stopping twice is no error.
    """
    now = timezone.now()
    with transaction.atomic():
        generation = (
            Generation.objects.live()
            .select_related("turn", "conversation")
            .filter(
                conversation_id=conversation_id,
                conversation__owner_id=user_id,
                conversation__owner__is_active=True,
                turn__turn_id=turn_id,
            )
            .first()
        )
        if generation is None:
            return None
        ended = Generation.objects.filter(pk=generation.pk, state__in=(State.QUEUED, State.WAITING)).update(
            state=State.STOPPED,
            finish_reason="stopped",
            stop_requested_at=now,
            finished_at=now,
            run_after=None,
        )
        if ended:
            if generation.hold_id is not None:
                release_hold(generation.hold_id, reason="stopped", now=now)
        else:
            Generation.objects.filter(pk=generation.pk).update(stop_requested_at=now)
    generation.refresh_from_db(fields=["state", "finish_reason", "finished_at"])
    return generation


def record_refused(refusal: Refusal) -> None:
    """Note the first refusal of a budget's period, in a transaction of its own: the send left nothing."""
    if isinstance(refusal.__cause__, BudgetExceeded):
        record_refusal(refusal.__cause__)


def clean_text(text: str) -> str:
    """The question as it is stored. Raises Invalid when it is empty, too long or holds a NUL."""
    if "\x00" in text:
        raise Invalid("message_invalid", "The message holds a character that cannot be stored (NUL).")
    if not text.strip():
        raise Invalid("message_empty", "Write something first.")
    limit = settings.MESSAGE_LIMIT_CHARACTERS
    if len(text) > limit:
        raise Invalid(
            "message_too_long", f"The message has {len(text):,} characters; {limit:,} is the limit."
        )
    return text


def _lock_conversation(conversation_id: uuid.UUID, user_id: int) -> Conversation:
    conversation = (
        Conversation.objects.select_for_update(of=("self",))
        .filter(pk=conversation_id, owner_id=user_id, owner__is_active=True)
        .first()
    )
    if conversation is None:
        raise NotFound
    return conversation


def _turn_of(conversation: Conversation, turn_id: uuid.UUID) -> Turn:
    turn = conversation.turns.select_related("chosen", "parent").filter(turn_id=turn_id).first()
    if turn is None:
        raise NotFound("This turn")
    return turn


def _history_before(turn: Turn, conversation: Conversation) -> list[Turn]:
    if turn.parent is None:
        return []
    return conversation.path(last=HISTORY_TURNS, head=turn.parent)


def _replay(turn: Turn, text: str) -> Started:
    if turn.text != text:
        raise Conflict("id_conflict", "This turn id was used before for another text.")
    generation = turn.generations.order_by("created_at").first()
    if generation is None:
        raise Conflict("id_conflict", "This turn id was used before.")
    return _started(turn, generation, replayed=True)


def _started(turn: Turn, generation: Generation, *, replayed: bool, title: str | None = None) -> Started:
    return Started(
        generation_id=generation.pk,
        conversation_id=turn.conversation_id,
        turn_id=turn.turn_id,
        continues_id=generation.continues_id,
        model=generation.model,
        text=turn.text,
        estimate=_estimate(generation.model, generation.input_estimate_tokens, generation.output_cap_tokens),
        replayed=replayed,
        title=title,
    )


def _estimate(model: str, input_tokens: int, output_tokens: int) -> dict[str, Any]:
    cost = quote(model, input_tokens, output_tokens)
    return {
        "input_tokens": input_tokens,
        "max_output_tokens": output_tokens,
        "cost_usd": usd(cost),
    }


def _launch(
    conversation: Conversation,
    turn: Turn,
    history: Sequence[Turn],
    order: Order,
    *,
    generation_id: uuid.UUID,
    is_new_turn: bool,
    continues: Generation | None = None,
) -> Started:
    """Hold the units and store the queued generation; everything or nothing."""
    if Generation.objects.live().filter(conversation=conversation).exists():
        raise Conflict("conversation_busy", BUSY)
    now = timezone.now()
    profile = choose_profile(order.model, conversation)
    temperature = _temperature(order.temperature, profile)
    wanted = _wanted_output_tokens(order.max_output_tokens, profile)
    context = _context(
        conversation,
        turn,
        history,
        profile,
        temperature,
        wanted,
        continues.answer_text() if continues is not None else "",
    )
    hold = _hold(
        conversation,
        generation_id=generation_id,
        profile=profile,
        input_tokens=context.input_tokens,
        wanted=wanted,
        now=now,
    )
    generation = Generation(
        id=generation_id,
        conversation=conversation,
        turn=turn,
        continues=continues,
        model=profile.model_id,
        temperature=temperature,
        wanted_output_tokens=wanted,
        input_estimate_tokens=context.input_tokens,
        output_cap_tokens=hold.output_cap_tokens,
        hold_id=hold.pk,
        created_at=now,
    )
    # The foreign key back to the generation is checked at commit.
    turn.chosen_id = generation_id
    title = None
    if is_new_turn:
        turn.save(force_insert=True)
        conversation.head_turn = turn
        title = turn.text if conversation.title_from(turn.text) else None
    else:
        Turn.objects.filter(pk=turn.pk).update(chosen_id=generation_id)
    generation.save(force_insert=True)
    conversation.updated_at = now
    conversation.model = profile.model_id
    conversation.save(update_fields=["head_turn", "updated_at", "model", "title", "title_source"])
    return _started(turn, generation, replayed=False, title=conversation.title if title else None)


def choose_profile(model: str, conversation: Conversation) -> Profile:
    """The profile of the model asked for, else of the conversation's, the person's or the site's."""
    if model:
        try:
            profile = get_profile(model)
        except UnknownModel as error:
            raise Invalid("unknown_model", "There is no such model here. Pick one from the list.") from error
        if not profile.usable:
            raise Unavailable(
                "model_unavailable", "This model has no key here. Pick another one or ask an admin."
            )
        return profile
    preferences = getattr(conversation.owner, "preferences", None) if not conversation.model else None
    for candidate in (
        conversation.model,
        preferences.default_model if preferences else "",
        default_model_id(),
    ):
        if candidate:
            try:
                profile = get_profile(candidate)
            except UnknownModel:
                continue
            if profile.usable:
                return profile
    raise Invalid("unknown_model", "No model is set up here. An admin can add one.")


def _temperature(wanted: float | None, profile: Profile) -> float | None:
    if wanted is None:
        return profile.default_temperature
    if not math.isfinite(wanted) or not 0 <= wanted <= profile.max_temperature:
        raise Invalid(
            "invalid_temperature", f"The temperature of this model is from 0 to {profile.max_temperature:g}."
        )
    return wanted if profile.default_temperature is not None else None


def _wanted_output_tokens(wanted: int | None, profile: Profile) -> int:
    if wanted is None:
        return min(profile.default_output_tokens, profile.max_output_tokens)
    if not 1 <= wanted <= profile.max_output_tokens:
        raise Invalid(
            "invalid_max_output_tokens",
            f"The length of an answer of this model is from 1 to {profile.max_output_tokens:,} tokens.",
        )
    return wanted


def _context(
    conversation: Conversation,
    turn: Turn,
    history: Sequence[Turn],
    profile: Profile,
    temperature: float | None,
    wanted: int,
    partial_answer: str,
) -> Context:
    try:
        return build_context(
            history=history,
            question=turn.text,
            system=conversation.system_prompt,
            profile=profile,
            temperature=temperature,
            max_output_tokens=wanted,
            partial_answer=partial_answer,
        )
    except ContextTooLong as error:
        raise Invalid(
            "context_too_long",
            f"The message has about {error.input_tokens:,} tokens; with an answer of {wanted:,} tokens this "
            f"model has room for {error.room_tokens:,}.",
        ) from error


def _hold(
    conversation: Conversation,
    *,
    generation_id: uuid.UUID,
    profile: Profile,
    input_tokens: int,
    wanted: int,
    now: datetime,
) -> Any:
    request = HoldRequest(
        key=f"{generation_id}:1",
        fingerprint=f"{profile.model_id}:{input_tokens}:{wanted}",
        user_id=conversation.owner_id,
        conversation_id=conversation.pk,
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
        return place_hold(request, now=now)
    except BudgetExceeded as error:
        raise BudgetRefused(
            "budget_exceeded",
            describe_refusal(error, now),
            options=refusal_options(error),
            resets_at=error.resets_at,
            estimate=_estimate(profile.model_id, input_tokens, wanted),
        ) from error
    except PriceUnknown as error:
        raise BudgetRefused(
            "price_unknown",
            "The price of this model is not known, so a budget in money cannot allow it. "
            "Pick another model or ask an admin for its price.",
        ) from error


def _conflict_behind(error: IntegrityError, conversation_id: uuid.UUID) -> Refusal:
    if Generation.objects.live().filter(conversation_id=conversation_id).exists():
        return Conflict("conversation_busy", BUSY)
    return Conflict("id_conflict", "This id was used before for something else.")
