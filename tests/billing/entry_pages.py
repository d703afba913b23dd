"""All pages of a list of entries, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from billing.entry_lists import EntriesAsked, entries_page
from billing.models import LedgerEntry


def all_entries(asked: EntriesAsked) -> Iterator[LedgerEntry]:
    cursor: str | None = ""
    while cursor is not None:
        page = entries_page(asked, after=cursor, limit=3)
        yield from page.entries
        cursor = page.next_cursor
