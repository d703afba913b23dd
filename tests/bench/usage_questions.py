"""What ``bench-usage`` asks a large ledger: the queries of pages, REST and the admin."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# p95 in milliseconds.
USER_MS, SITE_MS, PAGE_MS, ALL_USERS_MS, ADMIN_MS, ALL_DAYS_MS = 50, 50, 200, 300, 300, 600
# Tables that no query of a page may read from end to end.
LARGE = ("billing_ledgerentry", "billing_usagerollup", "billing_hold", "billing_posting")


@dataclass(frozen=True, slots=True)
class Question:
    """``ask`` is called ``times`` times; ``target_ms`` bounds its p95. ``large``: what it must not scan."""

    name: str
    ask: Callable[[], object]
    target_ms: float
    times: int = 60
    large: tuple[str, ...] = LARGE


def questions(size: Any) -> list[Question]:
    """What pages, REST and the admin ask; random users, so that nothing is answered from one warm row."""
    from billing import usage_queries as usage
    from billing.entry_lists import EntriesAsked, entries_page
    from billing.usage_queries import Asked
    from tests.bench.usage_seed import HEAVY_USER

    last = size.last_day.date()
    now = size.last_day + timedelta(hours=23, minutes=50)
    first = last - timedelta(days=size.days - 1)
    month = last - timedelta(days=29)
    chance = random.Random(1)

    def user(since: Any = month) -> Asked:
        return Asked(first_day=since, last_day=last, user_id=chance.randint(2, size.users))

    def heavy(since: Any = month) -> Asked:
        return Asked(first_day=since, last_day=last, user_id=HEAVY_USER)

    def site(since: Any = first) -> Asked:
        return Asked(first_day=since, last_day=last)

    def page(asked: Asked) -> None:
        assert asked.user_id is not None
        usage.summary(asked.user_id, now=now)
        usage.series(asked, "day")
        groups: tuple[usage.GroupBy, ...] = ("model", "kind", "conversation")
        for group_by in groups:
            usage.by(asked, group_by, limit=10)
        usage.per_conversation(asked)
        entries_page(EntriesAsked(user_id=asked.user_id))

    def deep(asked: EntriesAsked, pages: int) -> Callable[[], object]:
        cursor = ""
        for _ in range(pages):
            cursor = entries_page(asked, after=cursor, limit=500).next_cursor or ""
        return lambda: entries_page(asked, after=cursor)

    of_site = EntriesAsked(last_day=last)
    return [
        Question(
            "user: summary", lambda: usage.summary(chance.randint(2, size.users), now=now), USER_MS, 200
        ),
        Question("user: 30 days by day", lambda: usage.series(user(), "day"), USER_MS, 200),
        Question("user: 30 days by conversation", lambda: usage.by(user(), "conversation"), USER_MS, 200),
        Question("user: all days by month", lambda: usage.series(user(first), "month"), USER_MS, 200),
        Question("user: all days by kind", lambda: usage.by(user(first), "kind"), USER_MS, 200),
        Question("user: entries", lambda: entries_page(EntriesAsked(user_id=user().user_id)), USER_MS, 200),
        Question("user: a whole page (10 queries)", lambda: page(user()), USER_MS, 100),
        Question("heaviest user: a whole page", lambda: page(heavy()), USER_MS),
        Question("heaviest user: all days by month", lambda: usage.series(heavy(first), "month"), USER_MS),
        Question("heaviest user: entries, page 21", deep(EntriesAsked(user_id=HEAVY_USER), 2), USER_MS),
        Question("site: all days, total", lambda: usage.totals(site()), SITE_MS),
        Question("site: all days by day", lambda: usage.series(site(), "day"), SITE_MS),
        Question("site: all days by model", lambda: usage.by(site(), "model"), SITE_MS),
        Question(
            "site: 30 days by day and kind", lambda: usage.series_by(site(month), "day", "kind"), SITE_MS
        ),
        Question("site: 30 days beside those before", lambda: usage.compare(site(month)), SITE_MS),
        Question("site: 7 days by hour", lambda: usage.hours(now - timedelta(days=7), now), SITE_MS),
        Question("site: 30 days by hour", lambda: usage.hours(now - timedelta(days=30), now), SITE_MS),
        Question("site: entries", lambda: entries_page(of_site), SITE_MS),
        Question("site: entries, page 41", deep(of_site, 4), SITE_MS),
        Question(
            "site: entries of a model on a day",
            lambda: entries_page(EntriesAsked(first_day=month, last_day=month, model="bench:model-3")),
            SITE_MS,
        ),
        Question("all users, all days: the top 20", lambda: usage.by(site(), "user", limit=20), ALL_USERS_MS),
        Question("all users, all days: every user", lambda: usage.by(site(), "user"), ALL_USERS_MS),
        Question("all users, all days: by group", lambda: usage.by(site(), "group"), ALL_USERS_MS),
        *_page_questions(size, chance),
        *_admin_questions(size, now),
    ]


def _page_questions(size: Any, chance: random.Random) -> list[Question]:
    """Whole pages. For the dashboard over all days no time was promised."""
    from tests.bench.usage_whole_pages import whole_pages

    return [
        Question(name, ask, ALL_DAYS_MS if name.startswith("dashboard, all") else PAGE_MS, 40)
        for name, ask in whole_pages(size, chance).items()
    ]


def _admin_questions(size: Any, now: datetime) -> list[Question]:
    """Whole pages of the admin, templates and all."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    from billing.models import LedgerEntry

    root, _ = get_user_model().objects.get_or_create(username="root", is_staff=True, is_superuser=True)
    client = Client(SERVER_NAME="localhost")
    client.force_login(root)
    found = LedgerEntry.objects.order_by("-id")[123]
    last = size.last_day.date() - timedelta(days=100)
    month = last - timedelta(days=29)

    def page(query: str) -> Callable[[], object]:
        def ask() -> None:
            answer = client.get(f"/admin/billing/{query}")
            assert answer.status_code == 200, (query, answer.status_code, answer.headers)
            assert b'id="changelist"' in answer.content

        return ask

    return [
        Question(f"admin: {name}", page(query), ADMIN_MS, 40)
        for name, query in {
            "entries": "ledgerentry/",
            "entries, page 100": f"ledgerentry/?p={min(100, size.entries // 50)}",
            "entries of a user": f"ledgerentry/?q={size.users // 2}",
            "entries of the heaviest user": "ledgerentry/?q=1",
            "entries of a conversation": f"ledgerentry/?q={found.conversation_id}",
            "an entry by its hold": f"ledgerentry/?q={found.hold_id}",
            "corrections": "ledgerentry/?corrections=yes",
            "corrections of a user": f"ledgerentry/?corrections=yes&q={size.users // 2}",
            "entries of 7 days": "ledgerentry/?since=7",
            "entries behind a tile": f"ledgerentry/?local_day__gte={month}&local_day__lte={last}&bearer=user",
            "entries behind a tile, a model": (
                f"ledgerentry/?local_day__gte={month}&local_day__lte={last}&model=bench:model-3"
            ),
            "entries of 7 days of a user": "ledgerentry/?since=7&q=1",
            "holds": "hold/",
            "holds alive": "hold/?alive=yes",
            "a hold": f"hold/?q={found.hold_id}",
            "buckets": "bucket/",
            "buckets of a budget": f"bucket/?q={size.users // 2}",
            "budgets of a user": f"budget/?q={size.users // 2}",
        }.items()
    ]
