"""Each way in which a provider can fail, over real HTTP and through the whole engine.

Expected of each: the state, the code, whether it is tried again by itself, whether operators are alerted,
what the person reads, and that the books balance.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from pytest_django import Settings

from billing.models import LedgerEntry
from conversations.database import in_database
from conversations.outcomes import ERRORS
from llm.errors import LLMError
from tests.conversations.conftest import Socket
from tests.conversations.providers import KEY, KINDS, add_models
from tests.conversations.scripted import (
    EXHAUSTED,
    SECRET_WORDS,
    ask,
    gemini,
    openai,
    quota,
    refusal,
    retry_info,
    seconds_until_retry,
    stream,
)
from tests.fakes.provider_server import At, Close, ProviderServer, Reply, Reset, Send, Stall
from tests.fakes.wire import Counts, GeminiDialect, OpenAIDialect, data

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.no_cover]

DIALECTS: dict[str, GeminiDialect | OpenAIDialect] = {"openai": OpenAIDialect(), "gemini": GeminiDialect()}


@dataclass(frozen=True)
class Row:
    """``retry``: what it waits for before the next attempt; None: it ends at once."""

    name: str
    reply: Reply
    code: str
    retry: str | None = None
    state: str = "failed"
    hint: float | None = None  # seconds


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
    Row("credit balance", openai(429, code="credit_balance_exhausted"), "out_of_credit"),
    Row("usage limit", openai(429, code="organization_usage_limit_exceeded"), "out_of_credit"),
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
    Row("401", gemini(401, "UNAUTHENTICATED"), "bad_credentials"),
    Row("402", gemini(402, "PAYMENT_REQUIRED"), "out_of_credit"),
    Row("408", gemini(408, "DEADLINE_EXCEEDED"), "connection_failed", "retry"),
    Row("409", gemini(409, "ABORTED"), "connection_failed", "retry"),
    Row("499", gemini(499, "CANCELLED"), "connection_failed", "retry"),
    Row("500", gemini(500, "INTERNAL"), "provider_error", "retry"),
    Row("502", gemini(502, "UNAVAILABLE"), "provider_error", "retry"),
    Row("529", gemini(529, "UNAVAILABLE"), "provider_overloaded", "retry"),
    Row(
        "recitation",
        stream(data({"candidates": [{"finishReason": "RECITATION"}]}, "\r\n")),
        "content_blocked",
    ),
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


def classes(base: type[LLMError] = LLMError) -> Iterator[type[LLMError]]:
    for child in base.__subclasses__():
        yield child
        yield from classes(child)


@pytest.mark.parametrize(("provider", "row"), ROWS, ids=[f"{provider} {row.name}" for provider, row in ROWS])
async def test_each_failure_has_its_state_its_words_and_its_price(
    provider: str, row: Row, scripted_server: ProviderServer, scripted_socket: Socket, settings: Settings
) -> None:
    scripted_server.script(row.reply)
    if row.retry == "choice":
        settings.RETRY_PATIENCE_SECONDS = 0  # the day may be about to end
    if row.retry is not None:
        asked_at = datetime.now(UTC)
        turn_id, waiting = await ask(scripted_socket, provider)
        assert (waiting["type"], waiting.get("reason")) == ("generation.waiting", row.retry)
        assert waiting["attempt"] == 1
        assert SECRET_WORDS not in json.dumps(waiting)
        if row.hint is not None:
            assert row.hint <= seconds_until_retry(waiting, asked_at)
            assert waiting["wait_seconds"] <= row.hint * 1.2 + 1.1
        await scripted_socket.send("turn.stop", turn_id=turn_id)
        await scripted_socket.until_end()
        if row.retry == "choice":
            return  # the person decides: another model, at midnight, or not at all
        settings.MAX_RETRIES = 0
        scripted_server.scripts.clear()
        scripted_server.script(row.reply, row.reply)  # a time-out is repeated once, whatever the setting says
    _, end = await ask(scripted_socket, provider)
    if row.code == "provider_timed_out":
        end = await scripted_socket.until_end()
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


@pytest.mark.parametrize("provider", KINDS)
@pytest.mark.parametrize("missing", ["server", "name"])
async def test_nobody_there_is_a_lost_connection(
    provider: str, missing: str, scripted_server: ProviderServer, scripted_socket: Socket
) -> None:
    await scripted_server.stop()
    if missing == "name":
        await in_database(add_models, "http://nowhere.invalid", "0-5-0")
    turn_id, waiting = await ask(scripted_socket, provider)
    assert (waiting["type"], waiting["reason"]) == ("generation.waiting", "retry")
    assert waiting["detail"].startswith("The connection to ")
    await scripted_socket.send("turn.stop", turn_id=turn_id)
    await scripted_socket.until_end()
    assert not await in_database(LedgerEntry.objects.exists)


@pytest.mark.parametrize("provider", KINDS)
async def test_a_cut_answer_is_complete_charged_and_can_be_continued(
    provider: str, scripted_server: ProviderServer, scripted_socket: Socket
) -> None:
    dialect = DIALECTS[provider]
    scripted_server.script(stream(dialect.text("The answer "), dialect.end("length", Counts(5, 2))))
    _, end = await ask(scripted_socket, provider)
    assert (end["type"], end["finish_reason"], end["text"]) == (
        "generation.completed",
        "length",
        "The answer ",
    )
    assert (end["receipt"]["charged"], end["receipt"]["output_tokens"]) == (True, 2)
    assert "continue" in [option["action"] for option in end["options"]]


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
    scripted_server: ProviderServer,
    scripted_socket: Socket,
    settings: Settings,
) -> None:
    await ask(scripted_socket, provider)  # making the client takes its time
    settings.FIRST_TOKEN_TIMEOUT_SECONDS = settings.STALL_TIMEOUT_SECONDS = 0.2
    settings.GENERATION_TIMEOUT_SECONDS = 0.6
    word = DIALECTS[provider].text("word ")
    replies = {
        "no headers": Reply(before_headers=[Stall()]),
        "headers only": Reply([Stall()]),
        "a word": stream(word, end=Stall()),
        "drops": Reply([step for number in range(200) for step in (At(number / 20), Send(word))]),
    }
    scripted_server.script(replies[silence])
    _, end = await ask(scripted_socket, provider)
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
        await scripted_server.requests[-1].closed.wait()
