"""Reading from an answer how long to wait before asking again.

Hints come in headers, in structured details and in prose; the longest one holds.
None means no usable hint: absent, zero, negative or unreadable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_HINT_SECONDS = 86_400.0

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)")
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?")
_DURATION = re.compile(rf"(?:{_PART.pattern}\s*)+")
_PROSE = re.compile(
    rf"(?:try again|retry|reset\w*)\s+(?:in|after)\s+((?:{_PART.pattern}\s*)+)", re.IGNORECASE
)


def bounded(seconds: float | None) -> float | None:
    """A hint that can be acted on: above 0 and at most a day."""
    if seconds is None or math.isnan(seconds) or seconds <= 0:
        return None
    return min(seconds, MAX_HINT_SECONDS)


def longest(hints: Iterable[float | None]) -> float | None:
    known = [hint for hint in hints if hint is not None]
    return max(known, default=None)


def parse_duration(text: str) -> float | None:
    """Seconds of ``18.642s``, ``1m30s``, ``120ms``, ``6m0s``; None if it is not one."""
    stripped = text.strip().lower()
    if not _DURATION.fullmatch(stripped):
        return None
    return bounded(sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(stripped)))


def parse_retry_after(value: str, *, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header: a number of seconds or an HTTP date."""
    text = value.strip()
    try:
        return bounded(float(text))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return parse_duration(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return bounded((moment - (now or datetime.now(UTC))).total_seconds())


def parse_retry_delay(value: object) -> float | None:
    """Seconds of RetryInfo: ``53s`` as the protocol writes it, a bare number or its parts as gateways do."""
    if isinstance(value, str):
        return parse_duration(value) or (bounded(float(value)) if _NUMBER.fullmatch(value.strip()) else None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return bounded(float(min(value, MAX_HINT_SECONDS)))
    if isinstance(value, Mapping):
        nanos = value.get("nanos")
        part = nanos / 1e9 if isinstance(nanos, int) and 0 < nanos < 10**9 else 0.0
        return bounded((parse_retry_delay(value.get("seconds")) or 0.0) + part)
    return None


def hint_in_prose(message: str) -> float | None:
    """The duration in "Please try again in 18.642s." and the like."""
    match = _PROSE.search(message)
    return parse_duration(match.group(1)) if match else None


def hint_in_headers(headers: Mapping[str, str]) -> float | None:
    """From Retry-After, retry-after-ms and the limits that are used up."""
    hints: list[float | None] = []
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None:
        with suppress(ValueError):
            hints.append(bounded(float(milliseconds) / 1000))
    value = headers.get("retry-after")
    if value is not None:
        hints.append(parse_retry_after(value))
    for kind in ("requests", "tokens"):
        reset = headers.get(f"x-ratelimit-reset-{kind}")
        if reset is not None and headers.get(f"x-ratelimit-remaining-{kind}") == "0":
            hints.append(parse_duration(reset))
    return longest(hints)
