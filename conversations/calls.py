"""Recording provider calls: one row a call, written in the transaction that ends it.

A record never holds text. The sums by the hour are made from the records by ``call_hours``.
"""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from billing import sql
from conversations.metering import MOST_TOKENS
from conversations.models import Generation, State
from llm.usage import Usage

if TYPE_CHECKING:
    from conversations.attempts import Claim, Outcome

# What the request itself brought about, and no service could have mended.
REQUEST_CODES = frozenset(
    {"bad_request", "budget_exceeded", "content_blocked", "context_too_long", "unknown_model"}
)
_LONGEST_MS = 2**31 - 1
_COLUMNS = (
    "generation_id", "attempt", "provider", "model", "purpose", "outcome", "code", "is_retry", "is_fallback",
    "started_at", "ended_at", "waited_ms", "first_token_ms", "duration_ms", "token_interval_ms", "answer_ms",
    "input_estimate_tokens", "input_tokens", "output_tokens",
)  # fmt: skip
_INSERT = f"INSERT INTO conversations_callrecord ({', '.join(_COLUMNS)}) VALUES ({sql.marks(len(_COLUMNS))})"


def record_call(
    *,
    generation_id: uuid.UUID,
    attempt: int,
    model: str,
    outcome: str,
    now: datetime,
    asked_at: datetime | None = None,
    purpose: str = "answer",
    code: str = "",
    is_fallback: bool = False,
    first_token_ms: int | None = None,
    duration_ms: int | None = None,
    deltas: int = 0,
    input_estimate_tokens: int = 0,
    usage: Usage | None = None,
) -> None:
    """Record the end of one call. ``asked_at`` is when the person asked; None where nobody waited for it."""
    started_at = None if duration_ms is None else now - timedelta(milliseconds=duration_ms)
    waited_ms = None if asked_at is None or started_at is None else _ms(started_at - asked_at)
    interval_ms = None
    if first_token_ms is not None and duration_ms is not None and deltas > 1:
        interval_ms = max(duration_ms - first_token_ms, 0) // (deltas - 1)
    answer_ms = _ms(now - asked_at) if asked_at is not None and outcome == State.COMPLETED else None
    sql.run(
        _INSERT,
        [
            sql.uuid_in(generation_id),
            attempt,
            model.partition(":")[0][:32],
            model,
            purpose,
            str(outcome),
            code,
            attempt > 1,
            is_fallback,
            sql.time_in(started_at),
            sql.time_in(now),
            waited_ms,
            first_token_ms,
            duration_ms,
            interval_ms,
            answer_ms,
            input_estimate_tokens,
            None if usage is None else _believed(usage.input_tokens),
            None if usage is None else _believed(usage.output_tokens),
        ],
    )


def record_attempt(claim: Claim, outcome: Outcome, now: datetime) -> None:
    """Record the attempt of a claim that has just ended or been put off."""
    record_call(
        generation_id=claim.generation_id,
        attempt=claim.attempt,
        model=claim.profile.model_id,
        outcome=outcome.state.value,
        code=outcome.error_code,
        now=now,
        asked_at=claim.created_at,
        first_token_ms=outcome.first_token_ms,
        duration_ms=outcome.duration_ms,
        is_fallback=bool(claim.asked_model),
        deltas=outcome.seq,
        input_estimate_tokens=claim.input_estimate_tokens,
        usage=outcome.usage,
    )


def record_lost(generation: Generation, state: State, now: datetime) -> None:
    """Record the attempt of a process that died: when it began and what it measured is not known."""
    record_call(
        generation_id=generation.pk,
        attempt=generation.attempts,
        model=generation.model,
        outcome=state.value,
        code="server_lost",
        now=now,
        input_estimate_tokens=generation.input_estimate_tokens,
    )


def _believed(count: int | None) -> int | None:
    return count if count is not None and 0 <= count <= MOST_TOKENS else None


def _ms(span: timedelta) -> int:
    return min(max(int(span.total_seconds() * 1000), 0), _LONGEST_MS)
