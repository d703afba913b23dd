"""Hints and usage in odd forms and orders, over real HTTP and through the whole engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.conversations.conftest import Socket
from tests.conversations.scripted import (
    EXHAUSTED,
    ask,
    gemini,
    openai,
    quota,
    retry_info,
    seconds_until_retry,
    stream,
)
from tests.fakes.provider_server import ProviderServer
from tests.fakes.wire import GeminiDialect, OpenAIDialect, data

pytestmark = pytest.mark.django_db(transaction=True)

HINTS = [
    ("12", 12),
    ("0.5", 0.5),
    ("-5", None),
    ("0", None),
    ("soon", None),
    ("", None),
    ("nan", None),
    (format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True), None),
]


@pytest.mark.parametrize(("value", "seconds"), HINTS)
async def test_it_takes_any_retry_after(
    value: str, seconds: float | None, scripted_server: ProviderServer, scripted_socket: Socket
) -> None:
    scripted_server.script(openai(429, code="rate_limit_exceeded", retry_after=value))
    asked_at = datetime.now(UTC)
    turn_id, waiting = await ask(scripted_socket, "openai")
    # What is told is rounded to a tenth.
    shortest, longest = (0.4, 1.0) if seconds is None else (seconds, seconds * 1.2 + 1.1)
    assert shortest <= seconds_until_retry(waiting, asked_at)
    assert waiting["wait_seconds"] <= longest
    await scripted_socket.send("turn.stop", turn_id=turn_id)
    await scripted_socket.until_end()


DELAYS: list[tuple[Any, float | None]] = [
    ("7s", 7),
    ("1.5s", 1.5),
    (7, 7),
    ({"seconds": 7, "nanos": 500_000_000}, 7.5),
    ("0s", None),
    ("-3s", None),
    ("7 sheep", None),
    (["7s"], None),
]


@pytest.mark.parametrize(("value", "seconds"), DELAYS, ids=[repr(value) for value, _ in DELAYS])
async def test_it_takes_any_retry_info(
    value: Any, seconds: float | None, scripted_server: ProviderServer, scripted_socket: Socket
) -> None:
    scripted_server.script(
        gemini(429, EXHAUSTED, "quota", quota("RequestsPerMinutePerProject"), retry_info(value))
    )
    asked_at = datetime.now(UTC)
    turn_id, waiting = await ask(scripted_socket, "gemini")
    shortest, longest = (0.4, 1.0) if seconds is None else (seconds, seconds * 1.2 + 1.1)
    assert shortest <= seconds_until_retry(waiting, asked_at)
    assert waiting["wait_seconds"] <= longest
    await scripted_socket.send("turn.stop", turn_id=turn_id)
    await scripted_socket.until_end()


async def test_it_takes_a_retry_after_that_is_a_date(
    scripted_server: ProviderServer, scripted_socket: Socket
) -> None:
    asked_at = datetime.now(UTC)
    date = format_datetime(asked_at + timedelta(seconds=30), usegmt=True)
    scripted_server.script(openai(503, code="server_is_overloaded", retry_after=date))
    turn_id, waiting = await ask(scripted_socket, "openai")
    assert seconds_until_retry(waiting, asked_at) >= 29  # such a date has whole seconds
    assert waiting["wait_seconds"] <= 37
    await scripted_socket.send("turn.stop", turn_id=turn_id)
    await scripted_socket.until_end()


@pytest.mark.parametrize("value", ["999999999999", "1e300", "inf"])
async def test_an_absurd_hint_is_not_waited_for(
    value: str, scripted_server: ProviderServer, scripted_socket: Socket
) -> None:
    scripted_server.script(openai(429, code="rate_limit_exceeded", retry_after=value))
    turn_id, waiting = await ask(scripted_socket, "openai")
    # The person decides: another model, later, or not at all. No longer than a day is believed.
    assert (waiting["reason"], waiting["wait_seconds"] <= 86_400) == ("choice", True)
    await scripted_socket.send("turn.stop", turn_id=turn_id)
    await scripted_socket.until_end()


OPENAI_USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
USAGES: dict[str, list[Any]] = {
    "first": [OPENAI_USAGE, "text", "end"],
    "between": ["text", OPENAI_USAGE, "end"],
    "twice": [{"prompt_tokens": 5, "completion_tokens": 1}, "text", OPENAI_USAGE, "end", OPENAI_USAGE],
    "nulls": ["text", None, "end", OPENAI_USAGE, {"prompt_tokens": None, "completion_tokens": None}],
    "parts": [{"prompt_tokens": 5}, "text", {"completion_tokens": 2}, "end"],
}


@pytest.mark.parametrize("order", USAGES)
async def test_usage_counts_in_whatever_order_it_comes(
    order: str, scripted_server: ProviderServer, scripted_socket: Socket
) -> None:
    dialect = OpenAIDialect()
    pieces = []
    for part in USAGES[order]:
        if part == "text":
            pieces.append(dialect.text("Hello world"))
        elif part == "end":
            pieces.append(dialect.end("stop", None).replace(b"data: [DONE]\n\n", b""))
        else:
            pieces.append(data({"id": "x", "choices": [], "usage": part}))
    scripted_server.script(stream(*pieces, b"data: [DONE]\n\n"))
    _, end = await ask(scripted_socket, "openai")
    assert end["type"] == "generation.completed"
    receipt = end["receipt"]
    assert (receipt["input_tokens"], receipt["output_tokens"], receipt["estimated"]) == (5, 2, False)


GEMINI_USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}
GEMINI_USAGES: dict[str, list[Any]] = {
    "first": [GEMINI_USAGE, "text", "end"],
    "between": ["text", GEMINI_USAGE, "end"],
    "after the end": ["text", "end", GEMINI_USAGE],
    "twice": [{"promptTokenCount": 5, "candidatesTokenCount": 1}, "text", GEMINI_USAGE, "end", GEMINI_USAGE],
    "nulls": ["text", GEMINI_USAGE, "end", {"promptTokenCount": None, "candidatesTokenCount": None}],
    "parts": [{"promptTokenCount": 5}, "text", {"candidatesTokenCount": 2}, "end"],
}


@pytest.mark.parametrize("order", GEMINI_USAGES)
async def test_usage_of_gemini_counts_in_whatever_order_it_comes(
    order: str, scripted_server: ProviderServer, scripted_socket: Socket
) -> None:
    dialect = GeminiDialect()
    told = {"text": dialect.text("Hello world"), "end": dialect.end("stop", None)}
    pieces = [
        told[part] if isinstance(part, str) else data({"usageMetadata": part}, dialect.line_end)
        for part in GEMINI_USAGES[order]
    ]
    scripted_server.script(stream(*pieces))
    _, end = await ask(scripted_socket, "gemini")
    assert end["type"] == "generation.completed"
    receipt = end["receipt"]
    assert (receipt["input_tokens"], receipt["output_tokens"], receipt["estimated"]) == (5, 2, False)
