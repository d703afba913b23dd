"""The watch of a web process over worker and sweeper: somebody must notice when they are gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from django.conf import settings
from django.db import connections
from redis.exceptions import RedisError

from monitoring.delivery import deliver_pending
from monitoring.http_counts import COUNTS
from monitoring.incidents import watch_silence

logger = logging.getLogger(__name__)


async def keep_watch() -> None:
    """Look every ALERT_INTERVAL_SECONDS until cancelled."""
    while True:
        await asyncio.sleep(settings.ALERT_INTERVAL_SECONDS)
        with contextlib.suppress(RedisError, OSError):
            await asyncio.to_thread(COUNTS.flush)
        try:
            # Not in a database thread: a slow webhook must not keep the answers waiting.
            await asyncio.to_thread(look)
        except Exception:
            logger.exception("the watch over worker and sweeper failed; it goes on")


def look() -> None:
    """Judge their silence; deliver what is due: what a worker has died over would wait for the next one."""
    try:
        watch_silence()
        deliver_pending()
    finally:
        connections.close_all()
