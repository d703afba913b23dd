"""When a budget will be used up at the pace of its running period. Pure.

The pace is what the period has used by now over the time it has run; for a budget without period it is
that of the last days. A pace is told only after a tenth of the period: the first question of a Monday says
nothing about the week.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from billing.budgets import Meter

SOONEST_SHARE = 10  # a pace counts from 1/10 of the period on
RECENT_DAYS = 7
FAR = timedelta(days=3650)

Outlook = Literal["unlimited", "used_up", "unknown", "lasts", "runs_out"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """``empty_at``: when it runs out, if before its reset; ``percent``: where it stands at the reset."""

    outlook: Outlook
    empty_at: datetime | None = None
    percent: int | None = None


def forecast(meter: Meter, *, now: datetime, zone: str, recent_units: int = 0) -> Forecast:
    """``recent_units``: of the last ``RECENT_DAYS`` days, in the meter's unit, for one without period."""
    if meter.limit is None:
        return Forecast("unlimited")
    left = meter.limit - meter.used
    if left <= 0:
        return Forecast("used_up")
    if meter.resets_at is None:
        return _endless(left, recent_units, now)
    start = period_start(meter.period, meter.resets_at, zone)
    elapsed, whole = now - start, meter.resets_at - start
    if meter.used <= 0 or elapsed * SOONEST_SHARE < whole:
        return Forecast("unknown")
    # Integers all the way: micro-seconds and units, no rounding but the last one.
    used_in_us = min(_us(elapsed) * left // meter.used, _us(FAR))
    empty_at = now + timedelta(microseconds=used_in_us)
    if empty_at < meter.resets_at:
        return Forecast("runs_out", empty_at=empty_at)
    return Forecast("lasts", percent=meter.used * 100 * _us(whole) // (_us(elapsed) * meter.limit))


def _endless(left: int, recent_units: int, now: datetime) -> Forecast:
    if recent_units <= 0:
        return Forecast("unknown")
    span = timedelta(days=RECENT_DAYS)
    lasts = timedelta(microseconds=min(_us(span) * left // recent_units, _us(FAR)))
    return Forecast("runs_out", empty_at=now + lasts) if lasts < FAR else Forecast("lasts")


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def period_start(period: str, resets_at: datetime, zone: str) -> datetime:
    """When the period that ends at ``resets_at`` began: as many local days before."""
    end = resets_at.astimezone(ZoneInfo(zone))
    if period == "month":
        before = (end.replace(day=1) - timedelta(days=1)).replace(day=1)
        start = end.replace(year=before.year, month=before.month, day=min(end.day, 28))
    else:
        start = end - timedelta(days=7 if period == "week" else 1)
    return start.astimezone(resets_at.tzinfo)


def forecast_text(found: Forecast, *, now: datetime, zone: str) -> str:
    """ "At this pace empty on Thursday." "" where there is nothing to say."""
    match found.outlook:
        case "runs_out" if found.empty_at is not None:
            return f"At this pace empty {_moment(found.empty_at, now, zone)}."
        case "lasts":
            share = "" if found.percent is None else f", with {found.percent} % used"
            return f"At this pace it lasts{share}."
        case "unknown":
            return "Too early to say how long it lasts."
        case "used_up":
            return "Used up."
    return ""


def _moment(at: datetime, now: datetime, zone: str) -> str:
    there, here = at.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone))
    days = (there.date() - here.date()).days
    if days <= 0:
        return f"today at {there:%H:%M}"
    if days == 1:
        return f"tomorrow at {there:%H:%M}"
    if days < 7:
        return f"on {there:%A}"
    year = "" if there.year == here.year else f" {there.year}"
    return f"on {there.day} {there:%B}{year}"
