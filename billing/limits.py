"""Changing a budget's limit: a new version, carried to the running bucket and written down."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from billing.models import Bucket, Budget, LimitChange


def change(
    budget: Budget,
    *,
    limit_units: int | None,
    hard: bool,
    source: str,
    now: datetime,
    thresholds: list[int] | None = None,
    timezone_name: str | None = None,
) -> Budget:
    """Set the limit of an existing budget, reopening it if it was closed.

    A limit below what is used already refuses from now on; the difference is recorded as slack.
    """
    with transaction.atomic():
        budget = Budget.objects.select_for_update().get(pk=budget.pk)
        changed = (budget.limit_units, budget.hard) != (limit_units, hard)
        budget.limit_units, budget.hard, budget.source = limit_units, hard, source
        budget.limit_version += changed
        budget.valid_to = None
        budget.thresholds = budget.thresholds if thresholds is None else thresholds
        budget.timezone = timezone_name or budget.timezone
        budget.save()
        if changed:
            _carry(budget, now=now)
    return budget


def _carry(budget: Budget, *, now: datetime) -> None:
    running = Bucket.objects.select_for_update().filter(
        Q(period_end__isnull=True) | Q(period_end__gt=now), budget=budget
    )
    for bucket in running.order_by("pk"):
        new_limit = None if budget.limit_units is None else budget.limit_units + bucket.drawn
        added = 0
        if budget.hard and new_limit is not None:
            added = max(0, bucket.posted + bucket.held - bucket.slack - new_limit)
        LimitChange.objects.create(
            bucket=bucket,
            limit_version=budget.limit_version,
            old_limit_units=bucket.limit_units,
            new_limit_units=new_limit,
            slack_added=added,
            created_at=now,
        )
        bucket.limit_units, bucket.limit_version = new_limit, budget.limit_version
        bucket.hard, bucket.notified_percent = budget.hard, 0
        bucket.slack += added
        bucket.save(update_fields=["limit_units", "limit_version", "hard", "notified_percent", "slack"])


def close(budget: Budget, *, now: datetime) -> None:
    """End a budget. Its row and its buckets stay: set again, it goes on where it was."""
    budget.valid_to = max(now, budget.valid_from)
    budget.save(update_fields=["valid_to"])
