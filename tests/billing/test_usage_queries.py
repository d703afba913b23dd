from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import accounts, prices, usage_queries
from billing.entry_lists import EntriesAsked, entries_page
from billing.errors import InvalidAmount
from billing.rollups import fold_pending
from billing.usage_queries import Asked, Usage
from billing.usage_sums import change_percent, whole_months
from tests.billing import play

pytestmark = pytest.mark.django_db


def spend_on(
    day: date, tokens: int, *, user_id: int = 1, zone: str = "Europe/Berlin", **changes: Any
) -> None:
    """A call at 00:30 of this local day."""
    now = datetime(day.year, day.month, day.day, 0, 30, tzinfo=ZoneInfo(zone))
    play.spend(user_id, tokens, now=now, **changes)


def test_a_summary_compares_with_as_much_of_the_period_before() -> None:
    """Wednesday the 1st of April in Berlin, three days after the clocks went forward."""
    accounts.set_timezone(user_id=1, timezone_name="Europe/Berlin")
    chat = UUID(int=9)
    for day, tokens in [
        (date(2026, 4, 1), 10),
        (date(2026, 3, 31), 200),
        (date(2026, 3, 30), 30),
        (date(2026, 3, 29), 4_000),
        (date(2026, 3, 26), 5_000),
        (date(2026, 3, 25), 600),
        (date(2026, 3, 1), 70),
        (date(2026, 2, 28), 800),
    ]:
        spend_on(day, tokens, conversation_id=chat)
    spend_on(date(2026, 4, 1), 9, user_id=2, zone="UTC")
    # 22:30 UTC is the next day in Berlin, in summer time.
    found = usage_queries.summary(1, now=datetime(2026, 3, 31, 22, 30, tzinfo=UTC))
    assert (found.day, found.timezone) == (date(2026, 4, 1), "Europe/Berlin")

    def pair(compared: usage_queries.Comparison) -> tuple[int, int]:
        return compared.current.billed.total_tokens, compared.previous.billed.total_tokens

    assert pair(found.today) == (10, 200)
    assert pair(found.week) == (240, 600)
    assert found.week.previous_days == (date(2026, 3, 23), date(2026, 3, 25))
    assert pair(found.month) == (10, 70)
    assert found.today.tokens_percent == -95
    assert (found.per_conversation.conversations, found.per_conversation.total_tokens) == (1, 10)


def test_the_31st_is_compared_with_a_whole_shorter_month() -> None:
    spend_on(date(2026, 3, 31), 10, zone="UTC")
    spend_on(date(2026, 2, 28), 20, zone="UTC")
    spend_on(date(2026, 2, 1), 30, zone="UTC")
    found = usage_queries.summary(1, now=datetime(2026, 3, 31, 12, tzinfo=UTC))
    assert found.month.previous.billed.total_tokens == 50
    assert found.month.previous_days == (date(2026, 2, 1), date(2026, 2, 28))


def test_a_user_with_nothing_has_zeros() -> None:
    found = usage_queries.summary(77, now=play.NOON)
    assert found.month.current == Usage()
    assert found.month.tokens_percent is None
    assert found.per_conversation == usage_queries.Average(0, 0, 0)
    asked = Asked(first_day=date(2026, 3, 1), last_day=date(2026, 3, 3), user_id=77)
    assert [row.usage for row in usage_queries.series(asked, "day")] == [Usage()] * 3
    assert usage_queries.by(asked, "model") == []
    assert entries_page(EntriesAsked(user_id=77)).entries == []


