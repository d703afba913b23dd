"""Every figure of the rollups is a sum over entries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from hypothesis import example, given
from hypothesis import strategies as st

from billing import accounts, usage_queries
from billing.entry_lists import EntriesAsked
from billing.models import PendingRollup, SiteDayRollup
from billing.rollup_pieces import pieces
from billing.rollups import USER_DAY, USER_MONTH, USER_WEEK, fold_pending
from billing.usage_queries import Asked, Usage
from billing.usage_sums import next_period, period_start, periods_between
from tests.billing import play
from tests.billing.entry_pages import all_entries
from tests.billing.usage_lines import CALLS, CHATS, FROM, Call, Line, grouped, nonzero, play_calls, sums, told

pytestmark = pytest.mark.django_db

KEYS: dict[usage_queries.GroupBy, Callable[[Line], Any]] = {
    "model": lambda line: line.entry.model,
    "provider": lambda line: line.provider,
    "kind": lambda line: line.entry.turn_kind,
    "purpose": lambda line: line.entry.purpose,
    "conversation": lambda line: line.entry.conversation_id,
    "user": lambda line: line.entry.user_id,
    "group": lambda line: line.entry.group_id or 0,
}

FILTERS: list[tuple[dict[str, Any], Callable[[Line], bool]]] = [
    ({}, lambda line: True),
    ({"user_id": 1}, lambda line: line.entry.user_id == 1),
    ({"group_id": 0}, lambda line: line.entry.group_id is None),
    ({"conversation_id": CHATS[1]}, lambda line: line.entry.conversation_id == CHATS[1]),
    ({"model": "acme:small"}, lambda line: line.entry.model == "acme:small"),
    ({"user_id": 2, "provider": "acme"}, lambda line: line.entry.user_id == 2 and line.provider == "acme"),
    (
        {"provider": "acme", "kind": "code"},
        lambda line: line.provider == "acme" and line.entry.turn_kind == "code",
    ),
    ({"purpose": "title"}, lambda line: line.entry.purpose == "title"),
]


@pytest.mark.no_cover
@given(
    calls=CALLS,
    first=st.integers(-2, 75),
    length=st.integers(0, 75),
    which=st.integers(0, len(FILTERS) - 1),
)
@example(calls=[], first=0, length=0, which=0)
def test_every_report_is_the_sum_of_its_entries(
    calls: list[Call], first: int, length: int, which: int
) -> None:
    with transaction.atomic():
        lines = play_calls(calls)
        begin = FROM.date() + timedelta(days=first)
        asked = Asked(first_day=begin, last_day=begin + timedelta(days=length), **FILTERS[which][0])
        _check_reports(asked, [line for line in lines if FILTERS[which][1](line)])
        _check_hours(lines)
        assert play.books_broken(FROM + timedelta(days=99)) == []
        transaction.set_rollback(True)


def _check_reports(asked: Asked, lines: list[Line]) -> None:
    inside = [line for line in lines if asked.first_day <= line.day <= asked.last_day]
    assert usage_queries.totals(asked) == sums(inside)
    steps: list[usage_queries.Step] = ["day", "week", "month"]
    for step in steps:
        rows = usage_queries.series(asked, step)
        start = partial(_start, step)
        assert told(rows) == nonzero(grouped(inside, start))
        starts = [row.key for row in rows]
        assert starts == sorted(starts)
        assert len(rows) >= asked.days / 31
        for name, key in KEYS.items():
            found = usage_queries.series_by(asked, step, name)
            for value, of in found.items():
                mine = [line for line in inside if key(line) == value]
                assert told(of) == nonzero(grouped(mine, start))
            assert set(found) == {key(line) for line in inside}
    for name, key in KEYS.items():
        expected = grouped(inside, key)
        assert {row.key: row.usage for row in usage_queries.by(asked, name)} == expected
        best = max((usage.billed.cost_nanousd for usage in expected.values()), default=None)
        top = usage_queries.by(asked, name, order="cost", limit=1)
        assert [row.usage.billed.cost_nanousd for row in top] == ([] if best is None else [best])
    compared = usage_queries.compare(asked)
    length = timedelta(days=asked.days)
    before = [line for line in lines if asked.first_day - length <= line.day <= asked.last_day - length]
    assert (compared.current, compared.previous) == (sums(inside), sums(before))
    billed = [line for line in inside if line.entry.bearer == "user"]
    average = usage_queries.per_conversation(asked)
    chats = len({line.entry.conversation_id for line in billed})
    assert average.conversations == chats
    if chats:
        assert average.total_tokens == sums(billed).billed.total_tokens // chats
        assert average.cost_nanousd == sums(billed).billed.cost_nanousd // chats
    wanted = EntriesAsked(
        first_day=asked.first_day,
        last_day=asked.last_day,
        user_id=asked.user_id,
        group_id=asked.group_id,
        conversation_id=asked.conversation_id,
        model=asked.model,
        provider=asked.provider,
        kind=asked.kind,
        purpose=asked.purpose,
    )
    listed = [entry.pk for entry in all_entries(wanted)]
    assert listed == [
        line.entry.pk for line in sorted(inside, key=lambda one: (one.day, one.entry.pk), reverse=True)
    ]


def _start(step: str, line: Line) -> date:
    return period_start(line.day, step)


def _check_hours(lines: list[Line]) -> None:
    first, last = FROM + timedelta(hours=5, minutes=20), FROM + timedelta(days=40)
    rows = usage_queries.hours(first, last)
    assert len(rows) == 40 * 24 - 5 + 1
    expected = nonzero(grouped(lines, lambda line: line.entry.created_at.replace(minute=0, second=0)))
    within = {hour: usage for hour, usage in expected.items() if rows[0][0] <= hour <= rows[-1][0]}
    assert {hour: usage for hour, usage in rows if usage != Usage()} == within
    assert usage_queries.hour_totals(first, last) == [
        (hour, (usage.all.calls, usage.all.total_tokens, usage.all.cost_nanousd)) for hour, usage in rows
    ]
    small = usage_queries.hours(first, last, model="acme:small", kind="code")
    wanted = [
        line
        for line in lines
        if (line.entry.model, line.entry.turn_kind) == ("acme:small", "code")
        and rows[0][0] <= line.entry.created_at < rows[-1][0] + timedelta(hours=1)
    ]
    assert sum((usage for _, usage in small), start=Usage()) == sums(wanted)


@pytest.mark.parametrize("folded", [0, 60, 200])
def test_users_of_any_range_are_summed_from_months_and_days(folded: int) -> None:
    """Every range between two days, with whole months and without, on a call each day."""
    begin = date(2026, 1, 25)
    days = [begin + timedelta(days=number) for number in range(100)]
    accounts.set_plan(user_id=1, plan="unlimited")
    for number, day in enumerate(days):
        now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        play.spend(now=now, tokens=10 + number)
    fold_pending(limit=folded)
    for first in range(0, 100, 7):
        for last in range(first, 100, 5):
            asked = Asked(first_day=days[first], last_day=days[last])
            rows = usage_queries.by(asked, "user")
            assert [row.usage.billed.calls for row in rows] == [last - first + 1]
            assert rows[0].usage.billed.total_tokens == sum(range(10 + first, 11 + last))


def test_folding_moves_what_is_pending_and_changes_no_figure() -> None:
    for number in range(3):
        play.spend(now=play.NOON + timedelta(days=number))
    asked = Asked(first_day=date(2026, 3, 1), last_day=date(2026, 3, 31))
    before = usage_queries.totals(asked)
    assert before.billed.calls == 3
    assert PendingRollup.objects.count() == 3
    assert fold_pending(limit=2) == 2
    assert (PendingRollup.objects.count(), SiteDayRollup.objects.count()) == (1, 2)
    assert usage_queries.totals(asked) == before
    assert (fold_pending(), fold_pending()) == (1, 0)
    assert usage_queries.totals(asked) == before
    assert play.broken() == []


@given(first=st.dates(date(2024, 1, 1), date(2027, 1, 1)), length=st.integers(0, 800))
def test_the_pieces_of_a_range_hold_each_of_its_days_once_and_few_of_them_singly(
    first: date, length: int
) -> None:
    last = first + timedelta(days=length)
    held: list[date] = []
    single = 0
    for piece in pieces(first, last):
        step = {USER_MONTH.table: "month", USER_WEEK.table: "week", USER_DAY.table: "day"}[piece.rollup.table]
        starts = periods_between(piece.first, piece.last, step)
        assert starts[0] == piece.first
        for start in starts:
            held += [start + timedelta(days=day) for day in range((next_period(start, step) - start).days)]
        single += len(starts) if step == "day" else 0
    assert sorted(held) == [first + timedelta(days=day) for day in range(length + 1)]
    assert single <= 24  # six at either end of the weeks at either end of the months
