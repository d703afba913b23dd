"""The metrics, made at the moment they are asked for from what the database and Valkey hold.

So nothing is counted where words are passed on, several processes agree, and a restart loses nothing.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Q, Sum
from django.utils import timezone
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from billing.models import TOKEN_COLUMNS, Bucket, Hold, ScopeKind, SiteDayRollup
from conversations.call_hours import BOUNDS_MS
from conversations.models import LIVE_STATES, Conversation, Generation, Pulse
from conversations.models.call import NO_BOUND_MS, Measure
from monitoring import http_counts
from monitoring.models import BooksCheck, Incident
from monitoring.totals import CallTotals, Key

logger = logging.getLogger(__name__)

QUEUES = ("celery", "sweep")
HISTOGRAMS = {
    Measure.FIRST_TOKEN: ("chatsite_first_token_seconds", "From a call to its first token"),
    Measure.CALL: ("chatsite_call_seconds", "From a call to its good end"),
    Measure.TOKEN_INTERVAL: ("chatsite_token_interval_seconds", "Mean time between the tokens of a call"),
    Measure.ANSWER: ("chatsite_answer_seconds", "From a question to its complete answer, waits included"),
}
CONVERSATION_TURNS = (1, 2, 3, 5, 10, 20, 50, 100)
CONVERSATION_SECONDS = (60, 300, 900, 3600, 14_400, 86_400, 604_800)
CONVERSATIONS_KEY, CONVERSATIONS_SECONDS = "metrics:conversations", 300


class SiteCollector(Collector):
    """All metrics of the site. A part whose source is away is left out, and counted as missing."""

    def __init__(self) -> None:
        self._totals = CallTotals()

    def collect(self) -> Iterator[Metric]:
        missing = GaugeMetricFamily(
            "chatsite_metrics_missing", "Whether this part could not be read", labels=["part"]
        )
        parts: dict[str, Callable[[], list[Metric]]] = {
            "calls": self._calls,
            "generations": _generations,
            "ledger": _ledger,
            "operators": _operators,
            "conversations": _conversations,
            "requests": _requests,
            "queues": _queues,
        }
        for name, part in parts.items():
            try:
                found = part()
            except Exception as error:
                logger.warning("metrics could not be read", extra={"part": name, "why": type(error).__name__})
                missing.add_metric([name], 1)
                continue
            missing.add_metric([name], 0)
            yield from found
        yield missing

    def describe(self) -> list[Metric]:
        return []  # nothing is read when the collector is registered

    def _calls(self) -> list[Metric]:
        labels = ["provider", "model", "purpose", "outcome", "code"]
        sums, histograms = self._totals.read()
        calls = CounterMetricFamily("chatsite_calls", "Calls by what became of them", labels=labels)
        per_model: dict[Key, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for key, (count, retries, fallbacks, waited_ms) in sums.items():
            calls.add_metric([str(word) for word in key], count)
            total = per_model[key[:2]]
            for index, value in enumerate((retries, fallbacks, waited_ms, count if key[4] else 0)):
                total[index] += value
        found: list[Metric] = [calls]
        names = {
            "chatsite_call_retries": "Calls that repeat an earlier one",
            "chatsite_call_fallbacks": "Calls of a model that stands in for another",
            "chatsite_call_waited_seconds": "Time between questions and their calls",
            "chatsite_provider_errors": "Calls that ended with an error code",
        }
        for index, (name, words) in enumerate(names.items()):
            family = CounterMetricFamily(name, words, labels=["provider", "model"])
            for key, total in per_model.items():
                divisor = 1000 if name.endswith("_seconds") else 1
                family.add_metric([str(word) for word in key], total[index] / divisor)
            found.append(family)
        return found + [_latency(measure, histograms) for measure in HISTOGRAMS]


def _latency(measure: str, histograms: dict[Key, dict[int, tuple[int, int]]]) -> Metric:
    name, words = HISTOGRAMS[Measure(measure)]
    family = HistogramMetricFamily(name, words, labels=["provider", "model"])
    for (found, *key), by_bound in histograms.items():
        if found == measure:
            counts = [by_bound.get(bound, (0, 0))[0] for bound in (*BOUNDS_MS[measure], NO_BOUND_MS)]
            total_ms = sum(ms for _, ms in by_bound.values())
            buckets = _cumulated([bound / 1000 for bound in BOUNDS_MS[measure]], counts)
            family.add_metric([str(word) for word in key], buckets, sum_value=total_ms / 1000)
    return family


def _cumulated(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Buckets as Prometheus wants them; ``counts`` has one more than ``bounds``."""
    buckets, passed = [], 0
    for bound, count in zip((*map(repr, map(float, bounds)), "+Inf"), counts, strict=True):
        passed += count
        buckets.append((bound, float(passed)))
    return buckets


