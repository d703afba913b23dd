"""Ranges of days, as a query names them."""

from __future__ import annotations

from datetime import date

import pytest

from conversations.usage.ranges import read_range

TODAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ({}, date(2026, 10, 23), TODAY),
        ({"range": "7"}, date(2026, 11, 15), TODAY),
        ({"range": "month"}, date(2026, 11, 1), TODAY),
        ({"from": "2026-02-27", "to": "2026-03-01"}, date(2026, 2, 27), date(2026, 3, 1)),
        ({"from": "2026-11-20"}, date(2026, 11, 20), TODAY),
        ({"to": "2026-01-05"}, date(2026, 1, 5), date(2026, 1, 5)),
        ({"from": "2026-11-20", "range": "7"}, date(2026, 11, 20), TODAY),
    ],
)
def test_it_reads_a_range(query: dict[str, str], first: date, last: date) -> None:
    found = read_range(query, TODAY)
    assert (found.first, found.last, found.error) == (first, last, "")


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2026-13-01"},
        {"from": "2026-11-05", "to": "2026-11-04"},
        {"from": "0001-01-01"},
        {"from": "1999-12-31", "to": "2000-01-05"},
        {"to": "9999-12-31", "from": "2000-01-01"},
    ],
)
def test_it_shows_the_usual_range_and_says_what_was_wrong(query: dict[str, str]) -> None:
    found = read_range(query, TODAY)
    assert (found.days, found.last) == (30, TODAY)
    assert found.error


@pytest.mark.parametrize("preset", ["", "0", "-1", "everything", "30.0", "７"])
def test_it_shows_the_usual_range_for_a_preset_that_is_none(preset: str) -> None:
    assert read_range({"range": preset}, TODAY).days == 30


@pytest.mark.parametrize(("days", "step"), [("7", "day"), ("90", "day"), ("365", "week")])
def test_it_draws_long_ranges_in_longer_steps(days: str, step: str) -> None:
    assert read_range({"range": days}, TODAY).step == step
