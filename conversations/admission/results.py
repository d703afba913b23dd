"""What an attempt taught about its model and key. Pure.

Only faults of the service count against it: a declined question, a request of the wrong form or a stop
by the person says that the service is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llm.errors import (
    BadCredentials,
    BadRequest,
    BreakerOpen,
    ConnectionFailed,
    ContentBlocked,
    DailyQuota,
    LLMError,
    OutOfCredit,
    ProviderError,
    ProviderOverloaded,
    RateLimited,
    SlowDown,
    Stalled,
    Truncated,
)

Kind = Literal["ok", "failed", "limited", "key", "day", "none"]

FAULTS = (ProviderError, ProviderOverloaded, ConnectionFailed, Stalled, Truncated)
SILENCES = frozenset({"first_token_timeout", "stalled"})
# Errors with which a breaker opens at once. Where it is open, calls fail with the same error.
OPENING: dict[str, type[LLMError]] = {
    error_class.code: error_class for error_class in (BadCredentials, OutOfCredit, DailyQuota)
}


@dataclass(frozen=True, slots=True)
class Result:
    """``factor`` is what a refusal multiplies the pace with; ``hint_seconds`` is 0 where there was none."""

    kind: Kind
    code: str = ""
    hint_seconds: float = 0.0
    factor: float = 0.7


def result_of(error: LLMError | None, *, cancelled: str | None, saw_event: bool) -> Result:
    """``cancelled`` says why we broke the call off, if we did; ``saw_event``: an answer had begun."""
    if cancelled is not None and cancelled in SILENCES:
        return Result("failed", cancelled)
    if error is None or cancelled is not None:
        return Result("ok" if saw_event else "none")
    hint = error.retry_after_seconds or 0.0
    match error:
        case BadCredentials() | OutOfCredit():
            return Result("key", error.code, hint)
        case DailyQuota():
            return Result("day", error.code, hint)
        case SlowDown():
            return Result("limited", error.code, hint, factor=0.5)
        case RateLimited():
            return Result("limited", error.code, hint)
        case BadRequest() | ContentBlocked():
            return Result("ok")
    return Result("failed", error.code, hint) if isinstance(error, FAULTS) else Result("none")


def error_of(code: str, wait_seconds: float) -> LLMError:
    """The error of a call that a breaker opened by ``code`` keeps back for so long."""
    return OPENING.get(code, BreakerOpen)(f"breaker opened by {code}", retry_after_seconds=wait_seconds)
