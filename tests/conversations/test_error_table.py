"""Each way in which a provider can fail, over real HTTP and through the whole engine.

Expected of each: the state, the code, whether it is tried again by itself, whether operators are alerted,
what the person reads, and that the books balance.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import pytest_asyncio
from pytest_django import Settings

from billing.books import check_books
from billing.models import Hold, LedgerEntry
from conversations.database import in_database
from conversations.models import Conversation
from conversations.outcomes import ERRORS
from llm.errors import LLMError
from tests.conversations.conftest import OpenSocket, Socket
from tests.conversations.providers import KEY, KINDS, add_models
from tests.fakes.provider_server import At, Close, ProviderServer, Reply, Reset, Send, Stall
from tests.fakes.wire import Counts, GeminiDialect, OpenAIDialect, data

pytestmark = pytest.mark.django_db(transaction=True)

DIALECTS: dict[str, GeminiDialect | OpenAIDialect] = {"openai": OpenAIDialect(), "gemini": GeminiDialect()}
EXHAUSTED = "RESOURCE_EXHAUSTED"
SECRET_WORDS = "internal-host-17 Traceback"


@dataclass(frozen=True)
class Row:
    """``retry``: what it waits for before the next attempt; None: it ends at once."""

    name: str
    reply: Reply
    code: str
    retry: str | None = None
    state: str = "failed"
    hint: float | None = None  # seconds


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


def retry_info(delay: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def stream(*pieces: bytes, end: Any = None) -> Reply:
    return Reply([*(Send(piece) for piece in pieces), *([end] if end is not None else [])])


OPENAI_ROWS = [
    Row("400", openai(400, type="invalid_request_error"), "bad_request"),
    Row("too long", openai(400, code="context_length_exceeded"), "context_too_long"),
    Row("region", openai(403, code="unsupported_country_region_territory"), "not_available"),
    Row("401", openai(401, code="invalid_api_key"), "bad_credentials"),
    Row("403", openai(403), "bad_credentials"),
    Row("404", openai(404, code="model_not_found"), "model_gone"),
    Row(
        "minute",
        openai(429, code="rate_limit_exceeded", retry_after="7"),
        "rate_limited",
        "rate_limit",
        hint=7,
    ),
    Row(
        "day",
        openai(429, "Rate limit reached on requests per day (RPD): Limit 200."),
        "daily_quota",
        "choice",
    ),
    Row("limit 0", openai(429, "Limit 0, Used 0.", code="rate_limit_exceeded"), "not_enabled"),
    Row("slow down", openai(429, type="slow_down"), "rate_limited", "rate_limit"),
    Row("unpaid", openai(429, type="insufficient_quota"), "out_of_credit"),
    Row("spend limit", openai(429, code="project_spend_limit_exceeded"), "out_of_credit"),
    Row("402", openai(402), "out_of_credit"),
    Row("408", openai(408), "connection_failed", "retry"),
    Row("409", openai(409), "connection_failed", "retry"),
    Row("500", openai(500, type="server_error"), "provider_error", "retry"),
    Row("502 HTML", refusal(502, b"<html><h1>Bad gateway</h1></html>"), "provider_error", "retry"),
    Row("503", openai(503, code="server_is_overloaded"), "provider_overloaded", "retry"),
    Row("529", openai(529), "provider_overloaded", "retry"),
    Row("504", openai(504), "provider_timed_out", "retry"),
    Row("declined", openai(400, code="content_filter"), "content_blocked"),
    Row("empty body", Reply(status=503), "provider_overloaded", "retry"),
    Row("array", refusal(429, [{"error": {"message": "wait"}}]), "rate_limited", "rate_limit"),
    Row("text", refusal(429, "slow"), "rate_limited", "rate_limit"),
    Row("half JSON", refusal(500, b'{"error": {"mess'), "provider_error", "retry"),
    Row(
        "200 then error",
        stream(data({"error": {"message": SECRET_WORDS, "code": "rate_limit_exceeded"}})),
        "rate_limited",
        "rate_limit",
    ),
    Row("200 then HTML", stream(b"<html>busy</html>"), "truncated", "retry"),
]
GEMINI_ROWS = [
    Row("400", gemini(400, "INVALID_ARGUMENT"), "bad_request"),
    Row(
        "too long",
        gemini(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum (8)."),
        "context_too_long",
    ),
    Row("region", gemini(400, "FAILED_PRECONDITION"), "not_available"),
    Row("bad key", gemini(400, "INVALID_ARGUMENT", "x", {"reason": "API_KEY_INVALID"}), "bad_credentials"),
    Row("403", gemini(403, "PERMISSION_DENIED"), "bad_credentials"),
    Row("404", gemini(404, "NOT_FOUND"), "model_gone"),
    Row(
        "minute",
        gemini(429, EXHAUSTED, "quota", quota("RequestsPerMinutePerProject"), retry_info("7s")),
        "rate_limited",
        "rate_limit",
        hint=7,
    ),
    Row("day", gemini(429, EXHAUSTED, "quota", quota("RequestsPerDayPerProject")), "daily_quota", "choice"),
    Row("limit 0", gemini(429, EXHAUSTED, "Quota exceeded, limit: 0, model: x"), "not_enabled"),
    Row("unpaid", gemini(429, EXHAUSTED, "Your prepayment credits are depleted."), "out_of_credit"),
    Row("bare 429", gemini(429, EXHAUSTED), "rate_limited", "rate_limit"),
    Row("500", gemini(500, "INTERNAL"), "provider_error", "retry"),
    Row("503", gemini(503, "UNAVAILABLE"), "provider_overloaded", "retry"),
    Row("504", gemini(504, "DEADLINE_EXCEEDED"), "provider_timed_out", "retry"),
    Row("HTML", refusal(502, b"<html>Bad gateway</html>"), "provider_error", "retry"),
    Row("empty body", Reply(status=503), "provider_overloaded", "retry"),
    Row("array", refusal(429, [{"error": {"code": 429, "message": "wait"}}]), "rate_limited", "rate_limit"),
]


def both(dialect: GeminiDialect | OpenAIDialect) -> Iterator[Row]:
    """What the two protocols write in their own way, and what happens to connections."""
    counts = Counts(5, 0)
    half = dialect.text("The answer ")
    yield Row("reset at once", Reply(before_headers=[Reset()]), "connection_failed", "retry")
    yield Row("reset before a word", stream(end=Reset()), "connection_failed", "retry")
    yield Row("reset after a word", stream(half, end=Reset()), "connection_failed", state="interrupted")
    yield Row("closed after a word", stream(half, end=Close()), "connection_failed", state="interrupted")
    yield Row("no reason", stream(half), "truncated", state="interrupted")
    error = data({"error": {"code": 503, "status": "UNAVAILABLE", "message": SECRET_WORDS}})
    yield Row("200 then overloaded", stream(error), "provider_overloaded", "retry")
    yield Row("overloaded after a word", stream(half, error), "provider_overloaded", state="interrupted")
    yield Row("declined", stream(dialect.declined(counts)), "content_blocked")
    unsafe = dialect.end("safety", counts)
    yield Row("declined after a word", stream(half, unsafe), "content_blocked", state="interrupted")
    yield Row("cut without a word", stream(dialect.end("length", Counts(5, 9, 9))), "cut_empty")
    yield Row("nothing", stream(dialect.end("stop", counts)), "empty_answer")


ROWS = [("openai", row) for row in [*OPENAI_ROWS, *both(DIALECTS["openai"])]]
ROWS += [("gemini", row) for row in [*GEMINI_ROWS, *both(DIALECTS["gemini"])]]

ALERTED = {"bad_credentials", "out_of_credit", "daily_quota", "not_available", "not_enabled", "model_gone"}


@pytest_asyncio.fixture
async def server(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None, settings: Settings
) -> AsyncIterator[ProviderServer]:
    """Where no other model stands in, every failure is seen as it is."""
    settings.FALLBACKS = ["none"]
    for provider in KINDS:
        monkeypatch.setenv(f"{provider.upper()}_API_KEY", KEY)
    server = ProviderServer()
    await server.start()
    await in_database(add_models, server.url, "0-5-0")
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def socket(
    server: ProviderServer, conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> AsyncIterator[Socket]:
    yield await open_socket(conversation.pk, alice_key)
    assert await in_database(Hold.objects.alive().count) == 0
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []


def seconds_until_retry(waiting: dict[str, Any], asked_at: datetime) -> float:
    """From the question on, for a slow machine takes its time before it tells of the rest."""
    return (datetime.fromisoformat(waiting["retry_at"]) - asked_at).total_seconds()


async def ask(socket: Socket, provider: str) -> tuple[uuid.UUID, dict[str, Any]]:
    """The turn, and the event of its wait or its end."""
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model=f"{provider}:0-5-0")
    ends = (f"generation.{end}" for end in ("completed", "stopped", "interrupted", "failed"))
    return turn_id, await socket.until("generation.waiting", *ends)


def classes(base: type[LLMError] = LLMError) -> Iterator[type[LLMError]]:
    for child in base.__subclasses__():
        yield child
        yield from classes(child)


@pytest.mark.parametrize(("provider", "row"), ROWS, ids=[f"{provider} {row.name}" for provider, row in ROWS])
async def test_each_failure_has_its_state_its_words_and_its_price(
    provider: str, row: Row, server: ProviderServer, socket: Socket, settings: Settings
) -> None:
    server.script(row.reply)
    if row.retry == "choice":
        settings.RETRY_PATIENCE_SECONDS = 0  # the day may be about to end
    if row.retry is not None:
        asked_at = datetime.now(UTC)
        turn_id, waiting = await ask(socket, provider)
        assert (waiting["type"], waiting.get("reason")) == ("generation.waiting", row.retry)
        assert waiting["attempt"] == 1
        assert SECRET_WORDS not in json.dumps(waiting)
        if row.hint is not None:
            assert row.hint <= seconds_until_retry(waiting, asked_at)
            assert waiting["wait_seconds"] <= row.hint * 1.2 + 1
        await socket.send("turn.stop", turn_id=turn_id)
        await socket.until_end()
        if row.retry == "choice":
            return  # the person decides: another model, at midnight, or not at all
        settings.MAX_RETRIES = 0
        server.scripts.clear()
        server.script(row.reply, row.reply)  # a time-out is repeated once, whatever the setting says
    _, end = await ask(socket, provider)
    if row.code == "provider_timed_out":
        end = await socket.until_end()
    assert (end["type"], end["error"]["code"]) == (f"generation.{row.state}", row.code)
    words = ERRORS[row.code]
    broke_off = row.state == "interrupted" and words.broke_off
    assert end["error"]["detail"] == (broke_off or words.no_answer)
    assert not any(word in json.dumps(end) for word in (*SECRET_WORDS.split(), KEY))
    assert end["text"] == ("The answer " if row.state == "interrupted" else "")
    assert end["receipt"]["charged"] is False
    # The repeated call of the first question may have begun when it was stopped: that one is its own matter.
    charged = LedgerEntry.objects.filter(bearer="user", generation_id=end["generation_id"])
    assert await in_database(charged.count) == 0
    assert any(found.alert for found in classes() if found.code == row.code) == (row.code in ALERTED)


SILENCES: list[tuple[str, str, bool]] = [
    ("no headers", "first_token_timeout", False),
    ("headers only", "first_token_timeout", False),
    ("a word", "stalled", True),
    ("drops", "deadline", True),
]


@pytest.mark.parametrize("provider", KINDS)
@pytest.mark.parametrize(("silence", "code", "has_text"), SILENCES, ids=[name for name, *_ in SILENCES])
async def test_silence_is_not_waited_for(
    provider: str,
    silence: str,
    code: str,
    has_text: bool,
    server: ProviderServer,
    socket: Socket,
    settings: Settings,
) -> None:
    await ask(socket, provider)  # making the client takes its time
    settings.FIRST_TOKEN_TIMEOUT_SECONDS = settings.STALL_TIMEOUT_SECONDS = 0.2
    settings.GENERATION_TIMEOUT_SECONDS = 0.6
    word = DIALECTS[provider].text("word ")
    replies = {
        "no headers": Reply(before_headers=[Stall()]),
        "headers only": Reply([Stall()]),
        "a word": stream(word, end=Stall()),
        "drops": Reply([step for number in range(200) for step in (At(number / 20), Send(word))]),
    }
    server.script(replies[silence])
    _, end = await ask(socket, provider)
    assert (end["type"], end["error"]["code"]) == (
        "generation.interrupted" if has_text else "generation.failed",
        code,
    )
    assert bool(end["text"]) is has_text
    assert end["receipt"]["charged"] is False
    entries = await in_database(lambda: list(LedgerEntry.objects.values_list("bearer", flat=True)))
    assert sorted(entries) == ["house", "user"]
    # Nobody listens any more, so the provider stops as well.
    async with asyncio.timeout(5):
        await server.requests[-1].closed.wait()


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
    value: str, seconds: float | None, server: ProviderServer, socket: Socket
) -> None:
    server.script(openai(429, code="rate_limit_exceeded", retry_after=value))
    asked_at = datetime.now(UTC)
    turn_id, waiting = await ask(socket, "openai")
    shortest, longest = (0.4, 1.0) if seconds is None else (seconds, seconds * 1.2 + 1)
    assert shortest <= seconds_until_retry(waiting, asked_at)
    assert waiting["wait_seconds"] <= longest
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()


async def test_it_takes_a_retry_after_that_is_a_date(server: ProviderServer, socket: Socket) -> None:
    asked_at = datetime.now(UTC)
    date = format_datetime(asked_at + timedelta(seconds=30), usegmt=True)
    server.script(openai(503, code="server_is_overloaded", retry_after=date))
    turn_id, waiting = await ask(socket, "openai")
    assert seconds_until_retry(waiting, asked_at) >= 29  # such a date has whole seconds
    assert waiting["wait_seconds"] <= 37
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()


@pytest.mark.parametrize("value", ["999999999999", "1e300", "inf"])
async def test_an_absurd_hint_is_not_waited_for(value: str, server: ProviderServer, socket: Socket) -> None:
    server.script(openai(429, code="rate_limit_exceeded", retry_after=value))
    turn_id, waiting = await ask(socket, "openai")
    # The person decides: another model, later, or not at all. No longer than a day is believed.
    assert (waiting["reason"], waiting["wait_seconds"] <= 86_400) == ("choice", True)
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()


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
    order: str, server: ProviderServer, socket: Socket
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
    server.script(stream(*pieces, b"data: [DONE]\n\n"))
    _, end = await ask(socket, "openai")
    assert end["type"] == "generation.completed"
    receipt = end["receipt"]
    assert (receipt["input_tokens"], receipt["output_tokens"], receipt["estimated"]) == (5, 2, False)
