"""What a context is chosen from: the exchanges of the branch before a question, and what is known of them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from conversations.models import ContextPolicy


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier question and its answer; "" where there is none. The marks are those of the person."""

    question: str
    answer: str
    question_mark: str = ""
    answer_mark: str = ""
    turn_id: uuid.UUID | None = None
    generation_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class SummaryText:
    """A summary of the exchanges from index ``begin`` up to, without, ``end`` of a history."""

    id: uuid.UUID
    text: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class History:
    """The branch before a question, root first, and what the person wants of it.

    ``pinned_before`` are those with a pinned message among the ``older_turns`` that were not read.
    """

    exchanges: tuple[Exchange, ...] = ()
    policy: str = ContextPolicy.AUTO
    summary: SummaryText | None = None
    pinned_before: tuple[Exchange, ...] = ()
    older_turns: int = 0
