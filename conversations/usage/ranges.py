"""Which days a report is about: presets that end today, or from one day to another. Pure.

Days are local ones of the person who looks; both ends are inclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from billing.usage_sums import MAX_DAYS

DEFAULT = "30"
PRESETS = {"7": "7 days", "30": "30 days", "90": "90 days", "month": "This month", "365": "A year"}


@dataclass(frozen=True, slots=True)
class Range:
    """``preset``: which one it is; "" for days chosen by hand. ``error``: what was wrong with those."""

    first: date
    last: date
    preset: str = ""
    error: str = ""

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def step(self) -> str:
        """Days as bars, as long as they can be told apart."""
        if self.days <= 92:
            return "day"
        return "week" if self.days <= 400 else "month"

    @property
    def label(self) -> str:
        if self.preset == "month":
            return f"{self.first:%B %Y}"
        return f"{day_text(self.first)} to {day_text(self.last)}"

    @property
    def query(self) -> str:
        """The same range as a query string, whatever day it is read on."""
        return f"from={self.first}&to={self.last}"


def read_range(query: Mapping[str, str], today: date) -> Range:
    """The range that ``from``, ``to`` or ``range`` name; the default, with ``error``, for nonsense."""
    if query.get("from") or query.get("to"):
        try:
            last = date.fromisoformat(query.get("to") or today.isoformat())
            first = date.fromisoformat(query.get("from") or last.isoformat())
        except ValueError:
            return _default(today, "A day is written as 2026-11-21.")
        if first > last:
            return _default(today, "The last day comes before the first one.")
        if (last - first).days >= MAX_DAYS or first.year < 2000:
            return _default(today, "That is too long a time.")
        return Range(first, last)
    preset = query.get("range", DEFAULT)
    if preset == "month":
        return Range(today.replace(day=1), today, preset)
    if preset not in PRESETS:
        return _default(today, "")
    return Range(today - timedelta(days=int(preset) - 1), today, preset)


def _default(today: date, error: str) -> Range:
    return Range(today - timedelta(days=int(DEFAULT) - 1), today, DEFAULT, error)


def day_text(day: date) -> str:
    """3 November 2026"""
    return f"{day.day} {day:%B %Y}"


def short_day(day: date) -> str:
    """3 Nov"""
    return f"{day.day} {day:%b}"


def period_text(first: date, step: str) -> str:
    """How a bar is called: a day, the week from a Monday, or a month."""
    if step == "month":
        return f"{first:%B %Y}"
    return f"week from {day_text(first)}" if step == "week" else f"{first:%A}, {day_text(first)}"


def short_period(first: date, step: str) -> str:
    return f"{first:%b %Y}" if step == "month" else short_day(first)
