"""Random calls, and the plain sums over their entries that every report is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from billing import accounts, entries
from billing.models import TOKEN_COLUMNS, BillingGroup, LedgerEntry
from billing.rollups import fold_pending
from billing.usage import UsageCounts
from billing.usage_queries import Sums, Usage, UsageRow
from tests.billing import play

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
