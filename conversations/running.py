"""A running attempt: what has come so far, and the watch over its silence."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field, replace
from typing import Literal

from django.conf import settings

from conversations.admission.gate import Admission
from conversations.attempts import Claim
from conversations.cancelling import cancel_until
from conversations.live import LiveStream
from conversations.state_log import log_claim_state
from llm.stream import Finish
from llm.tokens import count_tokens
from llm.usage import Usage

Reason = Literal[
    "stopped", "first_token_timeout", "stalled", "deadline", "over_cap", "handover", "shutdown", "lost"
]

# Our count of a foreign tokenizer's tokens may be above the provider's: leave it this much room.
CAP_SLACK_PERCENT = 125
CAP_SLACK_TOKENS = 16
CAP_CHECK_CHARACTERS = 2000
# PostgreSQL takes no NUL, and half a surrogate pair is no text at all.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(slots=True, eq=False)
class Attempt:
    """A running attempt: what has come so far, and why it was cancelled if it was."""

    claim: Claim
    stream: LiveStream
    task: asyncio.Task[None]
    started_at: float  # monotonic seconds, like all times here
    last_event_at: float
    usage: Usage | None = None
    finish: Finish | None = None
    first_token_at: float | None = None
    saw_event: bool = False
    concluding: bool = False  # its end is being written: too late to cancel
    cancelled: Reason | None = None
    deaf: bool = False  # to all cancellations: its lease is left to lapse
    admission: Admission | None = None  # None: no call was made yet
    beaten_seq: int = 0  # seq of the last text that is in the database
    _counted_characters: int = 0
    _counted_tokens: int = 0
    _characters: int = 0
    _pieces: list[str] = field(default_factory=list)

    def cancel(self, reason: Reason) -> None:
        """Stop the attempt; the first reason holds."""
        if self.concluding:
            return
        if self.cancelled is None:
            self.cancelled = reason
            cancel_until(self.task, lambda: self.concluding, on_deaf=self._give_up)
        elif reason == "stopped" and self.cancelled in ("handover", "shutdown"):
            self.cancelled = reason  # what a person has stopped is not handed over

    def _give_up(self) -> None:
        self.deaf = True

    def begin_call(self, admission: Admission) -> None:
        """The provider is called now: its time begins here."""
        self.admission = admission
        self.started_at = self.last_event_at = time.monotonic()

    def take(self, text: str) -> bool:
        """Add a delta. False when more was received than was asked for: it must be cut here."""
        if self.stream.seq >= self.claim.output_cap_tokens:  # a delta is at least a token
            return False
        if UNSTORABLE.search(text):
            text = UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
        if self.first_token_at is None and any(character.isalnum() for character in text):
            self.first_token_at = time.monotonic()
            log_claim_state("streaming", self.claim, ms=round((self.first_token_at - self.started_at) * 1000))
        self.stream.append(text)
        self._characters += len(text)
        self._pieces.append(text)
        # A token has at least one character, so a short text needs no counting.
        fits_anyway = self._characters <= self.claim.output_cap_tokens
        if fits_anyway or self._characters - self._counted_characters < CAP_CHECK_CHARACTERS:
            return True
        self._counted_tokens += count_tokens("".join(self._pieces), self.claim.profile.encoding)
        self._counted_characters = self._characters
        self._pieces.clear()
        most = self.claim.output_cap_tokens * CAP_SLACK_PERCENT // 100 + CAP_SLACK_TOKENS
        return self._counted_tokens <= most

    def final_usage(self) -> Usage | None:
        """What the provider reported. Output counts before the end lag behind, so they do not count."""
        if self.usage is None or self.finish is not None:
            return self.usage
        return replace(self.usage, output_tokens=None)


class Watchdog:
    """Cancels an attempt from which nothing is heard. Costs nothing per event: it looks at the clock."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(settings.FIRST_TOKEN_TIMEOUT_SECONDS, self._look)

    def close(self) -> None:
        self._handle.cancel()

    def _look(self) -> None:
        attempt = self._attempt
        now = time.monotonic()
        overall = attempt.started_at + settings.GENERATION_TIMEOUT_SECONDS
        if attempt.saw_event:
            silent_until, reason = attempt.last_event_at + settings.STALL_TIMEOUT_SECONDS, "stalled"
        else:
            silent_until, reason = (
                attempt.started_at + settings.FIRST_TOKEN_TIMEOUT_SECONDS,
                "first_token_timeout",
            )
        if now >= overall:
            attempt.cancel("deadline")
        elif now >= silent_until:
            attempt.cancel("stalled" if reason == "stalled" else "first_token_timeout")
        else:
            self._handle = self._loop.call_later(min(overall, silent_until) - now, self._look)
