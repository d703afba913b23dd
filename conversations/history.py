"""The messages before a question, as the model is to see them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from django.db.models import Q

from conversations import statements
from conversations.context import HISTORY_TURNS
from conversations.exchanges import Exchange, History, SummaryText
from conversations.models import ContextMark, ContextPolicy, Generation, Turn
from conversations.statements import Step, StoredSummary


@dataclass(frozen=True, slots=True)
class Stop:
    """A turn of a branch without its texts."""

    id: uuid.UUID
    generation_id: uuid.UUID | None
    question_mark: str
    answer_mark: str


UNKNOWN = Stop(uuid.UUID(int=0), None, "", "")


def history_of(
    conversation_id: uuid.UUID, end_id: uuid.UUID | None, end_depth: int, *, last: int = HISTORY_TURNS
) -> History:
    """The branch that ends with the turn ``end_id``; empty for None."""
    if end_id is None:
        return History()
    steps = statements.read_steps(conversation_id, end_id, end_depth, last=last)
    policy, summaries = statements.read_wishes(conversation_id)
    first_depth = end_depth + 1 - len(steps)
    branch = [Stop(one.id, one.generation_id, one.question_mark, one.answer_mark) for one in steps]
    if first_depth > 0:
        branch = _before(conversation_id, end_id, end_depth, first_depth, summaries) + branch
    return History(
        exchanges=tuple(_exchange(step) for step in steps),
        policy=policy or ContextPolicy.AUTO,
        summary=_usable(summaries, branch, first_depth),
        pinned_before=_pinned(branch[:first_depth]),
        older_turns=first_depth,
    )


def history_before(turn: Turn) -> History:
    """The branch that leads to this turn."""
    return history_of(turn.conversation_id, turn.parent_id, turn.depth - 1)


def _before(
    conversation_id: uuid.UUID,
    end_id: uuid.UUID,
    end_depth: int,
    first_depth: int,
    summaries: Sequence[StoredSummary],
) -> list[Stop]:
    """The turns before those that were read; unknown ones where nothing depends on them."""
    pinned = Q(context_mark=ContextMark.PINNED) | Q(chosen__context_mark=ContextMark.PINNED)
    older = Turn.objects.filter(conversation_id=conversation_id, depth__lt=first_depth)
    if any(one.from_depth < first_depth for one in summaries) or older.filter(pinned).exists():
        return branch_of(conversation_id, end_id, end_depth)[:first_depth]
    return [UNKNOWN] * first_depth


def branch_of(conversation_id: uuid.UUID, end_id: uuid.UUID, end_depth: int) -> list[Stop]:
    """Every turn of the branch that ends with ``end_id``, root first, without texts. One query."""
    rows = Turn.objects.filter(conversation_id=conversation_id, depth__lte=end_depth).values_list(
        "id", "parent_id", "chosen_id", "context_mark", "chosen__context_mark"
    )
    by_id = {row[0]: row for row in rows}
    stops: list[Stop] = []
    row = by_id.get(end_id)
    while row is not None:
        stops.append(Stop(row[0], row[2], row[3], row[4] or ""))
        row = by_id.get(row[1]) if row[1] else None
    stops.reverse()
    return stops


def digest_of(stops: Sequence[Stop]) -> str:
    """Names exactly the messages that a summary of these turns would hold."""
    parts = [
        f"{one.id}{'-' if one.question_mark == ContextMark.EXCLUDED else '+'}"
        f"{one.generation_id}{'-' if one.answer_mark == ContextMark.EXCLUDED else '+'}"
        for one in stops
    ]
    return sha256("".join(parts).encode()).hexdigest()


def _usable(
    summaries: Sequence[StoredSummary], branch: Sequence[Stop], first_depth: int
) -> SummaryText | None:
    """The summary that reaches furthest along this very branch."""
    for one in sorted(summaries, key=lambda one: one.until_depth, reverse=True):
        covered = branch[one.from_depth : one.until_depth + 1]
        if len(covered) == one.until_depth + 1 - one.from_depth and digest_of(covered) == one.digest:
            begin, end = one.from_depth - first_depth, one.until_depth + 1 - first_depth
            return SummaryText(one.id, one.text, begin, max(end, 0))
    return None


def _pinned(stops: Sequence[Stop]) -> tuple[Exchange, ...]:
    """Those with a pinned message, with their texts."""
    wanted = [one.id for one in stops if ContextMark.PINNED in (one.question_mark, one.answer_mark)]
    if not wanted:
        return ()
    turns = Turn.objects.filter(pk__in=wanted).select_related("chosen").order_by("depth")
    return tuple(
        Exchange(
            question=turn.text,
            answer="" if turn.chosen is None else turn.chosen.answer_text(),
            question_mark=turn.context_mark,
            answer_mark="" if turn.chosen is None else turn.chosen.context_mark,
            turn_id=turn.turn_id,
            generation_id=turn.chosen_id,
        )
        for turn in turns
    )


def _exchange(step: Step) -> Exchange:
    return Exchange(
        step.question,
        _answer(step),
        step.question_mark,
        step.answer_mark,
        step.turn_id,
        step.generation_id,
    )


def _answer(step: Step) -> str:
    if step.continues_id is None or step.generation_id is None:
        return step.answer
    return Generation.objects.get(pk=step.generation_id).answer_text()
