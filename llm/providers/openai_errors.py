"""From an error answer of an OpenAI-compatible server to a class of ``llm.errors``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llm.errors import (
    BadCredentials,
    BadRequest,
    ConnectionFailed,
    ContentBlocked,
    ContextTooLong,
    DailyQuota,
    LLMError,
    ModelGone,
    NotAvailable,
    OutOfCredit,
    ProviderError,
    ProviderOverloaded,
    ProviderTimedOut,
    RateLimited,
    SlowDown,
)
from llm.hints import hint_in_headers, hint_in_prose, longest
from llm.providers.gemini_errors import class_for_quota, details_of, hint_in_details

_BY_STATUS: dict[int, type[LLMError]] = {
    400: BadRequest,
    401: BadCredentials,
    402: OutOfCredit,
    403: BadCredentials,
    404: ModelGone,
    408: ConnectionFailed,
    409: ConnectionFailed,
    410: ModelGone,
    413: ContextTooLong,
    422: BadRequest,
    429: RateLimited,
    503: ProviderOverloaded,
    504: ProviderTimedOut,
    529: ProviderOverloaded,
}

# Words found in "code" or "type". They say more than the status, and are all there is
# when the error arrives inside a stream.
_BY_WORD: dict[str, type[LLMError]] = {
    "insufficient_quota": OutOfCredit,
    "billing_hard_limit_reached": OutOfCredit,
    "billing_not_active": OutOfCredit,
    "credit_balance_exhausted": OutOfCredit,
    "insufficient_balance": OutOfCredit,
    "slow_down": SlowDown,
    "rate_limit_exceeded": RateLimited,
    "rate_limit_error": RateLimited,
    "server_is_overloaded": ProviderOverloaded,
    "overloaded_error": ProviderOverloaded,
    "context_length_exceeded": ContextTooLong,
    "string_above_max_length": ContextTooLong,
    "content_filter": ContentBlocked,
    "content_policy_violation": ContentBlocked,
    "invalid_api_key": BadCredentials,
    "authentication_error": BadCredentials,
    "account_deactivated": BadCredentials,
    "model_not_found": ModelGone,
    "unsupported_country_region_territory": NotAvailable,
    "server_error": ProviderError,
    "invalid_request_error": BadRequest,
}
_UNPAID_SUFFIXES = ("_spend_limit_exceeded", "_usage_limit_exceeded")
# Too broad to overrule a status such as 401 or 429.
_WEAK_WORDS = {"invalid_request_error", "server_error"}


def error_from_response(status: int, headers: Mapping[str, str], body: bytes) -> LLMError:
    """The error for an answer that is not 2xx. ``headers`` are looked up in lower case."""
    error = error_object(parse_json(body))
    text = body.decode("utf-8", "replace")
    return _build(status, headers, error, text)


def error_in_stream(error: Mapping[str, Any]) -> LLMError:
    """The error for an error object inside a stream that began with 200."""
    code = error.get("code")
    status = code if isinstance(code, int) else None
    if status is None:
        stated = error.get("status") or error.get("status_code")
        status = stated if isinstance(stated, int) else None
    return _build(status, {}, error, orjson.dumps(error, default=str).decode())


def error_object(payload: Any) -> Mapping[str, Any] | None:
    """The ``error`` of a body, whatever wraps it: an object, a list of one, a string."""
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    if not isinstance(payload, Mapping):
        return None
    error = payload.get("error", payload)
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, Mapping) else None


def parse_json(body: bytes) -> Any:
    """The parsed body, or None for HTML, an empty body and the like."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _build(
    status: int | None, headers: Mapping[str, str], error: Mapping[str, Any] | None, text: str
) -> LLMError:
    error = error or {}
    message = str(error.get("message") or "")
    error_class = _class_for(status, _words(error), message)
    if error_class is RateLimited and status == 429:
        # Google's servers speak this protocol too, and name the kind of the quota in their own way.
        error_class = class_for_quota(message.lower(), details_of(error))
    hint = longest((hint_in_headers(headers), hint_in_prose(message), hint_in_details(error)))
    return error_class(text, retry_after_seconds=hint, status=status)


def _class_for(status: int | None, words: tuple[str, ...], message: str) -> type[LLMError]:
    for word in words:
        if word.endswith(_UNPAID_SUFFIXES):
            return OutOfCredit
        found = _BY_WORD.get(word)
        if found is not None and word not in _WEAK_WORDS:
            return found
    lowered = message.lower()
    if "maximum context length" in lowered or "context window" in lowered:
        return ContextTooLong
    if status == 429 and ("per day" in lowered or "(rpd)" in lowered or "(tpd)" in lowered):
        return DailyQuota
    if status is not None:
        default = ProviderError if status >= 500 or status < 400 else BadRequest
        return _BY_STATUS.get(status, default)
    return next((_BY_WORD[word] for word in words if word in _BY_WORD), ProviderError)


def _words(error: Mapping[str, Any]) -> tuple[str, ...]:
    values = (error.get("code"), error.get("type"))
    return tuple(value.lower() for value in values if isinstance(value, str))
