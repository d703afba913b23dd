"""Lists of ledger entries, newest day first, page by page: what stands behind every figure of a report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from billing import sql
from billing.errors import InvalidAmount
from billing.models import LedgerEntry

LARGEST_PAGE = 500
_BEFORE = "(billing_ledgerentry.local_day, billing_ledgerentry.id) < (%s, %s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesAsked:
    """Which entries; None = whatever it is. Days are inclusive and those on which entries count, as in
    reports. ``written_from`` and ``written_before`` bound the moment at which they were written.
    ``entry_kind``: usage, trueup, adjust, refund, grant, grant_expiry; ``kind``: of the question.
    """

    first_day: date | None = None
    last_day: date | None = None
    written_from: datetime | None = None
    written_before: datetime | None = None
    user_id: int | None = None
    group_id: int | None = None
    conversation_id: UUID | None = None
    generation_id: UUID | None = None
    model: str | None = None
    provider: str | None = None
    kind: str | None = None
    purpose: str | None = None
    entry_kind: str | None = None
    bearer: str | None = None
    estimated: bool | None = None

    def entries(self) -> QuerySet[LedgerEntry]:
        """Unordered. ``group_id`` 0 means entries of users without a group."""
        wanted = {
            "local_day__gte": self.first_day,
            "local_day__lte": self.last_day,
            "created_at__gte": self.written_from,
            "created_at__lt": self.written_before,
            "user_id": self.user_id,
            "group_id": self.group_id or None,
            "conversation_id": self.conversation_id,
            "generation_id": self.generation_id,
            "model": self.model,
            "model__startswith": None if self.provider is None else f"{self.provider}:",
            "turn_kind": self.kind,
            "purpose": self.purpose,
            "kind": self.entry_kind,
            "bearer": self.bearer,
            "estimated": self.estimated,
        }
        found = LedgerEntry.objects.filter(
            **{name: value for name, value in wanted.items() if value is not None}
        )
        return found.filter(group_id__isnull=True) if self.group_id == 0 else found


@dataclass(frozen=True, slots=True)
class EntryPage:
    """``next_cursor`` is what ``entries_page`` takes as ``after``; None on the last page."""

    entries: list[LedgerEntry]
    next_cursor: str | None


def entries_page(asked: EntriesAsked, *, after: str = "", limit: int = 50) -> EntryPage:
    """Entries by day, then by age, newest first, without the providers' raw reports. One query.

    Paging is by key: it takes no longer on page 1,000, and what is written meanwhile shifts nothing.
    Raises InvalidAmount for a cursor that is none, or a limit outside 1 to ``LARGEST_PAGE``.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise InvalidAmount(f"a page has 1 to {LARGEST_PAGE} entries, not {limit}")
    found = asked.entries().defer("usage_raw").order_by("-local_day", "-id")
    if after:
        day, key = _read_cursor(after)
        before = RawSQL(_BEFORE, (sql.day_in(day), sql.uuid_in(key)), output_field=BooleanField())  # noqa: S611 - constant text, values as parameters
        # The day alone bounds the walk along the index on both engines.
        found = found.filter(before, local_day__lte=day)
    rows = list(found[: limit + 1])
    more = len(rows) > limit
    rows = rows[:limit]
    return EntryPage(rows, f"{rows[-1].local_day:%Y-%m-%d}.{rows[-1].pk.hex}" if more else None)


def _read_cursor(text: str) -> tuple[date, UUID]:
    day, _, key = text.partition(".")
    try:
        return date.fromisoformat(day), UUID(key)
    except ValueError:
        raise InvalidAmount(f"{text!r} is not a cursor") from None
