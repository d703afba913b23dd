from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm import errors
from llm.errors import LLMError
from llm.hints import MAX_HINT_SECONDS
from llm.providers import gemini_errors, openai_errors

NO_HEADERS: dict[str, str] = {}


def classes(base: type[LLMError] = LLMError) -> Iterator[type[LLMError]]:
    for child in base.__subclasses__():
        yield child
        yield from classes(child)


def test_it_gives_every_class_words_of_its_own() -> None:
    texts = [found.user_text for found in classes()]
    assert len(set(texts)) == len(texts)
    assert all(text[0].isupper() and text[-1] in ".?" for text in texts)


def test_it_bounds_what_it_keeps_of_the_provider() -> None:
    error = errors.ProviderError("x" * 10_000, status=500)
    assert len(error.provider_detail) == errors.DETAIL_LIMIT_CHARACTERS
    assert str(error) == "provider_error (500)"
    assert str(errors.Stalled()) == "stalled"


OPENAI_CASES: list[tuple[int, Any, str]] = [
    (400, {"message": "Bad value", "type": "invalid_request_error", "code": None}, "bad_request"),
    (400, {"message": "too long", "code": "context_length_exceeded"}, "context_too_long"),
    (400, {"message": "This model's maximum context length is 128000 tokens."}, "context_too_long"),
    (400, {"message": "filtered", "code": "content_filter"}, "content_blocked"),
    (401, {"message": "Incorrect API key", "code": "invalid_api_key"}, "bad_credentials"),
    (401, {"message": "no", "type": "invalid_request_error"}, "bad_credentials"),
    (402, {"message": "Insufficient Balance"}, "out_of_credit"),
    (403, {"message": "no", "code": "unsupported_country_region_territory"}, "not_available"),
    (403, {"message": "no"}, "bad_credentials"),
    (404, {"message": "gone", "code": "model_not_found"}, "model_gone"),
    (408, {"message": "timeout"}, "connection_failed"),
    (409, {"message": "conflict"}, "connection_failed"),
    (413, {"message": "large"}, "context_too_long"),
    (418, {"message": "teapot"}, "bad_request"),
    (422, {"message": "unprocessable"}, "bad_request"),
    (429, {"message": "wait", "code": "rate_limit_exceeded", "type": "tokens"}, "rate_limited"),
    (429, {"message": "wait", "type": "slow_down"}, "rate_limited"),
    (429, {"message": "pay", "type": "insufficient_quota"}, "out_of_credit"),
    (429, {"message": "pay", "code": "credit_balance_exhausted"}, "out_of_credit"),
    (429, {"message": "pay", "code": "project_spend_limit_exceeded"}, "out_of_credit"),
    (429, {"message": "pay", "code": "organization_usage_limit_exceeded"}, "out_of_credit"),
    (429, {"message": "Rate limit reached on requests per day (RPD): Limit 200"}, "daily_quota"),
    (429, {"message": "Limit 0, Used 0, Requested 1.", "code": "rate_limit_exceeded"}, "not_enabled"),
    (429, {"message": "Quota", "details": [{"violations": [{"quotaId": "RequestsPerDay"}]}]}, "daily_quota"),
    (500, {"message": "oops", "type": "server_error"}, "provider_error"),
    (502, {"message": "bad gateway"}, "provider_error"),
    (503, {"message": "busy", "type": "server_error"}, "provider_overloaded"),
    (504, {"message": "slow"}, "provider_timed_out"),
    (520, {"message": "unknown"}, "provider_error"),
    (529, {"message": "busy"}, "provider_overloaded"),
    (301, {"message": "moved"}, "provider_error"),
]


@pytest.mark.parametrize(("status", "error", "code"), OPENAI_CASES)
def test_it_names_openai_errors(status: int, error: Any, code: str) -> None:
    body = json.dumps({"error": error}).encode()
    found = openai_errors.error_from_response(status, NO_HEADERS, body)
    assert (found.code, found.status) == (code, status)