VERBS: dict[str, tuple[int, Callable[[Asked], object]]] = {
    "totals": (1, usage_queries.totals),
    "series": (1, lambda asked: usage_queries.series(asked, "week")),
    "by user": (2, lambda asked: usage_queries.by(asked, "user", limit=5)),
    "by model": (1, lambda asked: usage_queries.by(asked, "model")),
    "series by kind": (1, lambda asked: usage_queries.series_by(asked, "day", "kind")),
    "compare": (2, usage_queries.compare),
    "per conversation": (1, usage_queries.per_conversation),
    "summary": (3, lambda asked: usage_queries.summary(1, now=play.NOON)),
    "hours": (1, lambda asked: usage_queries.hours(play.NOON, play.NOON + timedelta(days=1))),
    "entries": (1, lambda asked: entries_page(EntriesAsked(user_id=asked.user_id), limit=2)),
}


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("user_id", [None, 1])
def test_it_asks_the_same_number_of_queries_whatever_there_is(name: str, user_id: int | None) -> None:
    count, verb = VERBS[name]
    asked = Asked(first_day=date(2025, 3, 2), last_day=date(2026, 3, 4), user_id=user_id)
    accounts.ensure_account(user_id=1)
    for days in (0, 1, 5):
        for number in range(days):
            play.spend(1 + number % 2, now=play.NOON - timedelta(days=number), model=f"acme:{number}")
        with CaptureQueriesContext(connection) as asked_for:
            verb(asked)
        assert len(asked_for) == count


@pytest.mark.parametrize("order", ["tokens", "cost", "calls"])
@pytest.mark.parametrize("group_by", ["user", "conversation", "model", "group"])
@pytest.mark.parametrize("of_one", [False, True])
@pytest.mark.parametrize("is_folded", [False, True])
def test_the_greatest_are_the_first_of_all(
    order: usage_queries.Order, group_by: usage_queries.GroupBy, of_one: bool, is_folded: bool
) -> None:
    prices.set_price(model=play.MODEL, tiers=[prices.TierPrice(100_000, 400_000)], valid_from=play.NOON)
    for user_id, tokens in ((1, 300), (2, 100), (3, 100), (4, 900), (1, 500)):
        accounts.set_plan(user_id=user_id, plan="unlimited")
        play.spend(user_id, tokens=tokens, now=play.NOON)
        play.spend(user_id, tokens=tokens, now=play.NOON - timedelta(days=40))
    if is_folded:
        fold_pending()
    first = play.NOON.date() - timedelta(days=70)
    asked = Asked(first_day=first, last_day=play.NOON.date(), user_id=1 if of_one else None)
    whole = usage_queries.by(asked, group_by, order=order)
    for limit in (1, 2, 3, 10):
        assert usage_queries.by(asked, group_by, order=order, limit=limit) == whole[:limit]


def test_impossible_ranges_and_pages_are_refused() -> None:
    with pytest.raises(InvalidAmount):
        Asked(first_day=date(2026, 3, 2), last_day=date(2026, 3, 1))
    with pytest.raises(InvalidAmount):
        Asked(first_day=date(1, 1, 1), last_day=date(9999, 12, 31))
    with pytest.raises(InvalidAmount):
        entries_page(EntriesAsked(), limit=501)


@pytest.mark.parametrize(
    ("now", "before", "percent"),
    [
        (3, 2, 50),
        (1, 3, -67),
        (2, 3, -33),
        (0, 5, -100),
        (5, 0, None),
        (1, -1, None),
        (2, 2, 0),
        (205, 200, 3),
    ],
)
def test_changes_are_whole_percent(now: int, before: int, percent: int | None) -> None:
    assert change_percent(now, before) == percent


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [
        ("2026-01-01", "2026-01-31", ("2026-01-01", "2026-01-01")),
        ("2026-01-02", "2026-02-27", None),
        ("2026-01-02", "2026-02-28", ("2026-02-01", "2026-02-01")),
        ("2025-12-31", "2026-03-01", ("2026-01-01", "2026-02-01")),
        ("2026-01-01", "2026-12-31", ("2026-01-01", "2026-12-01")),
    ],
)
def test_whole_months_lie_between(first: str, last: str, months: tuple[str, str] | None) -> None:
    found = whole_months(date.fromisoformat(first), date.fromisoformat(last))
    assert (found and tuple(str(month) for month in found)) == months
