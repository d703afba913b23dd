"""Verbs on turns: ask, retry, regenerate, continue, edit, stop. One transaction each.

A refusal leaves nothing behind: no turn, no generation, no hold. The same frame sent twice starts one
generation: the client mints the ids.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, ParamSpec

from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.errors import BudgetExceeded, PriceUnknown
from billing.holds import HoldRequest, place_hold, record_refusal, release_hold
from billing.models import Hold
from billing.prices import quote
from billing.receipts import usd
from conversations import statements
from conversations.attempts import Claim
from conversations.choices import choose_length, choose_profile, choose_temperature, clean_text
from conversations.context import HISTORY_TURNS, Context, ContextTooLong, Exchange, build_context
from conversations.exceptions import BudgetRefused, Conflict, Invalid, NotFound, Refusal
from conversations.history import history_before, history_of
from conversations.limits import check_confirmation, ways_out
from conversations.models import Generation, State, Turn
from conversations.models.conversation import first_title
from conversations.models.ids import new_id
from conversations.outcomes import describe_refusal
from conversations.statements import Place
from llm.errors import UnknownModel
from llm.messages import ChatRequest
from llm.profiles import Profile, get_profile
from llm.tokens import estimate_upper

# Covers the time between the hold and the claim; the claim renews it.
QUEUE_LEASE_SECONDS = 60.0
BUSY = "An answer is still being written here. Stop it or wait for its end."

Version = Literal["retry", "regenerate", "continue"]
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks for: a question, or another version of an answer, and with which model."""

    text: str = ""
    model: str = ""  # "" = the conversation's, else the person's, else the site's
    temperature: float | None = None  # None = the model's default
    max_output_tokens: int | None = None  # None = the model's default length
    confirmed: bool = True  # False: refuse with confirm_required when a hard budget would come near its end


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

    @property
    def replayed(self) -> bool:
        return self.claim is None


def _again_after_a_race(verb: Callable[P, Started]) -> Callable[P, Started]:
    """Run the verb once more when another process stored the same id, or started an answer, meanwhile.

    The second time it sees what the other one stored, and replays or refuses for the right reason.
    """

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> Started:
        try:
            return verb(*args, **kwargs)
        except IntegrityError:
            try:
                return verb(*args, **kwargs)
            except IntegrityError as error:
                raise Conflict("id_conflict", "This id was used before for something else.") from error

    return run


@dataclass(frozen=True, slots=True)
class _Question:
    """The turn that is to be answered. ``is_new``: it is stored together with its first generation."""

    id: uuid.UUID
    turn_id: uuid.UUID
    text: str
    parent_id: uuid.UUID | None
    depth: int
    is_new: bool = True


@_again_after_a_race
def start_turn(*, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID, order: Order) -> Started:
    """Store a question and queue its answer at the end of the conversation's current branch.

    Raises a :class:`Refusal`: NotFound, Invalid (empty, too long, unknown model, bad value), Conflict
    (the id was used for another text; an answer is still being written), BudgetRefused.
    """
    text = clean_text(order.text)
    with transaction.atomic():
        place = _place(conversation_id, user_id, turn_id)
        if place.knows_turn:
            return _replay(conversation_id, turn_id, text)
        question = _Question(new_id(), turn_id, text, place.head_id, place.head_depth + 1)
        history = history_of(conversation_id, place.head_id, place.head_depth, last=HISTORY_TURNS)
        return _launch(place, question, history, order, generation_id=new_id())


@_again_after_a_race
def edit_turn(
    *, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID, new_turn_id: uuid.UUID, order: Order
) -> Started:
    """Ask an earlier question anew, in other words, as a sibling; the old branch stays."""
    text = clean_text(order.text)
    with transaction.atomic():
        place = _place(conversation_id, user_id, new_turn_id)
        if place.knows_turn:
            return _replay(conversation_id, new_turn_id, text)
        edited = _turn(conversation_id, turn_id)
        question = _Question(new_id(), new_turn_id, text, edited.parent_id, edited.depth)
        started = _launch(place, question, history_before(edited), order, generation_id=new_id())
        return replace(started, edits=turn_id)


@_again_after_a_race
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
    with transaction.atomic():
        place = _place(conversation_id, user_id, turn_id)
        turn = _turn(conversation_id, turn_id)
        existing = Generation.objects.filter(pk=generation_id).first()
        if existing is not None:
            if existing.turn_id != turn.pk:
                raise Conflict("id_conflict", "This generation id was used before for something else.")
            return _started(turn, existing)
        chosen = turn.chosen
        if version == "continue" and (chosen is None or chosen.is_live or not chosen.text):
            raise Invalid("nothing_to_continue", "There is no answer here to continue.")
        if version != "regenerate" and chosen is not None:
            order = replace(order, model=chosen.model, temperature=chosen.temperature)
        return _launch(
            place,
            _Question(turn.pk, turn.turn_id, turn.text, turn.parent_id, turn.depth, is_new=False),
            history_before(turn),
            order,
            generation_id=generation_id,
            continues=chosen if version == "continue" else None,
        )


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
            .select_for_update(of=("self",))
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


