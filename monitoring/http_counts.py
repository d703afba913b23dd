"""Counting requests: plain integers per process, added to shared sums in Valkey every few seconds.

Counters of several processes agree because only the shared sums are ever shown. When Valkey is lost they
begin anew, as the counters of a restarted process would.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from redis import Redis

KEY = "chatsite:metrics:http"
BOUNDS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
AREAS = frozenset({"admin", "api", "v1", "mcp", "accounts", "static", "usage", "settings"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REDIS_TIMEOUT_SECONDS = 2.0


class RequestCounts:
    """Fields: ``n|method|area|status`` counts; ``b|area|index`` and ``s|area`` are a histogram, s in µs."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, method: str, path: str, status: int, seconds: float) -> None:
        """A request whose answer began after so many seconds."""
        first = path.partition("/")[2].partition("/")[0]
        area = first if first in AREAS else "page"
        with self._lock:
            self._counts[f"n|{method if method in METHODS else 'other'}|{area}|{status}"] += 1
            self._counts[f"b|{area}|{bisect_left(BOUNDS_SECONDS, seconds)}"] += 1
            self._counts[f"s|{area}"] += round(seconds * 1_000_000)

    def flush(self) -> None:
        """Add what was counted since the last time to the shared sums. Raises RedisError; nothing is lost."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with shared() as client, client.pipeline(transaction=True) as pipeline:
                for name, count in counts.items():
                    pipeline.hincrby(KEY, name, count)
                pipeline.execute()
        except Exception:
            with self._lock:
                self._counts.update(counts)
            raise


COUNTS = RequestCounts()


def shared() -> Redis:
    return Redis.from_url(
        settings.REDIS_URL, socket_timeout=REDIS_TIMEOUT_SECONDS, socket_connect_timeout=REDIS_TIMEOUT_SECONDS
    )


def read_shared() -> dict[str, int]:
    """The sums of all processes. Raises RedisError."""
    with shared() as client:
        found: dict[bytes, bytes] = client.hgetall(KEY)
    return {name.decode(): int(count) for name, count in found.items()}


class RequestCountMiddleware:
    """Counts every request and how long its answer took to begin."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started, status = time.perf_counter(), 500
        try:
            response = await self.get_response(request)
            status = response.status_code
        finally:
            COUNTS.note(request.method or "", request.path, status, time.perf_counter() - started)
        return response
