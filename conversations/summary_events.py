"""A summary as pages and programs see it."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from billing import receipts
from billing.models import EntryKind, LedgerEntry
from conversations.context import SUMMARY_HEADING, message_tokens
from conversations.events import Event, conversation_updated, iso
from conversations.models import Summary
from conversations.waiting_events import retry_words
from llm.profiles import encoding_of

UNABLE = "The model could not make one."
ERRORS = {
    "rate_limited": "The service is busy. Try again later.",
    "daily_quota": "The service's daily limit for this model is reached.",
    "content_blocked": "The model declined this content.",
    "first_token_timeout": "The model did not answer in time.",
    "stalled": "The model stopped in the middle.",
    "connection_failed": "The connection to the model was lost.",
    "truncated": "The model ended too early.",
    "provider_error": "The model had an error.",
    "provider_overloaded": "The model is overloaded.",
    "breaker_open": "The model has failed several times in a row, and is tried again soon.",
    "budget_exceeded": "The budget does not allow another attempt.",
    "server_stopped": "The server was restarted meanwhile.",
    "server_lost": "The server was restarted meanwhile.",
    "internal_error": "Something went wrong on our side.",
}


def summary_event(summary: Summary) -> Event:
    return conversation_updated(summary.conversation_id, "summary", summary=summary_data(summary))


def summary_data(summary: Summary) -> dict[str, Any]:
    """``after_tokens`` is the most that it can take while it is being made."""
    entry = None
    if summary.hold_id is not None:
        entry = LedgerEntry.objects.filter(kind=EntryKind.USAGE, hold_id=summary.hold_id).first()
    return {
        "id": str(summary.pk),
        "state": summary.state,
        "turns": summary.until_depth + 1 - summary.from_depth,
        "model": summary.model,
        "before_tokens": summary.before_tokens,
        "after_tokens": _after(summary),
        "text": summary.text,
        "error": _error(summary.error_code) if summary.state == Summary.State.FAILED else None,
        "waiting": _waiting(summary) if summary.state == Summary.State.WAITING else None,
        "receipt": None if entry is None else receipts.receipt(entry),
        "created_at": iso(summary.created_at),
        "finished_at": iso(summary.finished_at),
    }


def _error(code: str) -> dict[str, Any]:
    return {"code": code, "detail": ERRORS.get(code, UNABLE), "options": []}


def _waiting(summary: Summary) -> dict[str, Any]:
    """As an answer that waits: how many attempts have failed, and how many times it is tried again."""
    return {
        "detail": retry_words(summary.error_code, summary.model),
        "retry_at": iso(summary.retry_at),
        "attempt": summary.attempts - 1,
        "max_attempts": settings.MAX_RETRIES,
    }


def _after(summary: Summary) -> int:
    tokens = message_tokens(SUMMARY_HEADING + summary.text, encoding_of(summary.model))
    return tokens if summary.text else tokens + summary.output_cap_tokens
