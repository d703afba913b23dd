"""Calls beside the answers, of summaries and titles: what was held for one, how it went, who bears it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from billing.holds import release_hold
from billing.models import LedgerEntry
from conversations.attempts import Charge
from conversations.calls import record_call
from conversations.settling import settle_call
from llm.messages import ChatRequest
from llm.profiles import Profile
from llm.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCall:
    """A hold and the request that it pays for.

    ``subject_id`` is what the call is made for: the summary, or the answer that gives the title.
    """

    purpose: ClassVar[str]

    subject_id: uuid.UUID
    conversation_id: uuid.UUID
    user_id: int
    hold_id: uuid.UUID
    profile: Profile
    request: ChatRequest
    input_estimate_tokens: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How the call went. ``usage`` is what the provider reported, None when it said nothing."""

    text: str = ""
    error_code: str = ""
    is_stopped: bool = False
    usage: Usage | None = None
    charge: Charge = "user"
    first_token_ms: int | None = None
    duration_ms: int | None = None


def pay(call: SideCall, end: CallEnd, now: datetime) -> LedgerEntry | None:
    """Settle or release the hold, by who bears the call. None: nobody does."""
    if end.charge == "nobody":
        release_hold(call.hold_id, reason=end.error_code or "stopped", now=now)
        return None
    settlement = settle_call(
        call.hold_id,
        usage=end.usage,
        text=end.text,
        input_estimate_tokens=call.input_estimate_tokens,
        output_cap_tokens=call.request.max_output_tokens,
        encoding=call.profile.encoding,
        bearer=end.charge,
        now=now,
    )
    return settlement.entry


def record_attempt(call: SideCall, end: CallEnd, outcome: str, now: datetime) -> None:
    record_call(
        generation_id=call.subject_id,
        attempt=call.attempt,
        model=call.profile.model_id,
        outcome=outcome,
        now=now,
        purpose=call.purpose,
        code=end.error_code,
        first_token_ms=end.first_token_ms,
        duration_ms=end.duration_ms,
        input_estimate_tokens=call.input_estimate_tokens,
        usage=end.usage,
    )
