"""Ledger entries as lists show them, with the titles of the person's own conversations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from billing.models import LedgerEntry
from billing.receipts import usd
from conversations.models import Conversation
from conversations.templatetags.figures import model_name
from conversations.usage.wording import KIND_WORDS


def conversation_titles(user: User, keys: Iterable[Any]) -> dict[Any, str]:
    """Titles of the person's own conversations, by their ids."""
    ids = [key for key in keys if isinstance(key, UUID)]
    found = Conversation.objects.owned_by(user).filter(pk__in=ids).values_list("pk", "title", "temporary")
    return {pk: "Temporary chat" if temporary else title or "Untitled" for pk, title, temporary in found}


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A ledger entry as lists show it. ``sign``: a correction says what it changed."""

    entry: LedgerEntry
    conversation: str
    is_there: bool
    model: str
    kind: str
    cost_usd: str | None

    @property
    def what(self) -> str:
        return "" if self.entry.kind == "usage" else self.entry.get_kind_display()

    @property
    def input_tokens(self) -> int:
        return self.entry.input_tokens

    @property
    def output_tokens(self) -> int:
        return self.entry.output_tokens

    @property
    def charged(self) -> bool:
        return self.entry.bearer == "user"


def entry_rows(user: User, entries: Sequence[LedgerEntry]) -> list[EntryRow]:
    """One query, for the titles."""
    titles = conversation_titles(user, (entry.conversation_id for entry in entries))
    return [
        EntryRow(
            entry,
            titles.get(entry.conversation_id) or ("Deleted conversation" if entry.conversation_id else ""),
            entry.conversation_id in titles,
            model_name(entry.model),
            KIND_WORDS.get(entry.turn_kind, entry.turn_kind),
            usd(entry.cost_nanousd),
        )
        for entry in entries
    ]
