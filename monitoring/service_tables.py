"""The dashboard's tables about the service: calls, errors, latencies, budgets near their limit, incidents."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db.models import F, Q
from django.urls import reverse

from billing.models import BillingGroup, Bucket, Unit
from conversations.call_figures import histograms_by, objectives
from conversations.models import State
from conversations.models.call import CallHour, Measure
from monitoring.models import Incident
from monitoring.tables import Table

NEAR_PERCENT = 75
BUDGETS_SHOWN = 20
INCIDENTS_SHOWN = 20
_LATENCIES = (
    (Measure.FIRST_TOKEN, "First token"),
    (Measure.CALL, "Whole call"),
    (Measure.ANSWER, "Whole answer"),
)
RATE_LIMITS = ("rate_limited", "daily_quota", "out_of_credit")


def service_tables(
    start: datetime, end: datetime, *, model: str | None = None, provider: str | None = None
) -> list[Table]:
    """Calls by model, errors by kind, latencies: four queries over the hourly sums."""
    rows = CallHour.objects.between(start, end)
    if model is not None:
        rows = rows.filter(model=model)
    if provider is not None:
        rows = rows.filter(provider=provider)
    sums = list(rows.sums_by("model", "code", "outcome"))
    return [_calls(sums), _errors(sums), _latencies(start, end, model, provider)]


def _calls(sums: list[dict[str, object]]) -> Table:
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in sums:
        of_model = found[str(row["model"])]
        calls = _int(row["calls"])
        of_model["calls"] += calls
        of_model["errors"] += calls if row["code"] else 0
        of_model["rate_limits"] += calls if row["code"] in RATE_LIMITS else 0
        for name in ("retries", "fallbacks", "input_estimate_tokens", "input_tokens"):
            of_model[name] += _int(row[name])
    return Table(
        "calls",
        "Calls of providers",
        [
            ("Model", "text"),
            ("Calls", "count"),
            ("Errors", "count"),
            ("Error rate", "percent"),
            ("Rate limits", "count"),
            ("Retries", "count"),
            ("Fallbacks", "count"),
            ("Estimate of input", "percent"),
        ],
        [
            [
                model,
                one["calls"],
                one["errors"],
                _percent(one["errors"], one["calls"]),
                one["rate_limits"],
                one["retries"],
                one["fallbacks"],
                _percent(one["input_estimate_tokens"], one["input_tokens"]),
            ]
            for model, one in sorted(found.items(), key=lambda item: -item[1]["calls"])
        ],
        note="Estimate of input: our count before the call, in percent of what the provider then reported.",
    )


def _errors(sums: list[dict[str, object]]) -> Table:
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    whole = 0
    for row in sums:
        calls = _int(row["calls"])
        whole += calls
        if row["code"]:
            one = found[str(row["code"])]
            one["calls"] += calls
            one["final"] += calls if row["outcome"] != State.WAITING else 0
    return Table(
        "errors",
        "Errors by kind",
        [
            ("Error", "text"),
            ("Calls", "count"),
            ("Share of all calls", "percent"),
            ("Final", "count"),
        ],
        [
            [code, one["calls"], _percent(one["calls"], whole), one["final"]]
            for code, one in sorted(found.items(), key=lambda item: -item[1]["calls"])
        ],
    )


def _latencies(start: datetime, end: datetime, model: str | None, provider: str | None) -> Table:
    rows: list[list[object]] = []
    for measure, word in _LATENCIES:
        for name, found in sorted(histograms_by("model", measure, start=start, end=end).items(), key=str):
            wanted = model is None or name == model
            if wanted and (provider is None or str(name).partition(":")[0] == provider):
                percentiles = [found.percentile(percent) for percent in (50, 95, 99)]
                rows.append([word, str(name), found.calls, *percentiles])
    return Table(
        "latencies",
        "Latencies",
        [
            ("What", "text"),
            ("Model", "text"),
            ("Calls", "count"),
            ("Median", "ms"),
            ("95 percent within", "ms"),
            ("99 percent within", "ms"),
        ],
        rows,
    )


def objectives_table(start: datetime, end: datetime) -> Table:
    """What was promised beside what was reached."""
    return Table(
        "objectives",
        "Objectives",
        [("Objective", "text"), ("Target", "text"), ("Reached", "text"), ("Met", "text")],
        [
            [
                one.name.replace("_", " "),
                f"{one.target:g} {one.unit}",
                "–" if one.value is None else f"{one.value:.2f} {one.unit}",
                "–" if one.met is None else "yes" if one.met else "no",
            ]
            for one in objectives(start=start, end=end)
        ],
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


def incidents_table(start: datetime, end: datetime) -> Table:
    """What operators were told, the latest first."""
    found = Incident.objects.filter(opened_at__gte=start, opened_at__lt=end).order_by("-opened_at")
    incidents = list(found[:INCIDENTS_SHOWN])
    return Table(
        "incidents",
        "Alert history",
        [("Alert", "text"), ("Rule", "text"), ("Opened", "time"), ("Closed", "time")],
        [[one.title, one.rule, one.opened_at, one.closed_at or "still open"] for one in incidents],
        [reverse("admin:monitoring_incident_change", args=[one.pk]) for one in incidents],
    )


def open_incidents() -> int:
    return Incident.objects.filter(closed_at__isnull=True).count()


def _percent(part: int, whole: int) -> Decimal | None:
    return round(Decimal(part * 100) / whole, 1) if whole else None


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
