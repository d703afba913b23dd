from __future__ import annotations

from datetime import UTC, datetime

import pytest

from llm.hints import MAX_HINT_SECONDS, hint_in_headers, hint_in_prose, parse_duration, parse_retry_after

NOW = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        (" 2.5 ", 2.5),
        ("Sat, 21 Nov 2026 10:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 10:00:30", 30.0),
        ("Sat, 21 Nov 2026 09:59:00 GMT", None),
        ("20s", 20.0),
        ("-5", None),
        ("0", None),
        ("nan", None),
        ("inf", MAX_HINT_SECONDS),
        ("99999999999", MAX_HINT_SECONDS),
        ("Sat, 21 Nov 9999 10:00:30 GMT", MAX_HINT_SECONDS),
        ("soon", None),
        ("", None),
    ],
)
def test_it_reads_retry_after(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("26s", 26.0),
        ("34.4s", 34.4),
        ("1m30s", 90.0),
        ("120ms", 0.12),
        ("6m0s", 360.0),
        ("1h", 3600.0),
        ("2 s", 2.0),
        ("0s", None),
        ("s", None),
        ("26", None),
        ("-3s", None),
        ("9999d", MAX_HINT_SECONDS),
    ],
)
def test_it_reads_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Limit 30000, Used 14567. Please try again in 18.642s. Visit our site.", 18.642),
        ("Please try again in 1m12.5s.", 72.5),
        ("Please retry after 20 s", 20.0),
        ("Please retry in 53.1s.", 53.1),
        ("Rate limit reached for requests", None),
        ("Please try again in a while.", None),
    ],
)
def test_it_finds_the_hint_in_prose(message: str, seconds: float | None) -> None:
    assert hint_in_prose(message) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3", "retry-after-ms": "4500"}, 4.5),
        ({"retry-after-ms": "x"}, None),
        ({"x-ratelimit-reset-requests": "7s", "x-ratelimit-remaining-requests": "0"}, 7.0),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "100"}, None),
        ({"retry-after": "9", "x-ratelimit-reset-tokens": "2s", "x-ratelimit-remaining-tokens": "0"}, 9.0),
    ],
)
def test_it_takes_the_longest_hint_of_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert hint_in_headers(headers) == seconds