def test_it_knows_slow_down_and_timeouts_apart() -> None:
    slow = openai_errors.error_from_response(429, NO_HEADERS, b'{"error": {"type": "slow_down"}}')
    late = openai_errors.error_from_response(504, NO_HEADERS, b"")
    assert isinstance(slow, errors.SlowDown)
    assert isinstance(late, errors.ProviderTimedOut)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>503 Service Unavailable</body></html>",
        b"[]",
        b'[{"error": {"message": "busy"}}]',
        b'{"error": "busy"}',
        b'{"error": null}',
        b'{"detail": "busy"}',
        b'"busy"',
        b"\xff\xfe",
    ],
)
def test_it_reads_any_body(body: bytes) -> None:
    assert openai_errors.error_from_response(503, NO_HEADERS, body).code == "provider_overloaded"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "busy", "code": 503}, "provider_overloaded"),
        ({"message": "wait", "code": "rate_limit_exceeded"}, "rate_limited"),
        ({"message": "wait", "status_code": 429}, "rate_limited"),
        ({"message": "bad", "type": "invalid_request_error"}, "bad_request"),
        ({"message": "The server had an error", "type": "server_error"}, "provider_error"),
        ({}, "provider_error"),
    ],
)
def test_it_names_errors_inside_a_stream(error: dict[str, Any], code: str) -> None:
    assert openai_errors.error_in_stream(error).code == code


def test_it_takes_the_longest_hint() -> None:
    body = b'{"error": {"message": "Please try again in 18.642s.", "code": "rate_limit_exceeded"}}'
    assert openai_errors.error_from_response(429, {"retry-after": "2"}, body).retry_after_seconds == 18.642
    assert openai_errors.error_from_response(429, {"retry-after": "-2"}, b"").retry_after_seconds is None


GEMINI_CASES: list[tuple[int, Any, str]] = [
    (400, {"status": "INVALID_ARGUMENT", "message": "Bad"}, "bad_request"),
    (
        400,
        {
            "status": "INVALID_ARGUMENT",
            "message": "The input token count (1) exceeds the maximum number of tokens allowed (0).",
        },
        "context_too_long",
    ),
    (400, {"status": "FAILED_PRECONDITION", "message": "User location is not supported"}, "not_available"),
    (401, {"status": "UNAUTHENTICATED"}, "bad_credentials"),
    (403, {"status": "PERMISSION_DENIED"}, "bad_credentials"),
    (404, {"status": "NOT_FOUND"}, "model_gone"),
    (408, {}, "connection_failed"),
    (429, {"status": "RESOURCE_EXHAUSTED", "message": "Resource has been exhausted"}, "rate_limited"),
    (429, {"message": "Quota exceeded for metric: x, limit: 0, model: gemini-x"}, "not_enabled"),
    (429, {"message": "Quota exceeded for metric: x, limit: 0.5"}, "rate_limited"),
    (429, {"message": "Your prepayment credits are depleted."}, "out_of_credit"),
    (
        429,
        {"details": [{"violations": [{"quotaId": "RequestsPerDayPerModel", "quotaValue": "0"}]}]},
        "not_enabled",
    ),
    (429, {"details": [{"violations": [{"quotaId": "RequestsPerDayPerModel"}]}]}, "daily_quota"),
    (429, {"details": "nonsense"}, "rate_limited"),
    (429, {"details": [{"violations": 5}]}, "rate_limited"),
    (418, {}, "bad_request"),
    (500, {"status": "INTERNAL"}, "provider_error"),
    (503, {"status": "UNAVAILABLE"}, "provider_overloaded"),
    (504, {"status": "DEADLINE_EXCEEDED"}, "provider_timed_out"),
]


@pytest.mark.parametrize(("status", "error", "code"), GEMINI_CASES)
def test_it_names_gemini_errors(status: int, error: Any, code: str) -> None:
    assert gemini_errors.error_from_body(status, NO_HEADERS, {"error": error}).code == code


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        None,
        "text",
        {"error": "text"},
        {"message": "<html>"},
        {"message": "\ud800"},
        {"code": 10**40},
        [7],
    ],
)
def test_it_reads_any_gemini_body(body: Any) -> None:
    assert gemini_errors.error_from_body(503, NO_HEADERS, body).code == "provider_overloaded"


