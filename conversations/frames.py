"""Frames: what a client may send over the WebSocket, validated.

``parse_frame`` turns one text frame into one of the frame classes or raises ``BadFrame``.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class BadFrame(Exception):
    """The frame cannot be understood; the socket stays open. Carries ``code`` and ``detail``."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Frame(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class TurnCreate(Frame):
    type: Literal["turn.create"]
    turn_id: uuid.UUID
    text: str
    model: str = ""
    temperature: float | None = None
    max_output_tokens: int | None = None
    history: bool = True
    confirm: bool = False


class TurnStop(Frame):
    type: Literal["turn.stop"]
    turn_id: uuid.UUID


class TurnSwitch(Frame):
    """Give a waiting answer to another model now."""

    type: Literal["turn.switch"]
    turn_id: uuid.UUID
    model: str = Field(min_length=1)
    confirm: bool = False


class TurnSchedule(Frame):
    """Send a waiting answer when the provider takes it."""

    type: Literal["turn.schedule"]
    turn_id: uuid.UUID


class TurnRetry(Frame):
    type: Literal["turn.retry"]
    turn_id: uuid.UUID
    generation_id: uuid.UUID
    max_output_tokens: int | None = None
    history: bool = True
    confirm: bool = False


class TurnContinue(Frame):
    type: Literal["turn.continue"]
    turn_id: uuid.UUID
    generation_id: uuid.UUID
    max_output_tokens: int | None = None
    history: bool = True
    confirm: bool = False


class TurnRegenerate(Frame):
    type: Literal["turn.regenerate"]
    turn_id: uuid.UUID
    generation_id: uuid.UUID
    model: str = ""
    temperature: float | None = None
    max_output_tokens: int | None = None
    history: bool = True
    confirm: bool = False


class TurnEdit(Frame):
    type: Literal["turn.edit"]
    turn_id: uuid.UUID
    new_turn_id: uuid.UUID
    text: str
    model: str = ""
    temperature: float | None = None
    max_output_tokens: int | None = None
    history: bool = True
    confirm: bool = False


class StreamResume(Frame):
    type: Literal["stream.resume"]
    generation_id: uuid.UUID
    after_seq: int = Field(ge=0)
    epoch: int | None = Field(default=None, ge=0)  # of what the client has; None: not known


class Ping(Frame):
    type: Literal["ping"]


AnyFrame = (
    TurnCreate
    | TurnStop
    | TurnSwitch
    | TurnSchedule
    | TurnRetry
    | TurnContinue
    | TurnRegenerate
    | TurnEdit
    | StreamResume
    | Ping
)
StartFrame = TurnCreate | TurnRetry | TurnContinue | TurnRegenerate | TurnEdit
FRAMES: TypeAdapter[AnyFrame] = TypeAdapter(Annotated[AnyFrame, Field(discriminator="type")])
FRAME_TYPES = (
    "turn.create",
    "turn.stop",
    "turn.switch",
    "turn.schedule",
    "turn.retry",
    "turn.continue",
    "turn.regenerate",
    "turn.edit",
    "stream.resume",
    "ping",
)


def parse_frame(data: str) -> AnyFrame:
    try:
        value: Any = orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise BadFrame("bad_json", "This frame is not JSON.") from error
    if not isinstance(value, dict):
        raise BadFrame("bad_frame", "A frame is a JSON object with a type.")
    if value.get("type") not in FRAME_TYPES:
        raise BadFrame("unknown_type", f"The type of a frame is one of {', '.join(FRAME_TYPES)}.")
    try:
        return FRAMES.validate_python(value)
    except ValidationError as error:
        raise BadFrame("bad_frame", _first_fault(error)) from error


def _first_fault(error: ValidationError) -> str:
    """The first fault in one sentence, without the value that was sent."""
    fault = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in fault["loc"][1:]) or "frame"
    return f"{field}: {fault['msg']}."
