"""From an error of Gemini's API to a class of ``llm.errors``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from llm.errors import (
    BadCredentials,
    BadRequest,
    ConnectionFailed,
    ContextTooLong,
    DailyQuota,
    LLMError,
    ModelGone,
    NotAvailable,
    NotEnabled,
    OutOfCredit,
    ProviderError,
    ProviderOverloaded,
    ProviderTimedOut,
    RateLimited,
)
from llm.hints import hint_in_headers, hint_in_prose, longest, parse_retry_delay

_BY_STATUS: dict[int, type[LLMError]] = {
    401: BadCredentials,
    402: OutOfCredit,
    403: BadCredentials,
    404: ModelGone,
    408: ConnectionFailed,
    409: ConnectionFailed,
    429: RateLimited,
    499: ConnectionFailed,
    503: ProviderOverloaded,
    504: ProviderTimedOut,
    529: ProviderOverloaded,
}


# A quota of nothing: the model is not part of the plan, and waiting does not help.
_NO_QUOTA = re.compile(r"limit:? 0(?:\.0+)?(?!\d|\.\d)")


def error_from_body(status: int, headers: Mapping[str, str], body: Any) -> LLMError:
    """``body`` is the parsed JSON: the error object, what wraps it, or a list of that.

    ``headers`` are looked up in lower case.
    """
    if isinstance(body, list):
        body = body[0] if body else {}
    error = body.get("error", body) if isinstance(body, Mapping) else {}
    error = error if isinstance(error, Mapping) else {"message": str(error)}
    message = str(error.get("message") or "")
    details = details_of(error)
    hints = [hint_in_headers(headers), hint_in_prose(message)]
    hints.append(hint_in_details(error))
    error_class = _class_for(status, str(error.get("status") or ""), message.lower(), details)
    # The SDK's parser takes what a stricter one refuses: numbers of any size, halves of surrogate pairs.
    text = json.dumps(body, default=str, ensure_ascii=False).encode(errors="replace").decode()
    return error_class(text, retry_after_seconds=longest(hints), status=status)


def _class_for(status: int, name: str, message: str, details: list[Mapping[str, Any]]) -> type[LLMError]:
    if status == 429:
        return class_for_quota(message, details)
    if status == 400:
        if any(detail.get("reason") == "API_KEY_INVALID" for detail in details) or "api key" in message:
            return BadCredentials
        if name == "FAILED_PRECONDITION":
            return NotAvailable
        if "token count" in message and "exceeds" in message:
            return ContextTooLong
        return BadRequest
    default = ProviderError if status >= 500 or status < 400 else BadRequest
    return _BY_STATUS.get(status, default)


def class_for_quota(message: str, details: list[Mapping[str, Any]]) -> type[LLMError]:
    """The kind of a 429; ``message`` in lower case."""
    if _NO_QUOTA.search(message):
        return NotEnabled
    violations = [
        violation
        for detail in details
        for violation in _list(detail.get("violations"))
        if isinstance(violation, Mapping)
    ]
    if any(str(violation.get("quotaValue")) == "0" for violation in violations):
        return NotEnabled
    # A minute's limit beside the day's one changes nothing: waiting a minute does not help.
    if any("PerDay" in str(violation.get("quotaId")) for violation in violations):
        return DailyQuota
    if "credits are depleted" in message or "billing account" in message:
        return OutOfCredit
    return RateLimited


def details_of(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [detail for detail in _list(error.get("details")) if isinstance(detail, Mapping)]


def hint_in_details(error: Mapping[str, Any]) -> float | None:
    """Seconds of RetryInfo."""
    return longest(parse_retry_delay(detail.get("retryDelay")) for detail in details_of(error))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