def _place(conversation_id: uuid.UUID, user_id: int, turn_id: uuid.UUID) -> Place:
    place = statements.read_place(conversation_id, user_id=user_id, turn_id=turn_id)
    if place is None:
        raise NotFound
    return place


def _turn(conversation_id: uuid.UUID, turn_id: uuid.UUID) -> Turn:
    turn = (
        Turn.objects.select_related("chosen", "parent")
        .filter(conversation_id=conversation_id, turn_id=turn_id)
        .first()
    )
    if turn is None:
        raise NotFound("This turn")
    return turn


def _replay(conversation_id: uuid.UUID, turn_id: uuid.UUID, text: str) -> Started:
    turn = _turn(conversation_id, turn_id)
    if turn.text != text:
        raise Conflict("id_conflict", "This turn id was used before for another text.")
    generation = turn.generations.order_by("created_at").first()
    if generation is None:
        raise Conflict("id_conflict", "This turn id was used before.")
    return _started(turn, generation)


def _started(turn: Turn, generation: Generation) -> Started:
    """What was started before with the same id."""
    return Started(
        generation_id=generation.pk,
        conversation_id=generation.conversation_id,
        turn_id=turn.turn_id,
        continues_id=generation.continues_id,
        model=generation.model,
        text=turn.text,
        estimate=_estimate(generation.model, _held_input(generation), generation.output_cap_tokens),
    )


def _held_input(generation: Generation) -> int:
    try:
        percent = get_profile(generation.model).estimate_percent
    except UnknownModel:
        percent = 100
    return estimate_upper(generation.input_estimate_tokens, percent)


def _estimate(model: str, input_tokens: int, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": input_tokens,
        "max_output_tokens": output_tokens,
        "cost_usd": usd(quote(model, input_tokens, output_tokens)),
    }


def _launch(
    place: Place,
    question: _Question,
    history: Sequence[Exchange],
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
    context = _context(place, question, history, profile, temperature, wanted, continues)
    # What the provider will count may be more than what is counted here.
    input_tokens = estimate_upper(context.input_tokens, profile.estimate_percent)
    hold = _hold(place, generation_id, profile, context.request, input_tokens, wanted, now)
    if not order.confirmed:
        estimate = _estimate(profile.model_id, input_tokens, hold.output_cap_tokens)
        check_confirmation(hold.nearest_limit, estimate)
    title = _store(place, question, generation_id, profile, now)
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
    )
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
    )
    return Started(
        generation_id=generation_id,
        conversation_id=place.conversation_id,
        turn_id=question.turn_id,
        continues_id=claim.continues_id,
        model=profile.model_id,
        text=question.text,
        estimate=_estimate(profile.model_id, input_tokens, hold.output_cap_tokens),
        claim=claim,
        title=title,
    )


def _store(
    place: Place, question: _Question, generation_id: uuid.UUID, profile: Profile, now: datetime
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
            chosen_id=generation_id,
            created_at=now,
        )
        place.head_id = question.id
        if not place.title and not place.title_source:
            place.title, place.title_source = first_title(question.text)
            title = place.title
    else:
        Turn.objects.filter(pk=question.id).update(chosen_id=generation_id)
    place.model = profile.model_id
    statements.point_conversation(place, now=now)
    return title


def _context(
    place: Place,
    question: _Question,
    history: Sequence[Exchange],
    profile: Profile,
    temperature: float | None,
    wanted: int,
    continues: Generation | None,
) -> Context:
    try:
        return build_context(
            history=history,
            question=question.text,
            system=place.system_prompt,
            profile=profile,
            temperature=temperature,
            max_output_tokens=wanted,
            partial_answer="" if continues is None else continues.answer_text(),
        )
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
        return place_hold(request, now=now)
    except BudgetExceeded as error:
        raise BudgetRefused(
            "budget_exceeded",
            describe_refusal(error, now),
            options=ways_out(error, request, chat_request, now=now),
            resets_at=error.resets_at,
            estimate=_estimate(profile.model_id, input_tokens, wanted),
        ) from error
    except PriceUnknown as error:
        raise BudgetRefused(
            "price_unknown",
            "The price of this model is not known, so a budget in money cannot allow it. "
            "Pick another model or ask an admin for its price.",
        ) from error
