"""Budgets as the usage page lists them: what is left, when it resets, how long it lasts, what one may do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.amounts import read_amount as read_amount
from billing.budgets import Meter, meters
from billing.limit_requests import recent_requests
from billing.models import LimitRequest, RequestState
from billing.receipts import usd
from billing.usage_queries import Asked, Usage, series
from conversations.templatetags.figures import money
from conversations.usage.forecasts import RECENT_DAYS, Forecast, forecast, forecast_text

UNUSED = "Nothing of it is used yet."


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A meter with the page's words for it. ``request`` is what was asked for last; ``asked`` says it."""

    meter: Meter
    remaining: str
    held: str
    forecast: Forecast
    outlook: str
    asked: str
    request: LimitRequest | None

    @property
    def is_pending(self) -> bool:
        return self.request is not None and self.request.state == RequestState.PENDING

    @property
    def is_own(self) -> bool:
        return self.meter.scope == "own"

    @property
    def may_ask(self) -> bool:
        """More can be had of a budget that is the person's alone and was set by others."""
        return self.meter.scope == "user" and self.meter.limit is not None and not self.is_pending


def amount_text(meter: Meter, units: int) -> str:
    return money(usd(units)) if meter.is_money else f"{units:,} tokens"


def budget_rows(*, user_id: int, zone: str, now: datetime) -> list[BudgetRow]:
    """Every limited budget that the person meets outside of single chats, tightest first.

    Three queries, and one more for a budget without period: its pace is that of the last days.
    """
    found = [meter for meter in meters(user_id=user_id, now=now) if meter.limit is not None]
    wishes = recent_requests(user_id, now=now)
    recent = _recent(user_id, found, now)
    return [_row(meter, wishes.get(meter.budget_id), recent, zone, now) for meter in found]


def _recent(user_id: int, found: Iterable[Meter], now: datetime) -> Usage:
    if not any(meter.period == "none" and meter.scope in ("user", "own") for meter in found):
        return Usage()
    last = now.date() + timedelta(days=1)  # whatever the zone
    asked = Asked(first_day=now.date() - timedelta(days=RECENT_DAYS - 1), last_day=last, user_id=user_id)
    return sum((row.usage for row in series(asked, "day")), start=Usage())


def _row(meter: Meter, wish: LimitRequest | None, recent: Usage, zone: str, now: datetime) -> BudgetRow:
    personal = meter.scope in ("user", "own") and meter.model is None
    units = recent.billed.cost_nanousd if meter.is_money else recent.billed.total_tokens
    found = forecast(meter, now=now, zone=zone, recent_units=units if personal else 0)
    return BudgetRow(
        meter,
        remaining=amount_text(meter, meter.remaining or 0),
        held=amount_text(meter, meter.held) if meter.held else "",
        forecast=found,
        outlook=forecast_text(found, now=now, zone=zone) if meter.used or not meter.limit else UNUSED,
        asked=amount_text(meter, wish.wanted_units) if wish else "",
        request=wish,
    )
