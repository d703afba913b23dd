from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import example, given
from hypothesis import strategies as st

from billing import accounts, entries, usage_queries
from billing.entry_lists import EntriesAsked, all_entries, entries_page
from billing.errors import InvalidAmount
from billing.models import TOKEN_COLUMNS, BillingGroup, LedgerEntry, PendingRollup, SiteDayRollup
from billing.rollups import fold_pending
from billing.usage import UsageCounts
from billing.usage_queries import Asked, Sums, Usage, UsageRow
from billing.usage_sums import change_percent, period_start, whole_months
from tests.billing import play

pytestmark = pytest.mark.django_db

# A day of 23 hours in Berlin, one of 25 in Lord Howe (by half an hour only), and zones far apart.
ZONES = {1: "Europe/Berlin", 2: "Pacific/Kiritimati", 3: "America/St_Johns"}
FROM = datetime(2026, 3, 27, 20, 0, tzinfo=UTC)
MODELS = ["acme:small", "acme:large", "other:small"]
CHATS = [UUID(int=number) for number in (1, 2, 3)]


@dataclass(frozen=True)
class Call:
    user_id: int
    minutes: int
    model: str
    chat: UUID
    kind: str
    purpose: str
    usage: UsageCounts
    bearer: str
    estimated: bool
    then: str
    fold: int


COUNTS = st.builds(
    UsageCounts,
    input_uncached=st.integers(0, 90),
    cache_read=st.integers(0, 50),
    cache_write=st.integers(0, 50),
    tool_prompt=st.integers(0, 50),
    output_visible=st.integers(0, 90),
    thinking=st.integers(0, 90),
)
CALLS = st.lists(
    st.builds(
        Call,
        user_id=st.sampled_from([1, 2, 3]),
        minutes=st.integers(0, 60 * 24 * 70),
        model=st.sampled_from(MODELS),
        chat=st.sampled_from(CHATS),
        kind=st.sampled_from(["code", "explanation", "other", ""]),
        purpose=st.sampled_from(["answer", "title"]),
        usage=COUNTS,
        bearer=st.sampled_from(["user", "user", "house"]),
        estimated=st.booleans(),
        then=st.sampled_from(["", "", "true up", "refund"]),
        fold=st.integers(0, 3),
    ),
    max_size=8,
)


@dataclass
class Line:
    """An entry as the test sees it: its day by the zone of who made the call."""

    entry: LedgerEntry
    day: date
    provider: str


def play_calls(calls: Iterable[Call]) -> list[Line]:
    play.price("acme:small", 100_000, 400_000)
    play.price("other:small", 30_001, 70_003)  # the third model has no price
    group = BillingGroup.objects.create(name="team")
    for user_id, zone in ZONES.items():
        accounts.set_plan(user_id=user_id, plan="unlimited")
        accounts.set_timezone(user_id=user_id, timezone_name=zone)
    accounts.join_group(user_id=2, group=group)
    days: dict[UUID, date] = {}
    for call in calls:
        placed = FROM + timedelta(minutes=call.minutes)
        ended = placed + timedelta(minutes=call.minutes % 90)  # some end on the next day
        hold = play.dispatched(
            call.user_id, now=placed, model=call.model, conversation_id=call.chat, purpose=call.purpose
        )
        entry = play.settle(
            hold,
            0,
            0,
            usage=call.usage,
            estimated=call.estimated,
            bearer=call.bearer,
            kind=call.kind,
            now=ended,
        ).entry
        assert entry is not None
        if call.then == "true up":
            entries.true_up(hold.pk, usage=UsageCounts(7, 1, 2, 3, 4, 5), now=ended + timedelta(days=2))
        elif call.then == "refund":
            entries.refund(entry.pk, reason="", now=ended + timedelta(hours=1))
        days[hold.generation_id] = placed.astimezone(ZoneInfo(ZONES[call.user_id])).date()
        fold_pending(limit=call.fold)
    return [
        Line(entry, days[entry.generation_id], entry.model.split(":")[0])
        for entry in LedgerEntry.objects.all()
        if entry.generation_id is not None
    ]


