"""Where days, weeks and months begin: local midnight in a zone, as UTC. Pure.

A day may have 23 or 25 hours, and none at all where a zone skipped a date. Weeks begin on Monday.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from billing.errors import InvalidAmount
from billing.models import Period

# The one period of a budget without period starts here and has no end.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def check_timezone(name: str) -> str:
    """``name`` if it is an IANA zone, else InvalidAmount."""
    if name not in _zone_names():
        raise InvalidAmount(f"{name!r} is not a time zone. Example: Europe/Berlin")
    return name


def day_start(day: date, zone: str) -> datetime:
    """The first instant of a local day in UTC. A midnight inside a gap is the end of the gap."""
    return datetime.combine(day, time.min, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def local_day(zone: str, now: datetime) -> date:
    """The local day of an instant: the last that has begun, also where a clock fell back over midnight."""
    day = now.astimezone(ZoneInfo(zone)).date()
    if day_start(day + timedelta(days=1), zone) <= now:
        return day + timedelta(days=1)
    return day


def _first_and_next(period: str, day: date) -> tuple[date, date]:
    if period == Period.DAY:
        return day, day + timedelta(days=1)
    if period == Period.WEEK:
        first = day - timedelta(days=day.weekday())
        return first, first + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def bounds(period: str, zone: str, now: datetime) -> tuple[datetime, datetime | None]:
    """Start and end in UTC of the period that holds ``now``: start <= now < end."""
    if period == Period.NONE:
        return BEGINNING, None
    first, after = _first_and_next(period, local_day(zone, now))
    return day_start(first, zone), day_start(after, zone)


def next_bounds(
    period: str, zone: str, now: datetime, *, previous_end: datetime | None, previous_zone: str
) -> tuple[datetime, datetime | None]:
    """Bounds of the period at ``now``, after a former one of the same budget ended at ``previous_end``.

    After a change of zone the new period begins where the old one ended, and lasts until the first
    boundary of the new zone at which the old zone's period would be over too: no gap, no overlap, and
    never two allowances in one local day of either zone.
    """
    start, end = bounds(period, zone, now)
    if previous_end is None or end is None or previous_zone == zone:
        return start, end
    _, old_end = bounds(period, previous_zone, previous_end)
    assert old_end is not None
    bridge_end: datetime | None = previous_end
    while bridge_end is not None and bridge_end < old_end:
        _, bridge_end = bounds(period, zone, bridge_end)
    assert bridge_end is not None
    if now < bridge_end and start != previous_end:
        return previous_end, bridge_end
    return start, end
