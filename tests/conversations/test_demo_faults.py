"""Every fault of the demo model's grammar through the whole engine: state, words, price, books."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from pytest_django import Settings

from billing.books import check_books
from billing.models import Hold
from conversations.database import in_database
from conversations.models import Conversation
from conversations.outcomes import ERRORS
from llm.demo_names import STATUSES, WORDS
from tests.conversations.conftest import OpenSocket, Socket

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Row:
    fault: str
    state: str
    code: str = ""
    tokens: int = 0  # visible ones
    charged: bool = False
    cached_percent: int = 0


ROWS = [
    Row("400", "failed", "bad_request"),
    Row("401", "failed", "bad_credentials"),
    Row("403", "failed", "bad_credentials"),
    Row("404", "failed", "model_gone"),
    Row("408", "failed", "connection_failed"),
    Row("429", "failed", "rate_limited"),
    Row("500", "failed", "provider_error"),
    Row("502", "failed", "provider_error"),
    Row("503", "failed", "provider_overloaded"),
    Row("504", "failed", "provider_timed_out"),
    Row("529", "failed", "provider_overloaded"),
    Row("daily", "waiting"),
    Row("credit", "failed", "out_of_credit"),
    Row("stall", "failed", "first_token_timeout"),
    Row("stall@7", "interrupted", "stalled", tokens=7),
    Row("die", "failed", "connection_failed"),
    Row("die@7", "interrupted", "connection_failed", tokens=7),
    Row("end", "interrupted", "truncated", tokens=20),
    Row("end@7", "interrupted", "truncated", tokens=7),
    Row("cut", "completed", tokens=20, charged=True),
    Row("cut@7", "completed", tokens=7, charged=True),
    Row("block", "failed", "content_blocked"),
    Row("block@7", "interrupted", "content_blocked", tokens=7),
    Row("think", "completed", tokens=15, charged=True),
    Row("think@8", "completed", tokens=12, charged=True),
    Row("think@20", "failed", "empty_answer"),
    Row("cached", "completed", tokens=20, charged=True, cached_percent=50),
    Row("cached@80", "completed", tokens=20, charged=True, cached_percent=80),
    Row("nousage", "completed", tokens=20, charged=True),
    Row("429x1", "failed", "rate_limited"),
    Row("429@0.1x1", "failed", "rate_limited"),
]


def test_the_table_holds_every_fault() -> None:
    words = {row.fault.partition("@")[0].partition("x")[0] for row in ROWS}
    assert words == {str(status) for status in STATUSES} | WORDS


@pytest_asyncio.fixture
async def socket(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> AsyncIterator[Socket]:
    settings.MAX_RETRIES, settings.FALLBACKS = 0, ["none"]
    settings.FIRST_TOKEN_TIMEOUT_SECONDS = settings.STALL_TIMEOUT_SECONDS = 0.2
    yield await open_socket(conversation.pk, alice_key)
    assert await in_database(Hold.objects.alive().count) == 0
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []


@pytest.mark.parametrize("row", ROWS, ids=[row.fault for row in ROWS])
async def test_each_fault_ends_as_documented(row: Row, socket: Socket, settings: Settings) -> None:
    if row.fault == "daily":
        settings.RETRY_PATIENCE_SECONDS = 0  # the day may be about to end
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model=f"demo:0-20-0!{row.fault}")
    if row.state == "waiting":
        assert (await socket.until("generation.waiting"))["reason"] == "choice"
        await socket.send("turn.stop", turn_id=turn_id)
        await socket.until_end()
        return
    end = await socket.until_end()
    assert end["type"] == f"generation.{row.state}"
    assert end["seq"] == row.tokens
    receipt = end["receipt"]
    assert receipt["charged"] is row.charged
    if row.charged:
        assert receipt["estimated"] is (row.fault == "nousage")
        assert (receipt["cached_tokens"] or 0) == receipt["input_tokens"] * row.cached_percent // 100
        assert receipt["output_tokens"] - (receipt["thinking_tokens"] or 0) == row.tokens
        assert end["finish_reason"] == ("length" if row.fault.startswith("cut") else "stop")
    if row.code:
        words = ERRORS[row.code]
        broke_off = row.state == "interrupted" and words.broke_off
        assert (end["error"]["code"], end["error"]["detail"]) == (row.code, broke_off or words.no_answer)
    else:
        assert "error" not in end


async def test_it_recovers_by_itself_from_faults_that_pass(socket: Socket, settings: Settings) -> None:
    settings.MAX_RETRIES = 5
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-20-0!504x1")
    end = await socket.until_end()
    assert (end["type"], end["seq"]) == ("generation.completed", 20)
