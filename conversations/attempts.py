"""What an attempt is: a claim on a generation, its heartbeat, and how it came out. Data only.

The verbs are in ``claims`` (take it, keep it), ``waits`` (put it off) and ``endings`` (end it). They are
synchronous, one transaction each, and fenced: they change nothing once another process has claimed the
generation (its epoch moved on) or it has reached an end.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from billing.budgets import Meter
from conversations.events import Event
from conversations.models import State, TurnKind
from conversations.parts import Parts
from llm.messages import ChatRequest
from llm.profiles import Profile
from llm.usage import Usage

Charge = Literal["user", "house", "nobody"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt: a claimed generation, its dispatched hold and the request to send."""

    generation_id: uuid.UUID
    conversation_id: uuid.UUID
    turn_id: uuid.UUID
    user_id: int
    epoch: int
    attempt: int
    hold_id: uuid.UUID
    profile: Profile
    request: ChatRequest
    input_estimate_tokens: int
    output_cap_tokens: int
    continues_id: uuid.UUID | None
    created_at: datetime
    patient_since: datetime  # retries end when patience since then is used up
    paced_seconds: float = 0.0  # of the time since then: waits of our own making
    parts: Parts = field(default_factory=Parts)  # what the estimated input consists of
    kind: TurnKind = TurnKind.OTHER  # what the question says; code in the answer changes it
    attempt_in_round: int = 1  # since then
    remedy: str = ""
    asked_model: str = ""
    switch_reason: str = ""
    notes: list[dict[str, Any]] = field(default_factory=list)  # see conversations.notes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. ``usage`` is what the provider reported, None when it said nothing."""

    state: State
    text: str = ""
    seq: int = 0
    html: str = ""
    finish_reason: str = ""
    error_code: str = ""
    usage: Usage | None = None
    charge: Charge = "user"
    first_token_ms: int | None = None
    duration_ms: int | None = None


# The person no longer waits for it, and nothing was sent for it.
STOPPED = Outcome(State.STOPPED, finish_reason="stopped", charge="nobody")


@dataclass(frozen=True, slots=True)
class Ended:
    """What to announce after an end: the terminal event and the budgets as they stand now."""

    event: Event
    meters: Sequence[Meter]
    user_id: int
    conversation_id: uuid.UUID
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Beat:
    """What a running attempt tells the database once a second."""

    generation_id: uuid.UUID
    epoch: int
    hold_id: uuid.UUID
    text: str
    seq: int
    output_tokens: int
