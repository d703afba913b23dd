"""Calls at the gate in a test, and time that passes in Valkey without waiting for it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.utils import timezone

from conversations.admission.gate import BREAKER_WINDOW_MS, PREFIX, Admission, CapacityWait, Gate
from conversations.admission.pace import Call
from conversations.admission.results import Result
from tests.llm.making import make_profile

MOMENTS = {
    "requests_tat",
    "tokens_tat",
    "paced_at",
    "counted_until",
    "open_until",
    "probe_until",
    "pause_until",
    "at",
}
LIMITS = {"requests_per_minute", "tokens_per_minute", "requests_per_day"}
SLOT_MS = BREAKER_WINDOW_MS / 6

OK = Result("ok")
FAILED = Result("failed", "provider_error")


def make_call(
    kind: str = "gemini", *, input_tokens: int = 10, asked_at: datetime | None = None, **fields: Any
) -> Call:
    profile = make_profile(kind, **{key: value for key, value in fields.items() if key in LIMITS})
    provider = replace(profile.provider, api_key_env=fields.get("api_key_env", ""))
    profile = replace(profile, model_id=f"{kind}:{fields.get('name', 'scripted')}", provider=provider)
    return Call(uuid.uuid4(), profile, input_tokens, 100, asked_at or timezone.now())


def later(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


async def go(gate: Gate, call: Call) -> Admission:
    answer = await gate.admit(call)
    assert isinstance(answer, Admission), answer
    return answer


async def wait(gate: Gate, call: Call) -> CapacityWait:
    answer = await gate.admit(call)
    assert isinstance(answer, CapacityWait), answer
    return answer


def pass_time(seconds: float) -> None:
    """Shift everything that the gate keeps into the past. Whole slots of the breaker's window only."""
    ms = seconds * 1000
    with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
        for key in client.scan_iter(f"{PREFIX}:*"):
            if client.type(key) != "hash":
                continue
            fields: Any = client.hgetall(key)
            client.delete(key)
            for name, value in fields.items():
                what, _, slot = name.partition(":")
                if what in ("calls", "failures"):
                    name = f"{what}:{int(int(slot) - ms // SLOT_MS)}"
                elif name in MOMENTS:
                    value = f"{float(value) - ms:.3f}"
                elif key.endswith(":tickets"):
                    amount, expires = value.split()
                    value = f"{amount} {int(float(expires) - ms)}"
                client.hset(key, name, value)