def _generations() -> list[Metric]:
    now = timezone.now()
    live = GaugeMetricFamily("chatsite_generations", "Answers under way by state", labels=["state"])
    counted = dict(Generation.objects.live().values_list("state").annotate(Count("pk")))
    for state in LIVE_STATES:
        live.add_metric([state.value], counted.get(state.value, 0))
    waiting = GaugeMetricFamily("chatsite_waiting", "Answers that wait, by why", labels=["reason"])
    rows = Generation.objects.live().filter(state="waiting").values_list("waiting_reason")
    for reason, count in rows.annotate(Count("pk")):
        waiting.add_metric([reason], count)
    overdue = GaugeMetricFamily(
        "chatsite_queue_overdue", "Answers that are due and that no process has taken"
    )
    overdue.add_metric([], Generation.objects.due(now).count())
    lapsed = GaugeMetricFamily("chatsite_leases_lapsed", "Answers whose process has gone silent")
    lapsed.add_metric([], Generation.objects.lapsed(now).count())
    return [live, waiting, overdue, lapsed]


def _ledger() -> list[Metric]:
    holds = GaugeMetricFamily("chatsite_holds", "Holds that are alive", labels=["state"])
    counted = dict(Hold.objects.alive().values_list("state").annotate(Count("pk")))
    for state in ("open", "dispatched"):
        holds.add_metric([state], counted.get(state, 0))
    drift = GaugeMetricFamily("chatsite_ledger_drift", "Buckets whose sums differ from their lines")
    drift.add_metric([], Bucket.objects.filter(suspended_at__isnull=False).count())
    found: list[Metric] = [holds, drift]
    last = BooksCheck.objects.order_by("-checked_at").first()
    if last is not None:
        failed = GaugeMetricFamily("chatsite_books_failed", "Invariants that the last check found broken")
        failed.add_metric([], len(last.failed))
        checked = GaugeMetricFamily("chatsite_books_checked_timestamp_seconds", "When all books were checked")
        checked.add_metric([], last.checked_at.timestamp())
        found += [failed, checked]
    # Corrections may lower these sums, so they are no counters: delta() is to be used, not rate().
    cost = GaugeMetricFamily("chatsite_cost_usd", "Cost of all calls so far", labels=["model", "bearer"])
    tokens = GaugeMetricFamily("chatsite_tokens", "Tokens so far", labels=["model", "bearer", "kind"])
    sums = [Sum(column) for column in (*TOKEN_COLUMNS, "cost_nanousd")]
    for model, bearer, *values in SiteDayRollup.objects.values_list("model", "bearer").annotate(*sums):
        cost.add_metric([model, bearer], values[-1] / 1e9)
        for column, value in zip(TOKEN_COLUMNS, values, strict=False):
            tokens.add_metric([model, bearer, column.removesuffix("_tokens")], value)
    used = GaugeMetricFamily(
        "chatsite_site_budget_used_ratio", "Running budgets of everyone", labels=["model", "unit", "period"]
    )
    now = timezone.now()
    running = Bucket.objects.filter(
        Q(period_end__isnull=True) | Q(period_end__gt=now),
        budget__scope_kind=ScopeKind.EVERYONE,
        period_start__lte=now,
        limit_units__gt=0,
    ).select_related("budget")
    for bucket in running:
        assert bucket.limit_units
        labels = [bucket.budget.model or "", bucket.unit, bucket.budget.period]
        used.add_metric(labels, bucket.posted / bucket.limit_units)
    return [*found, cost, tokens, used]


