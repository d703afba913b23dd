"""``/healthz``: this process answers. ``/readyz``: it can work, with database, Redis and tables.

A middleware in front of all others, because a load balancer asks by IP address, which
ALLOWED_HOSTS need not list.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from chatsite.first_start import pending_migrations

TIMEOUT_SECONDS = 3.0
_seen_up_to_date = threading.Event()


class HealthMiddleware:
    """Answers the two addresses and passes everything else on."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/healthz":
            return _answer({"status": "ok"}, 200)
        if request.path == "/readyz":
            parts = await check_readiness()
            ready = all(word == "ok" for word in parts.values())
            return _answer({"status": "ok" if ready else "unavailable", **parts}, 200 if ready else 503)
        return await self.get_response(request)


async def check_readiness() -> dict[str, str]:
    """A word per part: "ok", "unavailable", or "pending" for tables that are not up to date.

    Never a cause: the address is public.
    """
    database, cache = await asyncio.gather(_guarded(_check_database()), _guarded(_check_redis()))
    migrations = "unavailable"
    if database == "ok":
        migrations = await _guarded(_check_migrations())
    return {"database": database, "redis": cache, "migrations": migrations}


async def _guarded(check: Awaitable[str]) -> str:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await check
    return "unavailable"


async def _check_database() -> str:
    return await sync_to_async(_read_database, thread_sensitive=False)()


def _read_database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return "ok"
    finally:
        connection.close()


async def _check_migrations() -> str:
    """Asked once in the life of a process: tables that were up to date for this code stay so."""
    if not _seen_up_to_date.is_set() and await sync_to_async(_count_pending, thread_sensitive=False)():
        return "pending"
    _seen_up_to_date.set()
    return "ok"


def _count_pending() -> int:
    try:
        return len(pending_migrations())
    finally:
        connection.close()


async def _check_redis() -> str:
    async with redis.Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0)) as client:
        await client.echo("ready?")
    return "ok"


def _answer(content: dict[str, str], status: int) -> HttpResponse:
    response = JsonResponse(content, status=status)
    response["Cache-Control"] = "no-store"
    return response
