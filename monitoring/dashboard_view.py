"""What somebody asks the dashboard for: days, grouping, measure and filters, read from a query string."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.urls import reverse

from billing.accounts import payer
from billing.periods import local_day
from billing.usage_queries import Asked, GroupBy
from conversations.usage.ranges import Range, read_range

GROUPS: dict[str, str] = {
    "model": "model",
    "provider": "provider",
    "kind": "kind of question",
    "user": "user",
    "group": "group",
}


@dataclass(frozen=True, slots=True)
class View:
    """What was asked for: which days, grouped and measured how, narrowed to what."""

    range: Range
    group_by: GroupBy
    measure: str
    filters: dict[str, str]
    asked: Asked

    def link(self, **changes: str) -> str:
        """The dashboard's address with some of it changed; "" takes a filter away."""
        query = {
            "from": str(self.range.first),
            "to": str(self.range.last),
            "group_by": self.group_by,
            "measure": self.measure,
            **self.filters,
            **changes,
        }
        return f"?{urlencode({name: value for name, value in query.items() if value != ''})}"

    def entries_link(self, bearer: str = "") -> str:
        """The ledger lines that the view adds up, in the admin's list; of one bearer or of both."""
        asked = self.asked
        query: dict[str, object] = {"local_day__gte": self.range.first, "local_day__lte": self.range.last}
        found = {
            "bearer": bearer,
            "model": asked.model,
            "model__startswith": asked.provider and f"{asked.provider}:",
            "turn_kind": asked.kind,
            "user_id": asked.user_id,
            # 0: in no group.
            "group_id": asked.group_id or None,
            "group_id__isnull": "1" if asked.group_id == 0 else None,
        }
        query |= {name: value for name, value in found.items() if value}
        return f"{reverse('admin:billing_ledgerentry_changelist')}?{urlencode(query)}"


FILTERS = ("model", "provider", "kind", "user", "group")


def read_view(user: User, query: Mapping[str, str], *, now: datetime) -> View:
    """An unknown group or filter is as none."""
    chosen = read_range(query, local_day(payer(user.pk, now=now).timezone, now))
    found = {name: query[name].replace("\x00", "") for name in FILTERS if query.get(name)}
    filters = {
        name: value
        for name, value in found.items()
        if name not in ("user", "group") or (value.isascii() and value.isdigit() and len(value) < 18)
    }
    group_by: Any = query["group_by"] if query.get("group_by") in GROUPS else "model"
    asked = Asked(
        first_day=chosen.first,
        last_day=chosen.last,
        model=filters.get("model"),
        provider=filters.get("provider"),
        kind=filters.get("kind"),
        user_id=int(filters["user"]) if "user" in filters else None,
        group_id=int(filters["group"]) if "group" in filters else None,
    )
    return View(chosen, group_by, "cost" if query.get("measure") == "cost" else "tokens", filters, asked)


def hours_of(chosen: Range) -> tuple[datetime, datetime]:
    """The hours of the range, in UTC: calls are counted by the hour at which they ended."""
    start = datetime(chosen.first.year, chosen.first.month, chosen.first.day, tzinfo=UTC)
    return start, start + timedelta(days=chosen.days)
