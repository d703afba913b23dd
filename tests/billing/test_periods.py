from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import InvalidAmount
from billing.periods import bounds, check_timezone, day_start, local_day, next_bounds

ZONES = st.sampled_from(sorted(available_timezones() - {"localtime"}))
TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))
PERIODS = st.sampled_from(["day", "week", "month"])


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "zone", "now", "start", "end"),
    [
        ("day", "UTC", "2026-03-04T12:00", "2026-03-04T00:00", "2026-03-05T00:00"),
        ("day", "Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),  # 23 hours
        ("day", "Europe/Berlin", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),  # 25 hours
        ("day", "Asia/Tokyo", "2026-03-04T14:59", "2026-03-03T15:00", "2026-03-04T15:00"),
        ("day", "Asia/Tokyo", "2026-03-04T15:00", "2026-03-04T15:00", "2026-03-05T15:00"),
        # Midnight does not exist: the day begins where the gap ends.
        ("day", "America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04T03:00", "2018-11-05T02:00"),
        # Midnight comes twice: the day begins with the first.
        ("day", "America/Havana", "2025-11-02T12:00", "2025-11-02T04:00", "2025-11-03T05:00"),
        # The clock fell back over midnight at 00:01: the new day had begun and does not end again.
        ("day", "America/St_Johns", "2010-11-07T03:00", "2010-11-07T02:30", "2010-11-08T03:30"),
        # Samoa skipped 30 December 2011.
        ("day", "Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00", "2011-12-31T10:00"),
        ("week", "UTC", "2026-03-08T23:59", "2026-03-02T00:00", "2026-03-09T00:00"),
        ("week", "America/New_York", "2026-03-09T03:00", "2026-03-02T05:00", "2026-03-09T04:00"),
        ("month", "UTC", "2028-02-29T12:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        ("month", "Pacific/Auckland", "2026-12-31T12:00", "2026-12-31T11:00", "2027-01-31T11:00"),
    ],
)
def test_it_finds_the_period(period: str, zone: str, now: str, start: str, end: str) -> None:
    assert bounds(period, zone, at(now)) == (at(start), at(end))


def test_a_budget_without_period_has_one_that_never_ends() -> None:
    assert bounds("none", "UTC", at("2026-03-04T12:00")) == (datetime(1970, 1, 1, tzinfo=UTC), None)


@given(PERIODS, ZONES, TIMES)
def test_a_period_holds_its_time_and_the_next_begins_where_it_ends(
    period: str, zone: str, now: datetime
) -> None:
    start, end = bounds(period, zone, now)
    assert end is not None
    assert start <= now < end
    assert bounds(period, zone, start) == (start, end)
    assert bounds(period, zone, end)[0] == end
    assert bounds(period, zone, end - timedelta(microseconds=1)) == (start, end)


@given(ZONES, TIMES)
def test_days_lie_within_weeks_and_months(zone: str, now: datetime) -> None:
    day_begin, day_end = bounds("day", zone, now)
    for period in ("week", "month"):
        begin, end = bounds(period, zone, now)
        assert begin <= day_begin
        assert day_end is not None
        assert end is not None
        assert day_end <= end


@given(ZONES, TIMES)
def test_the_local_day_begins_with_its_period(zone: str, now: datetime) -> None:
    day = local_day(zone, now)
    assert day_start(day, zone) == bounds("day", zone, now)[0]


@given(PERIODS, ZONES, ZONES, TIMES, st.integers(0, 60 * 24 * 80))
def test_a_change_of_zone_leaves_no_gap_and_gives_no_second_allowance(
    period: str, old_zone: str, new_zone: str, now: datetime, later_minutes: int
) -> None:
    _, old_end = bounds(period, old_zone, now)
    assert old_end is not None
    then = old_end + timedelta(minutes=later_minutes)
    start, end = next_bounds(period, new_zone, then, previous_end=old_end, previous_zone=old_zone)
    assert end is not None
    assert old_end <= start <= then < end
    _, one_more = bounds(period, old_zone, old_end)
    assert one_more is not None
    # Either it follows at once, or a whole old period lies between; it ends at a boundary of the new zone.
    if new_zone != old_zone:
        assert start == old_end or start >= one_more or bounds(period, new_zone, start)[0] == start
        assert end >= one_more or bounds(period, new_zone, old_end)[0] == old_end
    assert bounds(period, new_zone, end)[0] == end


def test_every_zone_has_every_day_of_three_years() -> None:
    for zone in sorted(available_timezones() - {"localtime"})[::40]:
        day, end = date(2025, 1, 1), None
        while day < date(2028, 1, 1):
            start = day_start(day, zone)
            assert end is None or start == end, (zone, day)
            end = bounds("day", zone, start)[1]
            day += timedelta(days=1)


@pytest.mark.parametrize("name", ["", "Berlin", "Mars/Olympus", "../../etc/passwd", "America", "UTC+2"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidAmount):
        check_timezone(name)


def test_a_known_zone_is_returned() -> None:
    assert ZoneInfo(check_timezone("Europe/Berlin"))
