"""A summary as pages and programs see it."""

from __future__ import annotations

from typing import Any

from billing import receipts
from billing.models import EntryKind, LedgerEntry
from conversations.context import SUMMARY_HEADING, message_tokens
from conversations.events import Event, conversation_updated, iso
from conversations.models import Summary
from conversations.outcomes import describe_error
from llm.errors import UnknownModel
from llm.profiles import get_profile


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
        "error": describe_error(summary.error_code, has_text=False) if summary.error_code else None,
        "receipt": None if entry is None else receipts.receipt(entry),
        "created_at": iso(summary.created_at),
        "finished_at": iso(summary.finished_at),
    }


def _after(summary: Summary) -> int:
    try:
        encoding = get_profile(summary.model).encoding
    except UnknownModel:
        encoding = "o200k_base"
    tokens = message_tokens(SUMMARY_HEADING + summary.text, encoding)
    return tokens if summary.text else tokens + summary.output_cap_tokens
