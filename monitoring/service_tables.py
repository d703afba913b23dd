"""The dashboard's tables about the service: calls, errors, latencies, objectives, incidents."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from django.urls import reverse

from conversations.call_figures import Latencies, calls_between, objectives
from conversations.models import State
from conversations.models.call import Measure
from monitoring.feedback_table import feedback_table
from monitoring.models import Incident
from monitoring.tables import Table, share_percent

INCIDENTS_SHOWN = 20
_LATENCIES = (
    (Measure.FIRST_TOKEN, "First token"),
    (Measure.CALL, "Whole call"),
    (Measure.ANSWER, "Whole answer"),
)
RATE_LIMITS = ("rate_limited", "daily_quota", "out_of_credit")


def service_tables(
    start: datetime,
    end: datetime,
    found: Latencies,
    *,
    model: str | None = None,
    provider: str | None = None,
) -> list[Table]:
    """Calls by model, errors by kind (one query over the sums), and the latencies that were found."""
    rows = calls_between(start, end)
    if model is not None:
        rows = rows.filter(model=model)
    if provider is not None:
        rows = rows.filter(provider=provider)
    sums = list(rows.sums_by("model", "code", "outcome"))
    return [
        _calls(sums),
        _errors(sums),
        _latencies(found, model, provider),
        feedback_table(start, end, model=model, provider=provider),
    ]


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
                share_percent(one["errors"], one["calls"]),
                one["rate_limits"],
                one["retries"],
                one["fallbacks"],
                share_percent(one["input_estimate_tokens"], one["input_tokens"]),
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
            [code, one["calls"], share_percent(one["calls"], whole), one["final"]]
            for code, one in sorted(found.items(), key=lambda item: -item[1]["calls"])
        ],
    )


def _latencies(latencies: Latencies, model: str | None, provider: str | None) -> Table:
    rows: list[list[object]] = []
    for measure, word in _LATENCIES:
        for name, found in sorted(latencies.get(measure, {}).items()):
            if (model is None or name == model) and provider in (None, name.partition(":")[0]):
                percentiles = [found.percentile(percent) for percent in (50, 95, 99)]
                rows.append([word, name, found.calls, *percentiles])
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


def objectives_table(start: datetime, end: datetime, found: Latencies) -> Table:
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
            for one in objectives(found, start=start, end=end)
        ],
    )


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


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