RETRY_DELAYS: list[tuple[Any, float | None]] = [
    ("53s", 53.0),
    ("1.5s", 1.5),
    ("0.000000001s", 1e-9),
    ("3.999999999s", 3.999999999),
    ("0s", None),
    ("-3s", None),
    ("999999999999s", MAX_HINT_SECONDS),
    ("9999999999999999s", None),
    ("s", None),
    ("", None),
    ("soon", None),
    ("53", 53.0),
    (" 53 ", 53.0),
    ("1e9", None),
    ("nan", None),
    (53, 53.0),
    (1.5, 1.5),
    (0, None),
    (-3, None),
    (10**12, MAX_HINT_SECONDS),
    (float("nan"), None),
    (float("inf"), MAX_HINT_SECONDS),
    (True, None),
    (None, None),
    (["53s"], None),
    ({"seconds": 2, "nanos": 500_000_000}, 2.5),
    ({"seconds": "53"}, 53.0),
    ({"nanos": 250_000_000}, 0.25),
    ({"seconds": -1, "nanos": -5}, None),
    ({"seconds": {"seconds": 3}, "nanos": "x"}, 3.0),
    ({}, None),
]


@pytest.mark.parametrize(("delay", "seconds"), RETRY_DELAYS, ids=[repr(row[0])[:40] for row in RETRY_DELAYS])
def test_it_reads_any_retry_delay(delay: Any, seconds: float | None) -> None:
    error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": delay}]}
    assert gemini_errors.error_from_body(429, NO_HEADERS, {"error": error}).retry_after_seconds == seconds
    # Google's servers speak OpenAI's protocol too, and name the delay in the same way.
    found = openai_errors.error_in_stream({"code": 429, "details": error["details"]})
    assert (found.code, found.retry_after_seconds) == ("rate_limited", seconds)


@pytest.mark.parametrize(
    "details",
    [None, "53s", 53, {}, {"retryDelay": "53s"}, [], [None], ["53s"], [[{"retryDelay": "53s"}]], [{}], [7]],
)
def test_it_reads_details_of_any_form(details: Any) -> None:
    found = gemini_errors.error_from_body(429, NO_HEADERS, {"error": {"details": details}})
    assert (found.code, found.retry_after_seconds) == ("rate_limited", None)


def test_it_takes_the_longest_of_several_delays() -> None:
    details = [{"retryDelay": "7s"}, {"retryDelay": None}, {"retryDelay": "1m30s"}, {"retryDelay": "-9s"}]
    error = {"error": {"details": details, "message": "Please retry in 12.5s."}}
    assert gemini_errors.error_from_body(429, {"retry-after": "3"}, error).retry_after_seconds == 90.0
    assert gemini_errors.error_from_body(429, {"retry-after": "120"}, error).retry_after_seconds == 120.0


RECORDED = {
    "gemini_400_bad_key": ("bad_credentials", None),
    "gemini_404_retired_model": ("model_gone", None),
    "gemini_429_bare": ("rate_limited", None),
    "gemini_429_per_day_mixed": ("daily_quota", None),
    "gemini_429_per_minute_tokens": ("rate_limited", 26.0),
    "gemini_429_vertex_array": ("rate_limited", None),
    "gemini_503_high_demand": ("provider_overloaded", None),
    "gemini_503_overloaded": ("provider_overloaded", None),
    "openai_429_insufficient_quota": ("out_of_credit", None),
    "openai_429_tpm": ("rate_limited", 18.642),
}


@pytest.mark.parametrize("name", RECORDED)
def test_it_names_recorded_errors(name: str, corpora: Path) -> None:
    recorded = json.loads((corpora / "wire" / "errors" / f"{name}.json").read_text(encoding="utf-8"))
    if name.startswith("gemini"):
        found = gemini_errors.error_from_body(recorded["status"], NO_HEADERS, recorded["body"])
    else:
        body = json.dumps(recorded["body"]).encode()
        found = openai_errors.error_from_response(recorded["status"], NO_HEADERS, body)
    assert (found.code, found.retry_after_seconds) == RECORDED[name]
