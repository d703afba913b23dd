"""Totals since the beginning, out of the sums by the hour, without reading all of them at each scrape.

Hours that cannot change any more are added up once per process and kept; the later ones are read each
time. Every process comes to the same totals, because all of them stand in the database.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime

from django.db.models import Q, Sum

from conversations.call_hours import settled_until
from conversations.models import CallHour, LatencyHour

Key = tuple[object, ...]
Sums = dict[Key, list[int]]
Rows = Iterable[tuple[object, ...]]
Read = Callable[[Q], Rows]


class Totals:
    """Running sums of one table. ``read(when)`` gives rows of ``width`` key columns and then the sums."""

    def __init__(self, read: Read, *, width: int) -> None:
        self._read, self._width = read, width
        self._kept: Sums = {}
        self._kept_until: datetime | None = None
        self._lock = threading.Lock()

    def now(self, *, settled: datetime | None) -> Sums:
        """Sums of all hours, those that begin before ``settled`` from memory where they are there."""
        with self._lock:
            if settled is not None and (self._kept_until is None or settled > self._kept_until):
                when = Q(hour__lt=settled)
                if self._kept_until is not None:
                    when &= Q(hour__gte=self._kept_until)
                self._add(self._kept, when)
                self._kept_until = settled
            total = {key: list(values) for key, values in self._kept.items()}
            kept_until = self._kept_until
        self._add(total, Q() if kept_until is None else Q(hour__gte=kept_until))
        return total

    def _add(self, sums: Sums, when: Q) -> None:
        for row in self._read(when):
            key, values = row[: self._width], row[self._width :]
            known = sums.setdefault(key, [0] * len(values))
            for index, value in enumerate(values):
                known[index] += int(value or 0)  # type: ignore[call-overload]  # sums of integers


def _read_calls(when: Q) -> Rows:
    rows = CallHour.objects.filter(when).values_list("provider", "model", "purpose", "outcome", "code")
    sums: Rows = rows.annotate(Sum("calls"), Sum("retries"), Sum("fallbacks"), Sum("waited_ms"))
    return sums


def _read_latencies(when: Q) -> Rows:
    rows = LatencyHour.objects.filter(when).values_list("measure", "provider", "model", "bound_ms")
    sums: Rows = rows.annotate(Sum("calls"), Sum("total_ms"))
    return sums


class CallTotals:
    """Totals of calls and of their histograms; one of each per process."""

    def __init__(self) -> None:
        self._calls = Totals(_read_calls, width=5)
        self._latencies = Totals(_read_latencies, width=4)

    def read(self) -> tuple[Sums, dict[Key, dict[int, tuple[int, int]]]]:
        """Sums by (provider, model, purpose, outcome, code), and by (measure, provider, model) the calls and
        milliseconds by bound."""
        settled = settled_until()
        histograms: dict[Key, dict[int, tuple[int, int]]] = defaultdict(dict)
        for (*key, bound), (calls, total_ms) in self._latencies.now(settled=settled).items():
            histograms[tuple(key)][int(str(bound))] = (calls, total_ms)
        return self._calls.now(settled=settled), histograms
