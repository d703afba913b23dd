"""Finished turns in the database, without running anything."""

from __future__ import annotations

import uuid

from conversations.models import Conversation, Generation, State, Turn


def ask(conversation: Conversation, question: str, answer: str = "", *, parent: Turn | None = None) -> Turn:
    """A turn with a completed answer at the end of the branch, or after ``parent``."""
    before = parent or conversation.head_turn
    turn = Turn.objects.create(
        conversation=conversation,
        turn_id=uuid.uuid4(),
        parent=before,
        depth=0 if before is None else before.depth + 1,
        text=question,
    )
    if answer:
        turn.chosen = answer_again(turn, answer)
        turn.save()
    conversation.head_turn = turn
    conversation.save()
    return turn


def answer_again(turn: Turn, answer: str) -> Generation:
    return Generation.objects.create(
        conversation=turn.conversation,
        turn=turn,
        model="demo:friendly",
        state=State.COMPLETED,
        wanted_output_tokens=100,
        text=answer,
        seq=1,
    )


def long_talk(conversation: Conversation, turns: int, *, words: int = 40) -> list[Turn]:
    """Question and answer, over and over; each answer has about ``words`` tokens."""
    return [ask(conversation, f"question {n}", f"answer {n} " + "word " * words) for n in range(turns)]
