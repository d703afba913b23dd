"""Messages as programs read them: a conversation's branch as a flat list of questions and answers."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from conversations.branches import version_counts, versions_of
from conversations.continuing import problem_of
from conversations.events import Event
from conversations.exceptions import NotFound
from conversations.markdown import to_html
from conversations.models import Conversation, Generation, Turn
from conversations.notes import Note, notes_of
from conversations.receipts import Receipt, receipts


@dataclass(frozen=True, slots=True)
class Message:
    """A question (role user), or the chosen version of its answer (role assistant).

    ``text`` of an answer that continues another one is the whole, joined; ``receipt`` and ``seq`` are
    those of the last part. ``html`` is None unless it was asked for.
    """

    role: str
    turn_id: uuid.UUID
    text: str
    created_at: datetime
    html: str | None = None
    generation_id: uuid.UUID | None = None
    continues: uuid.UUID | None = None
    state: str | None = None
    model: str | None = None
    seq: int | None = None
    finish_reason: str | None = None
    versions: int | None = None
    receipt: Receipt | None = None
    notes: Sequence[Note] = ()
    error: dict[str, Any] | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    messages: list[Message]
    before: uuid.UUID | None  # the turn before which older ones are found; None at the beginning


def read_history(
    *, user_id: int, conversation_id: uuid.UUID, last: int, before: uuid.UUID | None, html: bool
) -> Page:
    """The ``last`` turns of the branch that is shown, oldest first, up to the one before ``before``.

    Raises NotFound. Six queries at most, and one per level where answers were continued.
    """
    conversation = (
        Conversation.objects.select_related("head_turn").filter(pk=conversation_id, owner_id=user_id).first()
    )
    if conversation is None:
        raise NotFound
    head = conversation.head_turn
    if before is not None:
        turn = conversation.turns.select_related("parent").filter(turn_id=before).first()
        if turn is None:
            raise NotFound("This turn")
        head = turn.parent
    if head is None:
        return Page([], None)
    path = conversation.path(last=last, head=head)
    has_older = bool(path) and path[0].parent_id is not None
    return Page(messages_of(path, html=html), path[0].turn_id if has_older else None)


def read_answer(generation_id: uuid.UUID, *, html: bool) -> Message:
    """One version of an answer, whether or not it is the chosen one."""
    generation = Generation.objects.select_related("turn").get(pk=generation_id)
    return _answers([generation], {generation.turn_id: generation.turn.turn_id}, html=html)[generation.pk]


def told_answer(event: Event, *, created_at: datetime, finished_at: datetime, html: bool) -> Message:
    """What :func:`read_answer` gives for the only version of an answer, from its terminal event."""
    return Message(
        role="assistant",
        turn_id=uuid.UUID(event["turn_id"]),
        text=event["text"],
        created_at=created_at,
        html=event["html"] if html else None,
        generation_id=uuid.UUID(event["generation_id"]),
        state=event["type"].removeprefix("generation."),
        model=event["receipt"]["model"],
        seq=event["seq"],
        notes=event["notes"],
        finish_reason=event["finish_reason"] or None,
        versions=1,
        receipt=event["receipt"],
        error=event.get("error"),
        finished_at=finished_at,
    )


def read_versions(turn: Turn, *, html: bool) -> list[Message]:
    """All versions of the answer to this question, oldest first; of a continued one the whole."""
    ids = versions_of([turn]).get(turn.pk, [])
    found = Generation.objects.in_bulk(ids)
    answers = _answers([found[one] for one in ids], {turn.pk: turn.turn_id}, html=html)
    return [answers[one] for one in ids]


def messages_of(turns: Sequence[Turn], *, html: bool) -> list[Message]:
    chosen = [turn.chosen for turn in turns if turn.chosen is not None]
    answers = _answers(chosen, {turn.pk: turn.turn_id for turn in turns}, html=html)
    messages: list[Message] = []
    for turn in turns:
        messages.append(Message("user", turn.turn_id, turn.text, turn.created_at))
        if turn.chosen_id in answers:
            messages.append(answers[turn.chosen_id])
    return messages


def _answers(
    generations: Sequence[Generation], turn_ids: Mapping[uuid.UUID, uuid.UUID], *, html: bool
) -> dict[uuid.UUID, Message]:
    _load_continued(generations)
    counted = version_counts(turn_ids)
    paid = receipts(generations)
    return {
        generation.pk: _answer(
            generation,
            turn_id=turn_ids[generation.turn_id],
            versions=counted.get(generation.turn_id, 0),
            receipt=paid.get(generation.pk),
            html=html,
        )
        for generation in generations
    }


def _load_continued(generations: Iterable[Generation]) -> None:
    """Give each generation the ones that it continues, one query per level and none where there are none."""
    level = [generation for generation in generations if generation.continues_id is not None]
    while level:
        earlier = Generation.objects.in_bulk([generation.continues_id for generation in level])
        for generation in level:
            generation.continues = earlier[generation.continues_id]
        level = [generation for generation in earlier.values() if generation.continues_id is not None]


def _answer(
    generation: Generation, *, turn_id: uuid.UUID, versions: int, receipt: Receipt | None, html: bool
) -> Message:
    text = generation.answer_text()
    shown = None
    if html and not generation.is_live:
        shown = generation.html if generation.continues_id is None else to_html(text)
    return Message(
        role="assistant",
        turn_id=turn_id,
        text=text,
        created_at=generation.created_at,
        html=shown,
        generation_id=generation.pk,
        continues=generation.continues_id,
        state=generation.state,
        model=generation.model,
        seq=generation.seq,
        notes=notes_of(generation),
        finish_reason=generation.finish_reason or None,
        versions=versions,
        receipt=receipt,
        error=problem_of(generation),
        finished_at=generation.finished_at,
    )