def sums(lines: Iterable[Line]) -> Usage:
    """The plain sum, over the entries themselves."""
    total: dict[str, dict[str, int]] = {
        bearer: dict.fromkeys(Sums._fields, 0) for bearer in ("user", "house")
    }
    for line in lines:
        of, entry = total[line.entry.bearer], line.entry
        for column in TOKEN_COLUMNS:
            of[column] += getattr(entry, column)
        of["cost_nanousd"] += entry.cost_nanousd or 0
        if entry.kind == "usage":
            of["calls"] += 1
            of["estimated_calls"] += entry.estimated
            of["unpriced_calls"] += entry.cost_nanousd is None
    return Usage(Sums(**total["user"]), Sums(**total["house"]))


def grouped(lines: Iterable[Line], key: Callable[[Line], Any]) -> dict[Any, Usage]:
    found: dict[Any, list[Line]] = {}
    for line in lines:
        found.setdefault(key(line), []).append(line)
    return {value: sums(of) for value, of in found.items()}


def told(rows: Iterable[UsageRow]) -> dict[Any, Usage]:
    return {row.key: row.usage for row in rows if row.usage != Usage()}


def nonzero(found: dict[Any, Usage]) -> dict[Any, Usage]:
    return {key: usage for key, usage in found.items() if usage != Usage()}


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
    "by user": (1, lambda asked: usage_queries.by(asked, "user", limit=5)),
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


def test_pages_of_entries_follow_each_other_while_new_ones_are_written() -> None:
    for number in range(5):
        play.spend(now=play.NOON - timedelta(days=number // 2))
    wanted = EntriesAsked(user_id=1)
    everything = [entry.pk for entry in all_entries(wanted)]
    assert len(everything) == 5
    first = entries_page(wanted, limit=2)
    assert first.next_cursor is not None
    play.spend(now=play.NOON + timedelta(days=1))
    second = entries_page(wanted, after=first.next_cursor, limit=2)
    assert second.next_cursor is not None
    last = entries_page(wanted, after=second.next_cursor, limit=2)
    assert last.next_cursor is None
    assert [entry.pk for page in (first, second, last) for entry in page.entries] == everything


def test_entries_are_found_by_what_they_are() -> None:
    play.price()
    one = play.spend(1, model=play.MODEL)
    hold = play.dispatched(2, model="other:x", purpose="title")
    play.settle(hold, 5, 5, estimated=True, kind="code", bearer="house", now=play.NOON + timedelta(hours=3))
    refund = entries.refund(one.pk, reason="", now=play.NOON + timedelta(days=4))

    def found(**asked: Any) -> set[str]:
        return {entry.kind + entry.model[:1] for entry in entries_page(EntriesAsked(**asked)).entries}

    assert found(provider="acme") == {"usagea", "refunda"}
    assert found(entry_kind="refund") == {"refunda"}
    assert found(purpose="title") == found(kind="code") == found(bearer="house") == {"usageo"}
    assert found(estimated=True) == found(generation_id=hold.generation_id) == {"usageo"}
    assert found(written_from=play.NOON + timedelta(hours=1)) == {"usageo", "refunda"}
    assert found(written_before=play.NOON + timedelta(hours=1)) == {"usagea"}
    # A refund counts on the day of what it refunds.
    assert refund.local_day == one.local_day
    assert found(first_day=one.local_day, last_day=one.local_day, user_id=1) == {"usagea", "refunda"}


@pytest.mark.parametrize("cursor", ["x", "2026-03-04", "2026-13-01.00000000000000000000000000000001", "."])
def test_a_wrong_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidAmount):
        entries_page(EntriesAsked(), after=cursor)


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
