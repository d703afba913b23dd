"""What usage reports are made of: sums, whom they are asked for, and the periods they fall into. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from billing.errors import InvalidAmount
from billing.models import Bearer, Period

Key = date | str | int | UUID

# One query answers for at most this many days: a century of mistyped dates is no report.
MAX_DAYS = 3_700


class Sums(NamedTuple):
    """Sums over entries. Token columns are disjoint, the properties inclusive, as receipts are.

    ``cost_nanousd`` leaves out the ``unpriced_calls``. A correction can make any of them negative where a
    filter separates it from what it corrects.
    """

    calls: int = 0
    estimated_calls: int = 0
    unpriced_calls: int = 0
    input_uncached_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    tool_prompt_tokens: int = 0
    output_visible_tokens: int = 0
    thinking_tokens: int = 0
    cost_nanousd: int = 0

    def __add__(self, other: Sums) -> Sums:  # type: ignore[override]  # tuples would be joined
        if other is NOTHING:
            return self
        if self is NOTHING:
            return other
        return Sums(
            self.calls + other.calls,
            self.estimated_calls + other.estimated_calls,
            self.unpriced_calls + other.unpriced_calls,
            self.input_uncached_tokens + other.input_uncached_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.tool_prompt_tokens + other.tool_prompt_tokens,
            self.output_visible_tokens + other.output_visible_tokens,
            self.thinking_tokens + other.thinking_tokens,
            self.cost_nanousd + other.cost_nanousd,
        )

    @property
    def input_tokens(self) -> int:
        return (
            self.input_uncached_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.tool_prompt_tokens
        )

    @property
    def output_tokens(self) -> int:
        return self.output_visible_tokens + self.thinking_tokens

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def known_cost_nanousd(self) -> int | None:
        """None where there were calls and none of them had a price."""
        return None if 0 < self.calls <= self.unpriced_calls else self.cost_nanousd


NOTHING = Sums()


class Usage(NamedTuple):
    """``billed``: what users bear; ``house``: what our or the provider's faults cost, borne by the house."""

    billed: Sums = NOTHING
    house: Sums = NOTHING

    def __add__(self, other: Usage) -> Usage:  # type: ignore[override]  # tuples would be joined
        return Usage(self.billed + other.billed, self.house + other.house)

    @property
    def all(self) -> Sums:
        """What the provider charges."""
        return self.billed + self.house


def usage_of(bearer: str, sums: Sums) -> Usage:
    return Usage(billed=sums) if bearer == Bearer.USER else Usage(house=sums)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """``key``: the period's first day, a model, a provider, a kind, a purpose, a conversation's UUID, a
    user's or a group's number (0 = in no group).
    """

    key: Key
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whose usage of which days, both inclusive. None = all; ``group_id`` 0 = users without a group.

    Days are those of the user who made the call, frozen on the entry. Raises InvalidAmount for days that
    end before they begin, or more than ``MAX_DAYS`` of them.
    """

    first_day: date
    last_day: date
    user_id: int | None = None
    group_id: int | None = None
    conversation_id: UUID | None = None
    model: str | None = None
    provider: str | None = None
    kind: str | None = None
    purpose: str | None = None

    def __post_init__(self) -> None:
        if self.last_day < self.first_day:
            raise InvalidAmount(f"the days end ({self.last_day}) before they begin ({self.first_day})")
        if self.days > MAX_DAYS:
            raise InvalidAmount(f"{self.days} days are too many for one report; {MAX_DAYS} at most")

    @property
    def days(self) -> int:
        return (self.last_day - self.first_day).days + 1


def period_start(day: date, step: str) -> date:
    """The first day of the day's period: of itself, of its week (Monday) or of its month."""
    if step == Period.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if step == Period.MONTH else day


def next_period(start: date, step: str) -> date:
    """The first day of the period after the one that begins on ``start``."""
    if step == Period.MONTH:
        return (start + timedelta(days=31)).replace(day=1)
    return start + timedelta(days=7 if step == Period.WEEK else 1)


def periods_between(first: date, last: date, step: str) -> list[date]:
    """The first days of all periods that touch these days, in order."""
    starts, start = [], period_start(first, step)
    while start <= last:
        starts.append(start)
        start = next_period(start, step)
    return starts


def whole_months(first: date, last: date) -> tuple[date, date] | None:
    """The first days of the first and the last calendar month that lie wholly between these days."""
    begin = first if first.day == 1 else next_period(first.replace(day=1), Period.MONTH)
    end = (last + timedelta(days=1)).replace(day=1)  # the month after the last whole one
    if begin >= end:
        return None
    return begin, (end - timedelta(days=1)).replace(day=1)


def whole_weeks(first: date, last: date) -> tuple[date, date] | None:
    """The Mondays of the first and the last week that lie wholly between these days."""
    begin = first + timedelta(days=-first.weekday() % 7)
    end = last - timedelta(days=(last.weekday() + 1) % 7 + 6)  # of the week whose Sunday is the last one
    return (begin, end) if begin <= end else None


def added_up(rows: Iterable[UsageRow], keys: Sequence[Key] = ()) -> dict[Key, Usage]:
    """Usage by key; ``keys`` are there, and first, even where nothing was used."""
    found: dict[Key, Usage] = {key: Usage() for key in keys}
    for row in rows:
        found[row.key] = found.get(row.key, Usage()) + row.usage
    return found


def change_percent(now: int, before: int) -> int | None:
    """By how many percent it grew (rounded half away from zero); None where there was nothing before."""
    if before <= 0:
        return None
    doubled = 200 * (now - before)
    sign = -1 if doubled < 0 else 1
    return sign * ((abs(doubled) + before) // (2 * before))
