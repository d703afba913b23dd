"""The ear of one socket or request: what other processes publish, by the channel layer.

Nobody waits for Valkey to be there: an ear that cannot join yet joins when it is back, and what was missed
until then stands in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from conversations.broadcast import CHANNEL_TIMEOUT_SECONDS, PROCESS_ID, is_reachable
from conversations.cancelling import end_tasks
from conversations.events import Event

logger = logging.getLogger(__name__)

JOIN_AGAIN_SECONDS = 3.0


class Ear:
    """Gives ``take`` each event that another process publishes to one of the topics, until it is closed."""

    def __init__(self, topics: Sequence[str], take: Callable[[Event], None]) -> None:
        self._topics, self._take = topics, take
        self._joined = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def joined(self) -> None:
        """Wait until it hears, at most a moment."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._joined.wait(), CHANNEL_TIMEOUT_SECONDS)

    async def close(self) -> None:
        await end_tasks(self._task)

    async def _run(self) -> None:
        layer: Any = get_channel_layer()
        while True:
            try:
                await self._hear(layer)
            except (RedisError, OSError) as error:
                logger.warning("channel layer unavailable: %s", type(error).__name__)
            except Exception:
                logger.exception("an event of another process could not be taken; it goes on")
            # Each try to join costs the layer some memory, so it is made when there is somebody to ask.
            while True:
                await asyncio.sleep(JOIN_AGAIN_SECONDS)
                if await is_reachable():
                    break

    async def _hear(self, layer: Any) -> None:
        channel = ""
        try:
            async with asyncio.timeout(CHANNEL_TIMEOUT_SECONDS):
                channel = await layer.new_channel()
                for topic in self._topics:
                    await layer.group_add(topic, channel)
            self._joined.set()
            while True:
                message = await layer.receive(channel)
                # What this process has sent was heard directly.
                if message["origin"] != PROCESS_ID:
                    for event in message["events"]:
                        self._take(event)
        finally:
            for topic in self._topics if channel else ():
                with contextlib.suppress(RedisError, OSError):
                    async with asyncio.timeout(CHANNEL_TIMEOUT_SECONDS):
                        await layer.group_discard(topic, channel)
