"""``/healthz``: this process answers. ``/readyz``: it can work, with all it needs. ``/metrics``.

A middleware in front of all others, because a load balancer asks by IP address, which
ALLOWED_HOSTS need not list.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from chatsite.first_start import pending_migrations
from chatsite.middleware import AsyncMiddleware
from monitoring.exposition import answer_metrics, may_see_metrics
from monitoring.site_rules import PARTS, silence

TIMEOUT_SECONDS = 3.0
_seen_up_to_date = threading.Event()


class HealthMiddleware(AsyncMiddleware):
    """Answers the three addresses and passes everything else on."""

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/healthz":
            return _answer({"status": "ok"}, 200)
        if request.path == "/readyz":
            parts = await check_readiness()
            ready = all(part.word == "ok" for part in parts.values() if part.needed)
            content: dict[str, object] = {"status": "ok" if ready else "unavailable"}
            content |= {name: part.word for name, part in parts.items()}
            if may_see_metrics(request):
                content["why"] = {name: part.why for name, part in parts.items() if part.why}
            return _answer(content, 200 if ready else 503)
        if request.path == "/metrics":
            return await sync_to_async(answer_metrics, thread_sensitive=False)(request)
        return await self.get_response(request)


@dataclass(frozen=True, slots=True)
class Part:
    """What a part says of itself. One that is not ``needed`` may be away: first attempts go on without it."""

    word: str
    why: str = ""
    needed: bool = True


OK = Part("ok")


async def check_readiness() -> dict[str, Part]:
    """A word per part: "ok", "unavailable", "pending" for tables that are not up to date, "silent" for a
    worker or sweeper that was not heard of late, "unknown" where the database cannot say.

    The address is public, so why it is so is told to those alone who may see the metrics.
    """
    database, cache = await asyncio.gather(_guarded(_check_database()), _guarded(_check_redis()))
    unknown = Part("unknown", needed=False)
    parts = {"database": database, "redis": cache, "migrations": Part("unavailable", "the database is away")}
    pulses = dict.fromkeys(PARTS, unknown)
    if database is OK:
        parts["migrations"] = await _guarded(_check_migrations())
        if parts["migrations"] is OK:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    pulses = await sync_to_async(_read_pulses, thread_sensitive=False)()
    return {**parts, **pulses}


async def _guarded(check: Awaitable[Part]) -> Part:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await check
    except TimeoutError:
        return Part("unavailable", f"no answer within {TIMEOUT_SECONDS:g} s")
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        return Part("unavailable", f"{type(error).__name__}: {first_line}"[:200])


async def _check_database() -> Part:
    return await sync_to_async(_read_database, thread_sensitive=False)()


def _read_database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return OK
    finally:
        connection.close()


async def _check_migrations() -> Part:
    """Asked once in the life of a process: tables that were up to date for this code stay so."""
    if not _seen_up_to_date.is_set():
        pending = await sync_to_async(_read_pending, thread_sensitive=False)()
        if pending:
            return Part("pending", f"run `manage.py prepare`: {', '.join(pending)}"[:200])
    _seen_up_to_date.set()
    return OK


def _read_pending() -> list[str]:
    try:
        return pending_migrations()
    finally:
        connection.close()


def _read_pulses() -> dict[str, Part]:
    try:
        silent = {one.subject: one.title for one in silence(timezone.now()).breaches}
    finally:
        connection.close()
    return {name: Part("silent", silent[name], needed=False) if name in silent else OK for name in PARTS}


async def _check_redis() -> Part:
    async with redis.Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0)) as client:
        await client.echo("ready?")
    return OK


def _answer(content: dict[str, object], status: int) -> HttpResponse:
    response = JsonResponse(content, status=status)
    response["Cache-Control"] = "no-store"
    return response
