"""The JSON Schema of what goes over the WebSocket: frames to the server, events from it.

Events may gain members: a client that reads them must leave alone what it does not know.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from conversations.frames import FRAMES

Usd = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$")]


class Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class Estimate(Part):
    input_tokens: int
    max_output_tokens: int
    cost_usd: Usd | None


class Option(Part):
    """Something that would help."""

    action: str
    label: str


class Receipt(Part):
    """What an answer used. Cached is within input, thinking within output."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    thinking_tokens: int
    total_tokens: int
    cost_usd: Usd | None
    estimated: bool
    charged: bool
    first_token_ms: int | None
    duration_ms: int | None
    attempts: int | None = None
    temperature: float | None = None
    model: str
    model_label: str


class AnswerError(Part):
    code: str
    detail: str
    options: list[Option]


class TurnAccepted(Part):
    type: Literal["turn.accepted"]
    turn_id: uuid.UUID
    generation_id: uuid.UUID
    estimate: Estimate


class TurnRefused(Part):
    type: Literal["turn.refused"]
    turn_id: uuid.UUID
    code: str
    detail: str
    options: list[Option]
    resets_at: datetime | None = None
    estimate: Estimate | None = None


class GenerationWaiting(Part):
    type: Literal["generation.waiting"]
    generation_id: uuid.UUID
    reason: str
    wait_seconds: float
    retry_at: datetime | None
    attempt: int
    max_attempts: int


class GenerationStarted(Part):
    type: Literal["generation.started"]
    generation_id: uuid.UUID
    turn_id: uuid.UUID
    model: str
    epoch: int
    continues: uuid.UUID | None = None


class Delta(Part):
    """``seq`` counts 1, 2, 3 … without gaps within an epoch."""

    type: Literal["delta"]
    generation_id: uuid.UUID
    seq: int
    text: str


class GenerationEnded(Part):
    """The last event of an answer. It carries the whole text."""

    type: Literal["generation.completed", "generation.stopped", "generation.interrupted", "generation.failed"]
    generation_id: uuid.UUID
    turn_id: uuid.UUID
    seq: int
    text: str
    html: str
    receipt: Receipt
    error: AnswerError | None = None


class BudgetChanged(Part):
    """``used``, ``held`` and ``limit`` are tokens, or US dollars as decimal strings."""

    type: Literal["budget.changed"]
    scope: str
    unit: Literal["tokens", "usd"]
    period: str
    used: int | Usd
    held: int | Usd
    limit: int | Usd | None
    percent: float
    level: Literal["ok", "75", "90", "100"]
    resets_at: datetime | None


class ConversationUpdated(Part):
    type: Literal["conversation.updated"]
    conversation_id: uuid.UUID
    change: str


class Problem(Part):
    type: Literal["error"]
    code: str
    detail: str


class Pong(Part):
    type: Literal["pong"]


AnyEvent = (
    TurnAccepted
    | TurnRefused
    | GenerationWaiting
    | GenerationStarted
    | Delta
    | GenerationEnded
    | BudgetChanged
    | ConversationUpdated
    | Problem
    | Pong
)
EVENTS: TypeAdapter[AnyEvent] = TypeAdapter(Annotated[AnyEvent, Field(discriminator="type")])


def message_schemas() -> dict[str, Any]:
    """``{"frames": schema, "events": schema}``, each of one message."""
    return {"frames": FRAMES.json_schema(), "events": EVENTS.json_schema()}
