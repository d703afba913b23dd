"""Grants and top-ups: units that a budget may burn once the limit of its period is used up.

``draws`` moves them into the limits of buckets that need them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from billing import accounts, postings
from billing.errors import InvalidAmount
from billing.models import Bearer, Budget, EntryKind, Grant, LedgerEntry, ScopeKind
from billing.models.budget import MAX_LIMIT_UNITS
from billing.periods import local_day


def grant_units(
    *,
    budget: Budget,
    units: int,
    key: str,
    expires_at: datetime | None = None,
    priority: int = 0,
    reason: str = "",
    actor_id: int | None = None,
    now: datetime | None = None,
) -> Grant:
    """Top up a budget, in its unit. The same key again returns the first grant.

    Raises InvalidAmount for an amount that cannot be or an expiry that has passed.
    """
    now = now or timezone.now()
    if type(units) is not int or not 0 < units <= MAX_LIMIT_UNITS:
        raise InvalidAmount(f"a grant is a whole number from 1 to {MAX_LIMIT_UNITS}, not {units!r}")
    if expires_at is not None and expires_at <= now:
        raise InvalidAmount("a grant cannot expire before it begins")
    with transaction.atomic():
        grant, created = Grant.objects.get_or_create(
            idempotency_key=key,
            defaults={
                "budget": budget,
                "granted_units": units,
                "remaining_units": units,
                "priority": priority,
                "expires_at": expires_at,
                "created_at": now,
            },
        )
        if created:
            entry = _entry(grant, budget, EntryKind.GRANT, units, f"grant:{grant.pk}", now)
            entry.note, entry.actor_id = reason[:200], actor_id
            postings.write(entry, [])
    return grant


def expire_grants(*, now: datetime | None = None, limit: int = 500) -> int:
    """Write off the rest of grants that have expired; an entry says how much. Returns how many."""
    now = now or timezone.now()
    due = Grant.objects.filter(remaining_units__gt=0, expires_at__lte=now).values_list("pk", flat=True)
    count = 0
    for grant_id in list(due.order_by("pk")[:limit]):
        with transaction.atomic():
            grant = Grant.objects.select_for_update().select_related("budget").get(pk=grant_id)
            rest = grant.remaining_units
            if not rest:
                continue
            # What a late settlement returns to an expired grant is written off by an entry of its own.
            key = f"grant_expiry:{grant.pk}:{grant.expired_units}"
            postings.write(_entry(grant, grant.budget, EntryKind.GRANT_EXPIRY, -rest, key, now), [])
            grant.remaining_units, grant.expired_units = 0, grant.expired_units + rest
            grant.save(update_fields=["remaining_units", "expired_units"])
            count += 1
    return count


def _entry(grant: Grant, budget: Budget, kind: EntryKind, units: int, key: str, now: datetime) -> LedgerEntry:
    fields: dict[str, Any] = {"user_id": 0, "local_day": local_day(budget.timezone, now)}
    if budget.scope_kind == ScopeKind.USER:
        fields["user_id"] = int(budget.scope_id)
        fields["group_id"] = accounts.payer(int(budget.scope_id), now=now).group_id
    return LedgerEntry(
        id=uuid7(),
        created_at=now,
        kind=kind,
        idempotency_key=key,
        bearer=Bearer.HOUSE,
        model=budget.model or "",
        grant_id=grant.pk,
        granted_units=units,
        **fields,
    )
