"""Errors of the REST door: one shape (RFC 9457), one closed table of codes.

``PROBLEMS`` is the table; ``docs/api.md`` repeats it for readers. Every error answer below ``/api/`` is
made here, also those of Django and of Django REST framework, and never with a trace.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.request import Request

from conversations.events import iso
from conversations.exceptions import Refusal

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:chatsite:problem:"

# code -> (status, title). Whoever adds a code adds a row to docs/api.md and a test.
PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request cannot be read"),
    "not_authenticated": (401, "Who is asking?"),
    "invalid_key": (401, "This key opens nothing"),
    "permission_denied": (403, "Not allowed"),
    "csrf_failed": (403, "The request did not come from our own page"),
    "not_found": (404, "No such thing"),
    "method_not_allowed": (405, "Method not allowed"),
    "confirm_required": (409, "This may bring a budget near its end"),
    "already_decided": (409, "The request has been answered"),
    "not_waiting": (409, "The answer does not wait"),
    "conversation_busy": (409, "An answer is being written"),
    "summary_busy": (409, "The older messages are being summarised"),
    "id_conflict": (409, "The id was used before"),
    "body_too_large": (413, "The request is too large"),
    "unsupported_media_type": (415, "Only JSON is read here"),
    "invalid": (422, "A field is wrong"),
    "message_empty": (422, "The message is empty"),
    "message_invalid": (422, "The message cannot be stored"),
    "message_too_long": (422, "The message is too long"),
    "unknown_model": (422, "No such model"),
    "invalid_temperature": (422, "The temperature is out of range"),
    "invalid_max_output_tokens": (422, "The answer's length is out of range"),
    "context_too_long": (422, "The conversation is too long for the model"),
    "nothing_to_summarise": (422, "There is too little to summarise"),
    "nothing_to_continue": (422, "There is no answer to continue"),
    "content_blocked": (422, "The model declined"),
    "budget_exceeded": (429, "The budget does not allow it"),
    "price_unknown": (429, "The price of the model is not known"),
    "rate_limited": (429, "Too many requests"),
    "internal_error": (500, "Something went wrong on our side"),
    "choice_required": (503, "The provider asks for more patience"),
    "model_unavailable": (503, "The model gave no answer"),
    "unavailable": (503, "Try again in a moment"),
    "deadline": (504, "The answer is still being written"),
}

# What Django REST framework calls these; every other name of its own falls back to the status.
_CODES = {
    exceptions.ParseError: "malformed",
    exceptions.NotAuthenticated: "not_authenticated",
    exceptions.AuthenticationFailed: "invalid_key",
    exceptions.PermissionDenied: "permission_denied",
    exceptions.NotFound: "not_found",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.ValidationError: "invalid",
    exceptions.Throttled: "rate_limited",
}


class Problem(exceptions.APIException):
    """An error of the table, with members beyond the standard ones."""

    def __init__(self, code: str, detail: str, **members: Any) -> None:
        super().__init__(detail, code)
        self.status_code, _ = PROBLEMS[code]
        self.code = code
        self.text = detail
        self.members = members


def problem(
    request: HttpRequest,
    code: str,
    detail: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> HttpResponse:
    """The answer for one error. Members that are None are left out."""
    # A code that the table lacks is a fault of ours, and no reason to hide what was refused.
    own_status, title = PROBLEMS.get(code) or (status or 500, "Refused")
    status = status or own_status
    body = {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request.META.get("request_id") or secrets.token_hex(8),
        **{name: value for name, value in members.items() if value is not None},
    }
    return HttpResponse(orjson.dumps(body), status=status, content_type=CONTENT_TYPE, headers=headers)


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Turn whatever a view raised into a problem. Nothing gets past it."""
    request = _django_request(context["request"])
    match error:
        case Refusal():
            return _refused(request, error)
        case Problem():
            return problem(request, error.code, error.text, **error.members)
        case exceptions.APIException():
            return _api_exception(request, error)
        case Http404():
            return problem(request, "not_found", "There is nothing here.")
        case DjangoPermissionDenied():
            return problem(request, "permission_denied", "You may not do this.")
        case RequestDataTooBig():
            return problem(request, "body_too_large", "The body of the request is too large.")
        case SuspiciousOperation() | MultiPartParserError():
            return problem(request, "malformed", "The request cannot be read.")
        case OperationalError() | InterfaceError():
            logger.exception("the database did not answer")
            return problem(
                request,
                "unavailable",
                "The server is busy. Send the same request again in a moment.",
                headers={"Retry-After": "1"},
                retry_after=1,
            )
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return problem(request, "internal_error", "Something went wrong on our side. It was logged.")


def _django_request(request: Request | HttpRequest) -> HttpRequest:
    return request._request if isinstance(request, Request) else request


def _refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    retry_after = seconds_until(refusal.resets_at)
    return problem(
        request,
        refusal.code,
        refusal.detail,
        status=refusal.status,
        headers=None if retry_after is None else {"Retry-After": str(retry_after)},
        options=refusal.options,
        resets_at=iso(refusal.resets_at),
        retry_after=retry_after,
        estimate=refusal.estimate,
    )


def seconds_until(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return max(math.ceil((moment - timezone.now()).total_seconds()), 0)


def _api_exception(request: HttpRequest, error: exceptions.APIException) -> HttpResponse:
    codes = error.get_codes()
    code = codes if isinstance(codes, str) and codes in PROBLEMS else None
    code = code or next((word for kind, word in _CODES.items() if isinstance(error, kind)), "internal_error")
    headers: dict[str, str] = {}
    members: dict[str, Any] = {}
    # Set by the view: without it a 401 would be no 401.
    challenge = getattr(error, "auth_header", None)
    if challenge:
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, exceptions.Throttled):
        members["retry_after"] = math.ceil(getattr(error, "wait", None) or 1)
        headers["Retry-After"] = str(members["retry_after"])
    if isinstance(error, exceptions.ValidationError):
        members["errors"] = error.detail
        detail = _first_fault(error.detail)
    else:
        detail = str(error.detail)
    return problem(request, code, detail, headers=headers, **_plain(members))


def _first_fault(detail: Any, path: str = "") -> str:
    """The first fault in one sentence: ``title: Ensure this field has no more than 200 characters.``"""
    if isinstance(detail, dict) and detail:
        name, inner = next(iter(detail.items()))
        return _first_fault(inner, f"{path}.{name}" if path else str(name))
    if isinstance(detail, (list, tuple)) and detail:
        return _first_fault(detail[0], path)
    return f"{path}: {detail}" if path and path != "non_field_errors" else str(detail)


def _plain(value: Any) -> Any:
    """DRF's error details are str subclasses, which orjson refuses."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else value
