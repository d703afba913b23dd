"""The life of an answer: claim, call the model, pass on its words, end.

``run_generation`` is the same function wherever it runs: in the event loop of a web process (the first
attempt), in a worker (retries, recovery), in a test. Cancelling it is how an answer is stopped: that
alone closes the connection to the provider.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from conversations import attempts
from conversations.attempts import Charge, Claim, Ended, Outcome
from conversations.database import in_database
from conversations.live import LiveStream
from conversations.markdown import to_html
from conversations.models import Generation, State, WaitingReason
from conversations.retries import delay_seconds
from llm.errors import ConnectionFailed, FirstTokenTimeout, LLMError, Stalled, Truncated
from llm.registry import get_provider
from llm.stream import Finish, TextDelta, ThoughtDelta, UsageReport
from llm.tokens import count_tokens
from llm.usage import Usage

if TYPE_CHECKING:
    from conversations.runtime import Runtime

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

Reason = Literal[
    "stopped", "first_token_timeout", "stalled", "deadline", "over_cap", "handover", "shutdown", "lost"
]

# Our count of a foreign tokenizer's tokens may be above the provider's: leave it this much room.
CAP_SLACK_PERCENT = 125
CAP_SLACK_TOKENS = 16
CAP_CHECK_CHARACTERS = 2000
# PostgreSQL takes no NUL, and half a surrogate pair is no text at all.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# While the database is away an end is tried again, at most for a lease: then the sweeper has it.
INSIST_SECONDS = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0)


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
            self.task.cancel()
        elif reason == "stopped" and self.cancelled in ("handover", "shutdown"):
            self.cancelled = reason  # what a person has stopped is not handed over

    def take(self, text: str) -> bool:
        """Add a delta. False when more was received than was asked for: it must be cut here."""
        if self.stream.seq >= self.claim.output_cap_tokens:  # a delta is at least a token
            return False
        if UNSTORABLE.search(text):
            text = UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
        if self.first_token_at is None and any(character.isalnum() for character in text):
            self.first_token_at = time.monotonic()
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


class InternalError(LLMError):
    """A fault of ours while a provider was being called."""

    code = "internal_error"


async def run_generation(generation_id: uuid.UUID, runtime: Runtime, prepared: Claim | None = None) -> None:
    """One attempt for the generation, from the claim to its end or its next appointment.

    ``prepared`` saves the process that has just queued it from reading it again. Does nothing when
    another process has it. Never raises but for its own cancellation from outside.
    """
    claimed = await in_database(attempts.claim, generation_id, owner=runtime.process_id, prepared=prepared)
    if claimed is None:
        return
    if isinstance(claimed, Ended):
        await runtime.announce_end(generation_id, claimed)
        return
    attempt = runtime.begin(claimed)
    error: LLMError | None = None
    try:
        await _receive(attempt, runtime)
    except asyncio.CancelledError:
        if attempt.cancelled is None:
            attempt.cancelled = "handover"
        attempt.task.uncancel()
    except LLMError as failure:
        error = failure
    except Exception:
        logger.exception("generation %s failed", generation_id)
        error = InternalError()
    attempt.concluding = True
    try:
        await _conclude(attempt, error, runtime)
    finally:
        runtime.forget(attempt)


async def _receive(attempt: Attempt, runtime: Runtime) -> None:
    """Pass the provider's events on until its stream ends. Raises LLMError, or is cancelled."""
    provider = get_provider(attempt.claim.profile)
    watchdog = Watchdog(attempt)
    try:
        async for event in provider.stream(attempt.claim.request):
            attempt.last_event_at = time.monotonic()
            attempt.saw_event = True
            if attempt.cancelled is not None:
                continue  # the cancellation arrives where the provider next waits
            if type(event) is TextDelta:
                if not attempt.take(event.text):
                    attempt.cancel("over_cap")
                runtime.log.note(attempt.stream)
            elif type(event) is UsageReport:
                attempt.usage = event.usage if attempt.usage is None else attempt.usage.merge(event.usage)
            elif type(event) is Finish:
                attempt.finish = event
            elif type(event) is ThoughtDelta:
                continue
        if attempt.cancelled is not None:
            await asyncio.sleep(0)  # it ended before the cancellation could arrive: take it here
    finally:
        watchdog.close()
    if attempt.finish is None:
        raise Truncated("the stream ended without a finish reason")


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


