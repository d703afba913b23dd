"""A person's ledger entries: lists with their filters, and one entry down to its receipt."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db.models import Q

from billing.accounts import payer
from billing.entry_lists import EntriesAsked, entries_page
from billing.errors import InvalidAmount
from billing.models import EntryKind, LedgerEntry
from billing.periods import local_day
from billing.receipts import receipt
from conversations.models import Generation, TurnKind
from conversations.notes import model_label
from conversations.templatetags.figures import model_name
from conversations.usage.entry_rows import conversation_titles, entry_rows
from conversations.usage.ranges import PRESETS, read_range
from conversations.usage.wording import KIND_WORDS

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that is set, and the query without it."""

    label: str
    value: str
    without: str


def entries_context(user: User, query: Mapping[str, str], *, now: datetime) -> dict[str, Any]:
    """The context of the list; an unknown filter or cursor lists nothing wrong, only less."""
    zone = payer(user.pk, now=now).timezone
    chosen = read_range(query, local_day(zone, now))
    filters = {
        name: query[name].replace("\x00", "") for name in ("model", "kind", "conversation") if name in query
    }
    asked = EntriesAsked(
        first_day=chosen.first,
        last_day=chosen.last,
        user_id=user.pk,
        model=filters.get("model"),
        kind=filters.get("kind"),
        conversation_id=_uuid(filters["conversation"]) if "conversation" in filters else None,
    )
    try:
        page = entries_page(asked, after=query.get("after", ""), limit=PER_PAGE)
    except InvalidAmount:
        page = entries_page(asked, limit=PER_PAGE)
    same = {"from": chosen.first, "to": chosen.last, **filters}
    return {
        "zone": zone,
        "range": chosen,
        "presets": PRESETS,
        "here": "entries",
        "entries": entry_rows(user, page.entries),
        "filters": [
            Filter(
                name,
                _filter_word(user, name, value),
                urlencode({key: kept for key, kept in same.items() if key != name}),
            )
            for name, value in filters.items()
        ],
        "same_query": urlencode(same),
        "next_query": urlencode({**same, "after": page.next_cursor}) if page.next_cursor else "",
        "is_first": not query.get("after"),
    }


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)


def _filter_word(user: User, name: str, value: str) -> str:
    if name == "model":
        return model_name(value)
    if name == "kind":
        return KIND_WORDS.get(value, value) if value in TurnKind.values or not value else value
    key = _uuid(value)
    return conversation_titles(user, [key]).get(key, "Deleted conversation")


def entry_context(user: User, entry_id: uuid.UUID, *, now: datetime) -> dict[str, Any] | None:
    """One entry with its receipt and what else was written about the call; None unless it is theirs."""
    entry = LedgerEntry.objects.defer("usage_raw").filter(pk=entry_id, user_id=user.pk).first()
    if entry is None:
        return None
    generation = (
        Generation.objects.filter(pk=entry.generation_id, conversation__owner=user).first()
        if entry.generation_id
        else None
    )
    same_call = Q(generation_id=entry.generation_id, attempt=entry.attempt)
    related = (
        LedgerEntry.objects.defer("usage_raw")
        .filter(same_call, user_id=user.pk, generation_id__isnull=False)
        .exclude(pk=entry.pk)
        .order_by("created_at", "id")
    )
    figures = {
        **receipt(entry),
        "entry_id": None,  # this page is where it leads
        "first_token_ms": generation.first_token_ms if generation else None,
        "duration_ms": generation.duration_ms if generation else None,
        "model": entry.model,
        "model_label": model_label(entry.model),
    }
    return {
        "zone": payer(user.pk, now=now).timezone,
        "row": entry_rows(user, [entry])[0],
        "receipt": figures if entry.kind != EntryKind.GRANT else None,
        "related": entry_rows(user, list(related)),
    }
