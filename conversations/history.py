"""The exchanges before a question, as the model is to see them."""

from __future__ import annotations

import uuid

from conversations import statements
from conversations.context import HISTORY_TURNS, Exchange
from conversations.models import Generation, Turn
from conversations.statements import Step


def history_of(
    conversation_id: uuid.UUID, end_id: uuid.UUID | None, end_depth: int, *, last: int
) -> list[Exchange]:
    """The branch that ends with the turn ``end_id``, root first; empty for None."""
    steps = statements.read_steps(conversation_id, end_id, end_depth, last=last)
    return [Exchange(step.question, _answer(step)) for step in steps]


def history_before(turn: Turn) -> list[Exchange]:
    """The branch that leads to this turn."""
    return history_of(turn.conversation_id, turn.parent_id, turn.depth - 1, last=HISTORY_TURNS)


def _answer(step: Step) -> str:
    if step.continues_id is None or step.generation_id is None:
        return step.answer
    return Generation.objects.get(pk=step.generation_id).answer_text()
