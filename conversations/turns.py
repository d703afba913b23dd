"""Verbs on turns: ask, retry, regenerate, continue, edit. One transaction each.

A refusal leaves nothing behind: no turn, no generation, no hold. The same frame sent twice starts one
generation: the client mints the ids.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec

from django.db import IntegrityError, transaction

from billing.errors import BudgetExceeded
from billing.holds import record_refusal
from conversations import statements
from conversations.choices import Version, clean_text, require_continuable
from conversations.exceptions import Conflict, NotFound, Refusal
from conversations.history import history_before, history_of
from conversations.models import Generation, Turn
from conversations.models.ids import new_id
from conversations.queueing import Order, Question, Started, estimate_of, queue_generation
from conversations.statements import Place
from llm.errors import UnknownModel
from llm.estimate import InputEstimate
from llm.profiles import get_profile

P = ParamSpec("P")


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
        question = Question(new_id(), turn_id, text, place.head_id, place.head_depth + 1)
        history = history_of(conversation_id, place.head_id, place.head_depth)
        return queue_generation(place, question, history, order, generation_id=new_id())


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
        question = Question(new_id(), new_turn_id, text, edited.parent_id, edited.depth)
        started = queue_generation(place, question, history_before(edited), order, generation_id=new_id())
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
            return started_before(turn, existing)
        chosen = turn.chosen
        if version == "continue":
            chosen = require_continuable(chosen)
        if version != "regenerate" and chosen is not None:
            # What was asked for is tried again; what has begun goes on with the model that wrote it.
            model = chosen.model if version == "continue" else chosen.asked_model or chosen.model
            order = replace(order, model=model, temperature=chosen.temperature)
        return queue_generation(
            place,
            Question(turn.pk, turn.turn_id, turn.text, turn.parent_id, turn.depth, is_new=False),
            history_before(turn),
            order,
            generation_id=generation_id,
            continues=chosen if version == "continue" else None,
        )


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
    return started_before(turn, generation)


def started_before(turn: Turn, generation: Generation) -> Started:
    """What was started before with the same id."""
    return Started(
        generation_id=generation.pk,
        conversation_id=generation.conversation_id,
        turn_id=turn.turn_id,
        continues_id=generation.continues_id,
        model=generation.model,
        text=turn.text,
        estimate=estimate_of(generation.model, _held_input(generation), generation.output_cap_tokens),
    )


def _held_input(generation: Generation) -> int:
    try:
        estimate = get_profile(generation.model).estimate
    except UnknownModel:
        estimate = InputEstimate()
    return estimate.upper(generation.input_estimate_tokens)
