"""What became of one turn, as its client saw it: times, and whether every token came once and in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.script import StampReader

# (received in microseconds, event)
Received = Sequence[tuple[int, dict[str, Any]]]


@dataclass(slots=True)
class Outcome:
    """One turn. ``tokens`` holds (received, added) pairs in microseconds; ``added`` is received less sent."""

    stream: int
    asked_us: int
    end: str = "none"  # the type of the event that ended the turn, or "none"
    detail: str = ""
    stop_sent_us: int | None = None
    ended_us: int | None = None
    first_added_us: int | None = None  # asked to first token, less the upstream's own time
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    foreign: int = 0  # tokens of another stream
    seq_faults: int = 0  # delta numbers that did not follow the one before
    text_differs: bool = False  # the final text is not what the deltas gave
    frames: int = 0
    tokens: list[tuple[int, int]] = field(default_factory=list)


def judge(
    stream: int, expected_tokens: int, asked_us: int, stop_sent_us: int | None, events: Received
) -> Outcome:
    """Read one turn's events, in the order of their arrival."""
    outcome = Outcome(stream, asked_us, stop_sent_us=stop_sent_us)
    texts: list[str] = []
    seq = 0
    reader = StampReader()
    numbers: list[int] = []
    sent_us = 0
    for received_us, event in events:
        kind = event["type"]
        if kind == "delta":
            outcome.frames += 1
            outcome.seq_faults += event["seq"] != seq + 1
            seq = event["seq"]
            texts.append(event["text"])
            for stamp in reader.feed(event["text"]):
                if stamp.stream != stream:
                    outcome.foreign += 1
                    continue
                if stamp.sent_us is not None:
                    sent_us = stamp.sent_us
                if stamp.arrived_us is not None:
                    outcome.first_added_us = (received_us - asked_us) - (sent_us - stamp.arrived_us)
                numbers.append(stamp.number)
                outcome.tokens.append((received_us, received_us - sent_us))
        elif kind == "generation.started":
            seq = 0
            texts.clear()
        elif kind in ENDS:
            outcome.end, outcome.ended_us = kind, received_us
            outcome.detail = _detail(event)
            if "text" in event and event["text"] is not None:
                outcome.text_differs = event["text"] != "".join(texts)
            if "seq" in event and event["seq"] != seq:
                outcome.seq_faults += 1
    _count(outcome, numbers, expected_tokens)
    return outcome


ENDS = frozenset(
    {
        "generation.completed",
        "generation.stopped",
        "generation.interrupted",
        "generation.failed",
        "turn.refused",
        "error",
        "closed",
        "timeout",
    }
)


def _detail(event: dict[str, Any]) -> str:
    if event["type"] == "generation.completed":
        return ""
    error = event.get("error") or event
    return f"{error.get('code', '')} {error.get('detail', '')}".strip()


def _count(outcome: Outcome, numbers: list[int], expected_tokens: int) -> None:
    """A stopped turn may miss its tail; nothing else may be missing."""
    seen: set[int] = set()
    highest = 0
    for number in numbers:
        if number in seen:
            outcome.doubled += 1
        elif number < highest:
            outcome.disordered += 1
        seen.add(number)
        highest = max(highest, number)
    expected = highest if outcome.stop_sent_us is not None else expected_tokens
    outcome.lost = expected - len(seen & set(range(1, expected + 1)))
