"""What follows from how an attempt went: another one later, or an end. Pure but for the clock.

Where an end without a word could be spared by another model, an earlier answer or a longer wait is
decided by ``fallbacks``, which asks the database.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace

from django.conf import settings
from django.utils import timezone

from conversations.admission.pace import provider_day
from conversations.attempts import Charge, Claim, Outcome
from conversations.models import Remedy, State, WaitingReason
from conversations.retries import delay_seconds
from conversations.running import Attempt
from llm.errors import (
    BreakerOpen,
    ContextTooLong,
    DailyQuota,
    FirstTokenTimeout,
    LLMError,
    ProviderTimedOut,
    RateLimited,
    Stalled,
    Truncated,
)

# A shorter hint on a day's quota speaks of the minute's limit beside it.
SHORTEST_QUOTA_HINT_SECONDS = 300.0


class InternalError(LLMError):
    """A fault of ours while a provider was being called."""

    code = "internal_error"


@dataclass(frozen=True, slots=True)
class Postpone:
    """Another attempt after the delay. ``charge`` says who bears this one."""

    reason: WaitingReason
    delay_seconds: float
    charge: Charge
    code: str  # how this attempt ended
    remedy: Remedy | None = None  # what is changed for the next one
    paced_seconds: float = 0.0  # of the delay: ours, not the provider's

    def not_before(self, seconds: float) -> Postpone:
        """The same, but not within so many seconds. What that adds does not use up the patience."""
        added = max(seconds - self.delay_seconds, 0.0)
        return replace(self, delay_seconds=self.delay_seconds + added, paced_seconds=added)


def judge(attempt: Attempt, error: LLMError | None) -> Postpone | Outcome:
    """When and how the generation is tried again, or how it ends."""
    if attempt.stream.seq:
        return outcome_of(attempt, error)  # after the first visible word nothing is repeated by itself
    if attempt.cancelled == "handover":
        charge: Charge = "nobody" if attempt.admission is None else "house"
        return Postpone(WaitingReason.RECOVERY, 0.0, charge, "server_stopped")
    if attempt.cancelled is not None:
        return outcome_of(attempt, error)
    return _remedy(attempt, error) or _retry(attempt, error) or outcome_of(attempt, error)


def _remedy(attempt: Attempt, error: LLMError | None) -> Postpone | None:
    """Once per answer: another attempt with something changed that was the cause."""
    claim = attempt.claim
    if claim.remedy:
        return None
    charge = _bearer_of_failure(attempt, error)
    if isinstance(error, ContextTooLong) and _has_history(claim):
        return Postpone(WaitingReason.RETRY, 0.0, charge, error.code, Remedy.TRIMMED)
    if isinstance(error, ProviderTimedOut):
        remedy = Remedy.TRIMMED if _has_history(claim) else Remedy.REPEATED
        return Postpone(WaitingReason.RETRY, 0.0, charge, error.code, remedy)
    if error is None and _is_cut_empty(attempt) and claim.profile.thinking:
        return Postpone(WaitingReason.RETRY, 0.0, charge, "cut_empty", Remedy.THINK_LESS)
    return None


def _retry(attempt: Attempt, error: LLMError | None) -> Postpone | None:
    if error is None or isinstance(error, ProviderTimedOut):
        return None
    if isinstance(error, BreakerOpen) and settings.FALLBACKS != ["none"]:
        return None  # it is known to be down: there are better ways than to wait for it here
    claim = attempt.claim
    charge = _bearer_of_failure(attempt, error)
    waited_seconds = (timezone.now() - claim.patient_since).total_seconds() - claim.paced_seconds
    delay = delay_seconds(
        error,
        attempt=claim.attempt_in_round,
        waited_seconds=waited_seconds,
        max_retries=settings.MAX_RETRIES,
        patience_seconds=settings.RETRY_PATIENCE_SECONDS,
        rng=random.Random(),  # noqa: S311 - jitter, not a secret
    )
    if delay is not None:
        limited = isinstance(error, RateLimited)
        reason = WaitingReason.RATE_LIMIT if limited else WaitingReason.RETRY
        return Postpone(reason, delay, charge, error.code)
    wait = _long_wait_seconds(error, claim)
    if wait is None:
        return None
    if waited_seconds + wait > settings.RETRY_PATIENCE_SECONDS:
        return Postpone(WaitingReason.CHOICE, wait, charge, error.code)
    if isinstance(error, DailyQuota):  # the last minute of the provider's day
        return Postpone(WaitingReason.RATE_LIMIT, wait + random.uniform(0.5, 1.5), charge, error.code)  # noqa: S311
    return None


def _long_wait_seconds(error: LLMError, claim: Claim) -> float | None:
    """How long the provider asks to wait, where it named a time that a person may want to wait for."""
    hint = error.retry_after_seconds
    if isinstance(error, RateLimited):
        return hint
    if not isinstance(error, DailyQuota):
        return None
    # Without a status no provider was asked: the hint is that of our own breaker.
    if hint is not None and error.status is not None and hint >= SHORTEST_QUOTA_HINT_SECONDS:
        return hint
    _, left_seconds = provider_day(claim.profile, timezone.now())
    return left_seconds


def _has_history(claim: Claim) -> bool:
    """Whether earlier messages were sent that could be left out."""
    return sum(message.role == "user" for message in claim.request.messages) > 1


def _is_cut_empty(attempt: Attempt) -> bool:
    return attempt.finish is not None and attempt.finish.reason == "length" and not attempt.stream.seq


def _bearer_of_failure(attempt: Attempt, error: LLMError | None) -> Charge:
    """A refused call costs nothing; one that had begun may have cost something, and the house bears it."""
    if error is None or attempt.saw_event:
        return "house"
    if isinstance(error, (FirstTokenTimeout, Stalled, Truncated)):
        return "house"
    return "nobody"


def outcome_of(attempt: Attempt, error: LLMError | None) -> Outcome:
    """The end that the attempt brings."""
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
        empty = "cut_empty" if reason == "length" else "empty_answer"
        return replace(base, state=State.FAILED, finish_reason=reason, error_code=empty, charge="house")
    return replace(base, finish_reason=reason)


def _ms(start: float, end: float | None) -> int | None:
    return None if end is None else max(round((end - start) * 1000), 0)
