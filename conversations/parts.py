"""What the input of a call consists of, and how much of a cut answer is still to come. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conversations.models import Generation

# Fewer answers that were longer than what came say nothing about how long this one would be.
LONGER_ANSWERS_NEEDED = 3


@dataclass(frozen=True, slots=True)
class Parts:
    """In tokens as counted here; ``message`` is the newest question."""

    system: int = 0
    questions: int = 0
    answers: int = 0
    summary: int = 0
    tools: int = 0
    message: int = 0

    def columns(self) -> dict[str, int]:
        """What a generation keeps of them; the question is what is left of its input."""
        return {
            "system_tokens": self.system,
            "questions_tokens": self.questions,
            "answers_tokens": self.answers,
            "summary_tokens": self.summary,
            "tools_tokens": self.tools,
        }

    def scaled(self, total: int) -> Parts:
        """The same shares of ``total``, the figure that was reported or is held; their sum is exact."""
        own = astuple(self)
        whole = sum(own)
        if whole == 0:
            return Parts(message=total)
        shares = [part * total // whole for part in own]
        # What rounding left goes to those that lost most of it.
        order = sorted(range(len(own)), key=lambda at: -(own[at] * total % whole))
        for at in order[: total - sum(shares)]:
            shares[at] += 1
        return Parts(*shares)


def parts_of(generation: Generation) -> Parts:
    known = (
        generation.system_tokens,
        generation.questions_tokens,
        generation.answers_tokens,
        generation.summary_tokens,
        generation.tools_tokens,
    )
    return Parts(*known, max(generation.input_estimate_tokens - sum(known), 0))


def expected_rest(received_tokens: int, lengths: Sequence[int], *, most_tokens: int) -> int:
    """How much longer an answer would have become, by the ``lengths`` of whole ones before it.

    Where too few were longer than what came: about as much again, but no more than may be asked for.
    """
    longer = [length for length in lengths if length > received_tokens]
    if len(longer) >= LONGER_ANSWERS_NEEDED:
        return round(median(longer)) - received_tokens
    return min(received_tokens, most_tokens)
