"""The grammar of the demo model's names.

    name   = ( "friendly" | T "-" N "-" I ) { "!" fault }
    fault  = word [ "x" times ] [ "@" number ]

``T-N-I``: N tokens, the first after T ms, then one every I ms. ``x`` times: only the
first so many attempts fail. ``@`` is the hint in seconds for a status, and a number of
tokens for the others:

    !429x2@3    two rate limits with a hint of 3 s, then success (also 400, 401, 403,
                404, 408, 500, 502, 503, 504, 529)
    !daily      the day's quota is used up       !credit   nobody paid
    !stall      nothing ever comes               !stall@50 nothing after 50 tokens
    !die@50     connection lost after 50 tokens  !end@50   ends there without a reason
    !cut        stopped by the length limit      !cut@50   after 50 tokens
    !block      the question is declined         !block@50 the answer is, after 50 tokens
    !think      thoughts first: a quarter of the tokens, or @30 of them
    !cached     half of the input was cached, or @80 percent of it
    !nousage    no usage is reported
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

STATUSES = frozenset({400, 401, 403, 404, 408, 429, 500, 502, 503, 504, 529})
WORDS = frozenset({"daily", "credit", "stall", "die", "end", "cut", "block", "think", "cached", "nousage"})

# What the picker shows; every other name can be typed.
DEMO_OFFERED = {"friendly": "Demo", "500-200-20": "Demo, 200 tokens at 50 a second"}

MAX_NUMBER = 1_000_000

_NAME = re.compile(
    r"(?:friendly|(\d{1,7})-(\d{1,7})-(\d{1,7}))((?:![a-z0-9]+(?:@\d+(?:\.\d+)?)?(?:x\d+)?)*)", re.ASCII
)
_FAULT = re.compile(r"(\d{3}|[a-z]+?)(?:x(\d{1,3}))?(?:@(\d{1,6}(?:\.\d{1,3})?))?(?:x(\d{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fault:
    word: str
    times: int | None = None  # None: on every attempt
    number: float | None = None

    def applies(self, attempt: int) -> bool:
        return self.times is None or attempt <= self.times


@dataclass(frozen=True, slots=True)
class DemoName:
    """A parsed name; ``tokens`` is None for the friendly script."""

    first_ms: int
    tokens: int | None
    interval_ms: int
    faults: tuple[Fault, ...] = ()

    def fault(self, word: str, attempt: int) -> Fault | None:
        for fault in self.faults:
            if fault.word == word and fault.applies(attempt):
                return fault
        return None

    def status(self, attempt: int) -> Fault | None:
        """The HTTP error that this attempt meets, if any."""
        for fault in self.faults:
            if fault.word.isdigit() and fault.applies(attempt):
                return fault
        return None


@lru_cache(maxsize=256)
def parse_demo_name(name: str) -> DemoName | None:
    """The parsed name, or None if it is not one."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    first_ms, tokens, interval_ms, suffixes = match.groups()
    faults = []
    for text in suffixes.split("!")[1:]:
        fault = _parse_fault(text)
        if fault is None:
            return None
        faults.append(fault)
    if tokens is None:
        return DemoName(first_ms=300, tokens=None, interval_ms=20, faults=tuple(faults))
    if max(int(first_ms), int(tokens), int(interval_ms)) > MAX_NUMBER:
        return None
    return DemoName(int(first_ms), int(tokens), int(interval_ms), tuple(faults))


def _parse_fault(text: str) -> Fault | None:
    match = _FAULT.fullmatch(text)
    if match is None:
        return None
    word, times, number, times_last = match.groups()
    if times and times_last:
        return None
    if word not in WORDS and not (word.isdigit() and int(word) in STATUSES):
        return None
    count = times or times_last
    return Fault(word, int(count) if count else None, float(number) if number else None)
