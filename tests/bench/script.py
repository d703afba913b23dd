"""What the scripted upstream plays, and the stamps by which its tokens are recognised.

A :class:`Script` travels inside the question, so one upstream serves every shape of stream. Each token
of the answer says which stream it is of, its number, and when it left; the first also says when the
request arrived. Times are ``time.monotonic_ns() // 1000``: on Linux that clock is one for all processes.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

_SCRIPT = re.compile(r"\[bench stream=(\d+) tokens=(\d+) interval_us=(\d+) first_us=(\d+) group=(\d+)\]")
_STAMP = re.compile(r"(\d+)\.(\d+)(?::(\d+))?(?:/(\d+))? ")


def now_us() -> int:
    return time.monotonic_ns() // 1000


@dataclass(frozen=True, slots=True)
class Script:
    """One stream: ``tokens`` in chunks of ``group``, each ``interval_us``, the first after ``first_us``."""

    stream: int
    tokens: int = 200
    interval_us: int = 20_000
    first_us: int = 50_000
    group: int = 1

    @property
    def duration_seconds(self) -> float:
        chunks = -(-self.tokens // self.group)
        return (self.first_us + self.interval_us * (chunks - 1)) / 1e6

    def question(self) -> str:
        return (
            f"Please count for me. [bench stream={self.stream} tokens={self.tokens}"
            f" interval_us={self.interval_us} first_us={self.first_us} group={self.group}]"
        )

    @classmethod
    def find(cls, text: str) -> Script | None:
        """The last script in ``text``: earlier ones belong to earlier turns of the conversation."""
        found = _SCRIPT.findall(text)
        return cls(*map(int, found[-1])) if found else None

    def chunk(self, first: int, count: int, sent_us: int, arrived_us: int) -> str:
        """The text of the tokens ``first`` .. ``first + count - 1``, stamped as sent now."""
        arrived = f"/{arrived_us}" if first == 1 else ""
        text = f"{self.stream}.{first}:{sent_us}{arrived} "
        if count > 1:
            text += "".join(f"{self.stream}.{n} " for n in range(first + 1, first + count))
        return text


@dataclass(frozen=True, slots=True)
class Stamp:
    stream: int
    number: int
    sent_us: int | None  # None: sent with the token before it
    arrived_us: int | None  # on the first token only


@dataclass(slots=True)
class StampReader:
    """Finds the stamps in deltas that may join or split tokens."""

    rest: str = ""

    def feed(self, text: str) -> list[Stamp]:
        text = self.rest + text
        cut = text.rfind(" ") + 1
        self.rest = text[cut:]
        return [
            Stamp(int(s), int(n), int(sent) if sent else None, int(arrived) if arrived else None)
            for s, n, sent, arrived in _STAMP.findall(text[:cut])
        ]
