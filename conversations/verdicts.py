"""What follows from how an attempt went: another one later, or an end. Pure but for the clock."""

from __future__ import annotations

import random
import time
from dataclasses import replace

from django.conf import settings
from django.utils import timezone

from conversations.attempts import Charge, Outcome
from conversations.models import State, WaitingReason
from conversations.retries import delay_seconds
from conversations.running import Attempt
from llm.errors import ConnectionFailed, FirstTokenTimeout, LLMError, Stalled, Truncated


class InternalError(LLMError):
    """A fault of ours while a provider was being called."""

    code = "internal_error"


def next_attempt(attempt: Attempt, error: LLMError | None) -> tuple[WaitingReason, float, Charge] | None:
    """When and why the generation is tried again, and who bears this attempt; None when it ends here."""
    if attempt.stream.seq:
        return None  # after the first visible word nothing is repeated by itself
    if attempt.cancelled == "handover":
        return WaitingReason.RECOVERY, 0.0, "nobody" if attempt.admission is None else "house"
    if error is None:
        return None
    delay = delay_seconds(
        error,
        attempt=attempt.claim.attempt,
        waited_seconds=(timezone.now() - attempt.claim.created_at).total_seconds()
        - attempt.claim.paced_seconds,
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


def outcome_of(attempt: Attempt, error: LLMError | None) -> Outcome:
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
            charge: Charge = "nobody" if attempt.admission is None else "user"
            return replace(base, state=State.STOPPED, finish_reason="stopped", charge=charge)
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
