"""The dashboard's tables about the ledger: how calls kept to their holds, and budgets near their limit."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db.models import F, Q
from django.urls import reverse

from billing.models import BillingGroup, Bucket, Unit
from billing.overruns import overruns
from monitoring.tables import Table, share_percent

NEAR_PERCENT = 75
BUDGETS_SHOWN = 20


def overruns_table(
    first_day: date, last_day: date, *, model: str | None = None, provider: str | None = None
) -> Table:
    """What calls used beyond their holds, and how closely holds fitted. One query over the rollup."""
    return Table(
        "overruns",
        "Holds and overruns",
        [
            ("Model", "text"),
            ("Calls", "count"),
            ("Over their hold", "count"),
            ("Share of calls", "percent"),
            ("Tokens over", "count"),
            ("Cost over", "nanousd"),
            ("Input of held input", "percent"),
            ("Output of held output", "percent"),
        ],
        [
            [
                one.model,
                one.calls,
                one.over_calls,
                share_percent(one.over_calls, one.calls, places=2),
                one.over_tokens,
                one.over_nanousd,
                share_percent(one.input_tokens, one.held_input_tokens),
                share_percent(one.output_tokens, one.held_output_tokens),
            ]
            for one in overruns(first_day, last_day, model=model, provider=provider)
        ],
        note="An overrun is what a call used beyond what was held for it; with exact counts there is none.",
    )


def budgets_near(now: datetime) -> Table:
    """Running periods of budgets that are used up to three quarters and more, the fullest first."""
    running = Q(period_end__isnull=True) | Q(period_end__gt=now)
    near = (
        Bucket.objects.filter(running, limit_units__gt=0, posted__gte=F("limit_units") * NEAR_PERCENT / 100)
        .select_related("budget")
        .order_by(-(F("posted") * 1.0 / F("limit_units")), "pk")[:BUDGETS_SHOWN]
    )
    buckets = list(near)
    names = _scope_names(buckets)
    return Table(
        "budgets",
        "Budgets near their limit",
        [
            ("Whose", "text"),
            ("Period", "text"),
            ("Used", "text"),
            ("Limit", "text"),
            ("Used share", "percent"),
            ("Over the hold", "text"),
        ],
        [
            [
                names.get((bucket.budget.scope_kind, bucket.budget.scope_id), bucket.budget.scope_kind),
                bucket.budget.get_period_display(),
                _units(bucket, bucket.posted),
                _units(bucket, bucket.limit_units or 0),
                bucket.posted * 100 // (bucket.limit_units or 1),
                _units(bucket, bucket.slack) if bucket.slack else "",
            ]
            for bucket in buckets
        ],
        [reverse("admin:billing_budget_change", args=[bucket.budget_id]) for bucket in buckets],
        note="Over the hold: what was used beyond what had been held for it.",
        empty="No budget is used up to three quarters.",
    )


def _scope_names(buckets: list[Bucket]) -> dict[tuple[str, str], str]:
    """Names for scopes, never a conversation's title; two queries."""
    people = [b.budget.scope_id for b in buckets if b.budget.scope_kind in ("user", "own")]
    groups = [b.budget.scope_id for b in buckets if b.budget.scope_kind == "group"]
    found = {("everyone", ""): "Everyone"}
    for pk, name in User.objects.filter(pk__in=people).values_list("pk", "username"):
        found["user", str(pk)] = name
        found["own", str(pk)] = f"{name} (own limit)"
    for pk, name in BillingGroup.objects.filter(pk__in=groups).values_list("pk", "name"):
        found["group", str(pk)] = f"group {name}"
    return found


def _units(bucket: Bucket, units: int) -> str:
    if bucket.unit == Unit.NANOUSD:
        return f"${Decimal(units).scaleb(-9):.4f}"
    return f"{units:,} tokens"
