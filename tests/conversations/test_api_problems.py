"""The closed table of errors: every code, its status, its shape, and its row in docs/api.md."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404
from django.test import AsyncClient, RequestFactory
from rest_framework.exceptions import Throttled

from billing.budgets import set_budget
from billing.models import Budget, Hold, LedgerEntry
from billing.prices import forget_price
from conversations.api import conversation_views
from conversations.api.problems import PROBLEMS, exception_handler
from conversations.database import in_database
from conversations.models import Conversation, Turn
from conversations.runtime import get_runtime
from llm.models import Provider
from llm.profiles import add_model
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)

API_GUIDE = Path(__file__).parents[2] / "docs" / "api.md"
TURN_ID = str(uuid.uuid4())

Row = tuple[str, str, Any]  # method, path below the conversation, body

REFUSED: list[tuple[Row, int, str]] = [
    (("POST", "messages/", b"{"), 400, "malformed"),
    (("POST", "messages/", b"\xff"), 400, "malformed"),
    (("POST", "messages/", b'"text"'), 400, "malformed"),
    (("POST", "messages/", b"[]"), 400, "malformed"),
    (("POST", "messages/", b'{"text": NaN}'), 400, "malformed"),
    (("POST", "messages/", b"[" * 100_000), 400, "malformed"),
    (("POST", "messages/", b'{"a":' * 100_000), 400, "malformed"),
    (("POST", "messages/?html=perhaps", {"text": "Hello"}), 400, "malformed"),
    (("GET", "nothing/", None), 404, "not_found"),
    (("PUT", "", {}), 405, "method_not_allowed"),
    (("POST", "status/", {}), 405, "method_not_allowed"),
    (("BREW", "messages/", None), 405, "method_not_allowed"),
    (("POST", "messages/", b'{"text": "' + b"x" * 1_100_000 + b'"}'), 413, "body_too_large"),
    (("POST", "messages/", {}), 422, "invalid"),
    (("POST", "messages/", {"text": None}), 422, "invalid"),
    (("POST", "messages/", {"text": ["Hello"]}), 422, "invalid"),
    (("POST", "messages/", b'{"text": "\\ud800"}'), 400, "malformed"),
    (("POST", "messages/", {"text": "Hello", "turn_id": "mine"}), 422, "invalid"),
    (("POST", "messages/", {"text": "Hello", "temperature": "warm"}), 422, "invalid"),
    (("POST", "messages/", b'{"text": "Hello", "temperature": 1e400}'), 422, "invalid"),
    (("POST", "messages/", {"text": "Hello", "max_output_tokens": 10**18}), 422, "invalid"),
    (("POST", "messages/", {"text": ""}), 422, "message_empty"),
    (("POST", "messages/", {"text": " \n"}), 422, "message_empty"),
    (("POST", "messages/", {"text": "x" * 4001}), 422, "message_too_long"),
    (("POST", "messages/", {"text": "Hello", "model": "demo:nonsense"}), 422, "unknown_model"),
    (("POST", "messages/", {"text": "Hello", "temperature": 7}), 422, "invalid_temperature"),
    (("POST", "messages/", {"text": "Hello", "temperature": -1}), 422, "invalid_temperature"),
    (("POST", "messages/", {"text": "Hello", "max_output_tokens": 0}), 422, "invalid_max_output_tokens"),
    (("POST", "messages/", {"text": "Hello", "max_output_tokens": 10**9}), 422, "invalid_max_output_tokens"),
]


async def knock(rest: Rest, conversation: Conversation, row: Row) -> Any:
    method, path, body = row
    where = f"conversations/{conversation.pk}/{path}"
    if isinstance(body, bytes):
        return await rest.client.generic(
            method, f"/api/v1/{where}", body, content_type="application/json", headers=rest.headers
        )
    return await rest.send(method, where, body)


def check_shape(response: Any, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert response["Content-Type"] == "application/problem+json"
    assert problem["type"] == f"urn:chatsite:problem:{code}"
    assert problem["status"] == status
    assert problem["title"] == PROBLEMS[code][1]
    assert problem["detail"]
    assert problem["request_id"] == response["X-Request-ID"]
    assert "Traceback" not in response.content.decode()
    return problem


async def test_it_refuses_each_bad_request_and_stores_nothing(conversation: Conversation, rest: Rest) -> None:
    for row, status, code in REFUSED:
        check_shape(await knock(rest, conversation, row), status, code)
    assert not await in_database(Turn.objects.exists)
    assert not await in_database(Hold.objects.exists)
    assert not get_runtime().attempts


async def test_it_takes_a_message_of_just_the_limit(conversation: Conversation, rest: Rest) -> None:
    body = {"text": "x" * 4000, "model": "demo:0-1-0"}
    assert (await knock(rest, conversation, ("POST", "messages/", body))).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_it_reads_only_json(conversation: Conversation, rest: Rest, kind: str) -> None:
    response = await rest.client.generic(
        "POST",
        f"/api/v1/conversations/{conversation.pk}/messages/",
        b"text=Hello",
        content_type=kind,
        headers=rest.headers,
    )
    check_shape(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing/", "/api/v1/", "/api/", "/api/v2/models/", "/api/v1/models"]
)
async def test_it_knows_no_other_address(rest: Rest, path: str) -> None:
    for who in (rest, Rest()):
        check_shape(await who.get(path), 404, "not_found")
        check_shape(await who.post(path, {}), 404, "not_found")


async def test_it_tells_what_is_allowed(conversation: Conversation, rest: Rest) -> None:
    response = await rest.post(f"conversations/{conversation.pk}/status/", {})
    assert response["Allow"] == "GET, HEAD, OPTIONS"


async def test_it_refuses_an_id_that_was_used_for_another_text(
    conversation: Conversation, rest: Rest
) -> None:
    body = {"text": "Hello", "turn_id": TURN_ID, "model": "demo:0-1-0"}
    await rest.post(f"conversations/{conversation.pk}/messages/", body)
    response = await rest.post(f"conversations/{conversation.pk}/messages/", {**body, "text": "Bye"})
    check_shape(response, 409, "id_conflict")


async def test_it_refuses_a_second_question_while_it_answers(conversation: Conversation, rest: Rest) -> None:
    path = f"conversations/{conversation.pk}/messages/"
    first = asyncio.ensure_future(rest.post(path, {"text": "Hello", "model": "demo:0-60-10"}))
    async with asyncio.timeout(10):
        while not get_runtime().attempts:
            await asyncio.sleep(0.005)
    check_shape(await rest.post(path, {"text": "And?", "model": "demo:0-1-0"}), 409, "conversation_busy")
    assert (await first).status_code == 200


async def test_it_refuses_what_a_model_cannot_hold(conversation: Conversation, rest: Rest) -> None:
    def add() -> None:
        Provider.objects.get_or_create(
            name="small", defaults={"kind": "openai_compatible", "base_url": "http://127.0.0.1:9/v1"}
        )
        add_model(model_id="small:one", context_window_tokens=600, max_output_tokens=500)

    await in_database(add)
    body = {"text": "many words " * 200, "model": "small:one"}
    response = await rest.post(f"conversations/{conversation.pk}/messages/", body)
    check_shape(response, 422, "context_too_long")


async def test_it_asks_a_page_to_confirm_and_never_a_program(
    conversation: Conversation, alice: User, rest: Rest
) -> None:
    def limit() -> None:
        set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=1000, period="day")

    await in_database(limit)
    page = Rest(client=AsyncClient())
    await in_database(page.client.force_login, alice)
    path = f"conversations/{conversation.pk}/messages/"
    body = {"text": "Hello", "model": "demo:0-5-0", "max_output_tokens": 950}

    problem = check_shape(await page.post(path, body), 409, "confirm_required")
    assert [option["action"] for option in problem["options"]] == ["confirm", "cancel"]
    assert (await page.post(path, {**body, "confirm": True})).status_code == 200
    assert (await rest.post(path, body)).status_code == 200


async def test_it_refuses_what_the_budget_does_not_allow(conversation: Conversation, rest: Rest) -> None:
    def limit() -> Budget:
        return set_budget(
            scope="user", scope_id=conversation.owner_id, unit="tokens", limit_units=40, period="day"
        )

    await in_database(limit)
    path = f"conversations/{conversation.pk}/messages/"
    body = {"text": "Hello", "turn_id": TURN_ID, "model": "demo:0-5-0"}

    response = await rest.post(path, body)

    problem = check_shape(response, 429, "budget_exceeded")
    assert problem["resets_at"].endswith("Z")
    assert 0 < problem["retry_after"] <= 86_400
    assert response["Retry-After"] == str(problem["retry_after"])
    assert problem["estimate"]["max_output_tokens"] == 4096
    shorter = next(option for option in problem["options"] if option["action"] == "shorter_answer")
    assert not await in_database(Turn.objects.exists)
    assert not await in_database(LedgerEntry.objects.filter(kind="usage").exists)
    body["max_output_tokens"] = shorter["max_output_tokens"]
    assert (await rest.post(path, body)).status_code == 200


async def test_it_refuses_an_unpriced_model_under_a_money_budget(
    conversation: Conversation, rest: Rest
) -> None:
    def limit() -> None:
        forget_price(model="demo:*")
        set_budget(
            scope="user", scope_id=conversation.owner_id, unit="nanousd", limit_units=10**9, period="day"
        )

    await in_database(limit)
    body = {"text": "Hello", "model": "demo:0-5-0"}
    response = await rest.post(f"conversations/{conversation.pk}/messages/", body)
    check_shape(response, 429, "price_unknown")


async def test_it_says_where_a_model_has_no_key(conversation: Conversation, rest: Rest) -> None:
    def add() -> None:
        Provider.objects.get_or_create(
            name="openai", defaults={"kind": "openai_compatible", "api_key_env": "OPENAI_API_KEY"}
        )
        add_model(model_id="openai:keyless", context_window_tokens=8000, max_output_tokens=1000)

    await in_database(add)
    body = {"text": "Hello", "model": "openai:keyless"}
    response = await rest.post(f"conversations/{conversation.pk}/messages/", body)
    check_shape(response, 503, "model_unavailable")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("the key is hunter2"), 500, "internal_error"),
        (OperationalError("database is locked"), 503, "unavailable"),
        (Http404(), 404, "not_found"),
        (PermissionDenied(), 403, "permission_denied"),
        (SuspiciousOperation("odd"), 400, "malformed"),
        (Throttled(wait=3.2), 429, "rate_limited"),
    ],
)
async def test_it_shows_nothing_of_its_own_faults(
    conversation: Conversation,
    rest: Rest,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    code: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(conversation_views, "own", fail)
    response = await rest.get(f"conversations/{conversation.pk}/")
    problem = check_shape(response, status, code)
    assert "hunter2" not in response.content.decode()
    if code == "rate_limited":
        assert (response["Retry-After"], problem["retry_after"]) == ("4", 4)


def test_it_logs_what_it_does_not_show(caplog: pytest.LogCaptureFixture) -> None:
    request = RequestFactory().get("/api/v1/models/")
    with caplog.at_level(logging.ERROR):
        response = exception_handler(RuntimeError("why"), {"request": request})
    assert response.status_code == 500
    assert "why" in caplog.text


def test_it_is_documented_row_by_row() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", API_GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {code: int(status) for status, code in rows} == {
        code: status for code, (status, _) in PROBLEMS.items()
    }
