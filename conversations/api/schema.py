"""What the views tell about themselves to the OpenAPI schema."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from conversations.api.message_serializers import MessageSerializer
from conversations.api.problem_serializers import ProblemSerializer
from conversations.api.problems import CONTENT_TYPE, PROBLEMS

Responses = dict[Any, Any]

EVENTS_DESCRIPTION = (
    "Server-sent events, the same as on the WebSocket: `turn.accepted`, `generation.waiting`, "
    "`generation.started`, `delta` (with its `seq` as event id) and one of `generation.completed`, "
    "`generation.stopped`, `generation.interrupted`, `generation.failed`. A comment comes every 15 s."
)


def problems(*codes: str) -> Responses:
    """Error responses by status, each naming its codes; those of authentication are always among them."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in ("not_authenticated", "invalid_key", *codes):
        by_status[PROBLEMS[code][0]].append(code)
    return {
        (status, CONTENT_TYPE): OpenApiResponse(
            ProblemSerializer, description="`code` is " + " or ".join(f"`{code}`" for code in found)
        )
        for status, found in sorted(by_status.items())
    }


WRITE = ("malformed", "csrf_failed", "body_too_large", "unsupported_media_type", "invalid")
START = (
    "unknown_model",
    "invalid_temperature",
    "invalid_max_output_tokens",
    "context_too_long",
    "content_blocked",
    "confirm_required",
    "conversation_busy",
    "id_conflict",
    "budget_exceeded",
    "price_unknown",
    "internal_error",
    "model_unavailable",
    "choice_required",
    "unavailable",
    "deadline",
)
MESSAGE = ("message_empty", "message_invalid", "message_too_long")


def answer_responses(*codes: str) -> Responses:
    return {
        (200, "application/json"): OpenApiResponse(MessageSerializer, description="The answer at its end."),
        (200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, description=EVENTS_DESCRIPTION),
        **problems("not_found", *WRITE, *START, *codes),
    }


LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    int,
    OpenApiParameter.HEADER,
    description="With a repeated id and events: only deltas after this seq.",
)