def _operators() -> list[Metric]:
    incidents = GaugeMetricFamily("chatsite_incidents_open", "Incidents that are open", labels=["rule"])
    for rule, count in Incident.objects.filter(closed_at=None).values_list("rule").annotate(Count("pk")):
        incidents.add_metric([rule], count)
    pulses = GaugeMetricFamily(
        "chatsite_pulse_timestamp_seconds", "When a part was last heard", labels=["part"]
    )
    for name, beaten_at in Pulse.objects.values_list("name", "beaten_at"):
        pulses.add_metric([name], beaten_at.timestamp())
    objectives = GaugeMetricFamily("chatsite_objective", "What the operator has promised", labels=["name"])
    objectives.add_metric(["availability_ratio"], settings.OBJECTIVE_AVAILABILITY_PERCENT / 100)
    objectives.add_metric(["final_failure_ratio"], settings.OBJECTIVE_FINAL_FAILURE_PERCENT / 100)
    objectives.add_metric(["answer_p95_seconds"], settings.OBJECTIVE_ANSWER_P95_SECONDS)
    return [incidents, pulses, objectives]


def _conversations() -> list[Metric]:
    """Conversations touched within a day; counted at most every five minutes, by whoever is asked first."""
    counted: Any = cache.get_or_set(CONVERSATIONS_KEY, _count_conversations, CONVERSATIONS_SECONDS)
    words = "of the conversations that were touched within a day"
    turns = GaugeHistogramMetricFamily("chatsite_conversation_turns", f"Length {words}")
    turns.add_metric([], _cumulated(CONVERSATION_TURNS, counted["turns"]), gsum_value=counted["turns_sum"])
    seconds = GaugeHistogramMetricFamily("chatsite_conversation_seconds", f"Duration {words}")
    buckets = _cumulated(CONVERSATION_SECONDS, counted["seconds"])
    seconds.add_metric([], buckets, gsum_value=counted["seconds_sum"])
    return [turns, seconds]


def _count_conversations() -> dict[str, Any]:
    touched = Conversation.objects.filter(
        updated_at__gte=timezone.now() - timedelta(days=1), head_turn__isnull=False
    )
    found: dict[str, Any] = {
        "turns": [0] * (len(CONVERSATION_TURNS) + 1),
        "seconds": [0] * (len(CONVERSATION_SECONDS) + 1),
        "turns_sum": 0,
        "seconds_sum": 0.0,
    }
    rows = touched.values_list("head_turn__depth", "created_at", "updated_at").iterator()
    for depth, created_at, updated_at in rows:
        lasted = max((updated_at - created_at).total_seconds(), 0.0)
        for name, bounds, value in (
            ("turns", CONVERSATION_TURNS, depth + 1),
            ("seconds", CONVERSATION_SECONDS, lasted),
        ):
            found[name][next((at for at, bound in enumerate(bounds) if value <= bound), len(bounds))] += 1
            found[f"{name}_sum"] += value
    return found


def _requests() -> list[Metric]:
    try:
        http_counts.COUNTS.flush()
    finally:
        counted = http_counts.read_shared()
    requests = CounterMetricFamily(
        "chatsite_http_requests", "Requests answered", labels=["method", "area", "status"]
    )
    bounds = http_counts.BOUNDS_SECONDS
    by_area: dict[str, list[int]] = defaultdict(lambda: [0] * (len(bounds) + 1))
    for name, count in counted.items():
        kind, *words = name.split("|")
        if kind == "n":
            requests.add_metric(words, count)
        elif kind == "b":
            by_area[words[0]][int(words[1])] = count
    latency = HistogramMetricFamily(
        "chatsite_http_request_seconds", "Until the answer begins", labels=["area"]
    )
    for area, counts in by_area.items():
        total = counted.get(f"s|{area}", 0) / 1e6
        latency.add_metric([area], _cumulated(bounds, counts), sum_value=total)
    return [requests, latency]


def _queues() -> list[Metric]:
    length = GaugeMetricFamily("chatsite_queue_length", "Messages that wait for a worker", labels=["queue"])
    with http_counts.shared() as client:
        for queue in QUEUES:
            count = client.llen(queue)
            if not isinstance(count, int):
                raise RedisError("no length")
            length.add_metric([queue], count)
    return [length]
