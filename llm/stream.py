"""What comes back from a model: a closed union of events.

A good stream is any number of TextDelta, ThoughtDelta, ToolCall and UsageReport,
then exactly one Finish. A stream that fails raises a class of ``llm.errors``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llm.usage import Usage

FinishReason = Literal["stop", "length", "safety", "tool_calls", "other"]


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str  # never empty


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    text: str  # never empty; not part of the answer


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A whole call, emitted once its arguments are complete."""

    id: str
    name: str
    arguments: str  # a JSON object as the model wrote it; it may be invalid


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The counts so far. Later reports replace earlier ones: ``usage.merge(newer)``.

    Only a report followed by Finish is final; before it the output count may lag.
    """

    usage: Usage


@dataclass(frozen=True, slots=True)
class Finish:
    reason: FinishReason


StreamEvent = TextDelta | ThoughtDelta | ToolCall | UsageReport | Finish