async def _conclude(attempt: Attempt, error: LLMError | None, runtime: Runtime) -> None:
    """Put the attempt off, or end the generation, and tell everybody."""
    claim = attempt.claim
    if attempt.cancelled == "lost":
        return
    appointment = _next_attempt(attempt, error)
    if appointment is not None:
        reason, delay, charge = appointment
        postponed = await _insist(attempts.postpone, claim, reason=reason, delay_seconds=delay, charge=charge)
        if isinstance(postponed, Generation):
            await runtime.announce_waiting(postponed)
        elif postponed is not None:
            await runtime.announce_end(claim.generation_id, postponed)
        return
    outcome = _outcome(attempt, error)
    if outcome.text:
        # Rendering a long answer takes tens of milliseconds: not in the loop, not in a database thread.
        outcome = replace(outcome, html=await asyncio.to_thread(to_html, outcome.text))
    ended = await _insist(attempts.finish, claim, outcome)
    if ended is not None:
        await runtime.announce_end(claim.generation_id, ended)
        _log_end(attempt, ended, error)


async def _insist(verb: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a verb that is fenced by the epoch, again while the database is out of reach."""
    for pause in INSIST_SECONDS:
        try:
            return await in_database(verb, *args, **kwargs)
        except (InterfaceError, OperationalError):
            logger.warning("the database is out of reach at the end of an attempt; trying again")
            await asyncio.sleep(pause)
    return await in_database(verb, *args, **kwargs)


def _next_attempt(attempt: Attempt, error: LLMError | None) -> tuple[WaitingReason, float, Charge] | None:
    """When and why the generation is tried again, and who bears this attempt; None when it ends here."""
    if attempt.stream.seq:
        return None  # after the first visible word nothing is repeated by itself
    if attempt.cancelled == "handover":
        return WaitingReason.RECOVERY, 0.0, "house"
    if error is None:
        return None
    delay = delay_seconds(
        error,
        attempt=attempt.claim.attempt,
        waited_seconds=(timezone.now() - attempt.claim.created_at).total_seconds(),
        max_retries=settings.MAX_RETRIES,
        patience_seconds=settings.RETRY_PATIENCE_SECONDS,
        rng=random.Random(),  # noqa: S311 - jitter, not a secret
    )
    if delay is None:
        return None
    reason = WaitingReason.RATE_LIMIT if error.code == "rate_limited" else WaitingReason.RETRY
    return reason, delay, _bearer_of_failure(attempt, error)


def _bearer_of_failure(attempt: Attempt, error: LLMError | None) -> Charge:
    """A refused call costs nothing; one that had begun may have cost something, and the house bears it."""
    if error is None or attempt.saw_event:
        return "house"
    if isinstance(error, (FirstTokenTimeout, Stalled, Truncated)):
        return "house"
    if isinstance(error, ConnectionFailed) and error.status is None:
        return "nobody"
    return "nobody"


def _outcome(attempt: Attempt, error: LLMError | None) -> Outcome:
    text = attempt.stream.text()
    now = time.monotonic()
    base = Outcome(
        State.COMPLETED,
        text=text,
        seq=attempt.stream.seq,
        usage=attempt.final_usage(),
        first_token_ms=_ms(attempt.started_at, attempt.first_token_at),
        duration_ms=_ms(attempt.started_at, now),
    )
    match attempt.cancelled:
        case "stopped":
            return replace(base, state=State.STOPPED, finish_reason="stopped")
        case "over_cap":
            return replace(base, finish_reason="length")
        case "first_token_timeout":
            return replace(base, state=State.FAILED, error_code="first_token_timeout", charge="house")
        case "stalled" | "deadline" as code:
            state = State.INTERRUPTED if text else State.FAILED
            return replace(base, state=state, error_code=code, charge="house")
        case "handover" | "shutdown":
            return replace(base, state=State.INTERRUPTED, error_code="server_stopped", charge="house")
    if error is not None:
        state = State.INTERRUPTED if text else State.FAILED
        return replace(base, state=state, error_code=error.code, charge=_bearer_of_failure(attempt, error))
    assert attempt.finish is not None
    reason = attempt.finish.reason
    if reason == "safety":
        state = State.INTERRUPTED if text else State.FAILED
        return replace(base, state=state, finish_reason=reason, error_code="content_blocked", charge="house")
    if not text:
        return replace(
            base, state=State.FAILED, finish_reason=reason, error_code="empty_answer", charge="house"
        )
    return replace(base, finish_reason=reason)


def _ms(start: float, end: float | None) -> int | None:
    return None if end is None else max(round((end - start) * 1000), 0)


def _log_end(attempt: Attempt, ended: Ended, error: LLMError | None) -> None:
    if error is not None and error.provider_detail:
        logger.warning(
            "provider error generation=%s code=%s detail=%r",
            attempt.claim.generation_id,
            error.code,
            error.provider_detail[:500],
        )
    logger.info(
        "generation ended id=%s model=%s attempt=%d state=%s code=%s ms=%s",
        attempt.claim.generation_id,
        attempt.claim.profile.model_id,
        attempt.claim.attempt,
        ended.event["type"].removeprefix("generation."),
        ended.event.get("error", {}).get("code", ""),
        ended.event["receipt"].get("duration_ms"),
    )
