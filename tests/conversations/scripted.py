"""Answers that a scripted provider gives, and how it is asked."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

from tests.conversations.conftest import Socket
from tests.fakes.provider_server import Reply, Send

EXHAUSTED = "RESOURCE_EXHAUSTED"
SECRET_WORDS = "internal-host-17 Traceback"


def refusal(status: int, body: Any, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply([Send(raw)], status=status, headers={"Content-Type": "application/json", **named})


def openai(status: int, message: str = SECRET_WORDS, **fields: Any) -> Reply:
    headers = {"Retry_After": fields.pop("retry_after")} if "retry_after" in fields else {}
    return refusal(status, {"error": {"message": message, **fields}}, **headers)


def gemini(status: int, name: str, message: str = SECRET_WORDS, *details: dict[str, Any]) -> Reply:
    error = {"code": status, "status": name, "message": message, "details": list(details)}
    return refusal(status, {"error": error})


def quota(quota_id: str, **fields: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.QuotaFailure"
    return {"@type": kind, "violations": [{"quotaId": quota_id, **fields}]}


def retry_info(delay: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def stream(*pieces: bytes, end: Any = None) -> Reply:
    return Reply([*(Send(piece) for piece in pieces), *([end] if end is not None else [])])


def seconds_until_retry(waiting: dict[str, Any], asked_at: datetime) -> float:
    """From the question on, for a slow machine takes its time before it tells of the rest."""
    return (datetime.fromisoformat(waiting["retry_at"]) - asked_at).total_seconds()


async def ask(socket: Socket, provider: str) -> tuple[uuid.UUID, dict[str, Any]]:
    """The turn, and the event of its wait or its end."""
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model=f"{provider}:0-5-0")
    ends = (f"generation.{end}" for end in ("completed", "stopped", "interrupted", "failed"))
    return turn_id, await socket.until("generation.waiting", *ends)
