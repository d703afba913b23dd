"""Refusals: they leave no hold, but the first one of a bucket is an event."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from billing import buckets, sql
from billing.errors import BudgetExceeded, BudgetName
from billing.models import BudgetEvent
from billing.postings import record_event


def record_refusal(refusal: BudgetExceeded, *, now: datetime | None = None) -> list[BudgetEvent]:
    """Record that a budget refused a call, in a transaction of its own after the refused one is gone.

    The first refusal also counts as reaching 100 %, if that was not recorded before. Returns what is new.
    """
    now = now or timezone.now()
    with sql.joined():
        bucket_id = _running_bucket(refusal.budget, now)
        if bucket_id is None:
            return []
        events = [
            record_event(
                bucket_id=bucket_id,
                limit_version=refusal.limit_version,
                kind=kind,
                posted=refusal.used,
                limit_units=refusal.limit,
                now=now,
            )
            for kind in (BudgetEvent.REFUSED, "100")
        ]
    return [event for event in events if event is not None]


def _running_bucket(budget: BudgetName, now: datetime) -> int | None:
    """The bucket that runs now: one that the refused call had opened was undone together with the call."""
    found = buckets.running([(budget.scope, budget.scope_id)], model=budget.model or "", now=now)
    wanted = (budget.unit, budget.period, budget.model)
    return next((row.bucket_id for row in found if (row.unit, row.period, row.model) == wanted), None)
