"""Messages between processes that get lost without a word: events, requests to stop, hints to workers."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer


def share() -> float:
    """Of all messages, from 0 to 1."""
    return float(os.environ.get("CHAOS_DROP_PERCENT", "0")) / 100


class LossyChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]  # channels_redis ships no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if seconds := os.environ.get("CHAOS_ROUND_SECONDS"):
            from conversations import lookout  # needs the apps loaded

            lookout.ROUND_SECONDS = float(seconds)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if random.random() >= share():
            # The layer hands its calls on to one for the running loop.
            await self.__getattr__("group_send")(group, message)


def lose_hints() -> None:
    """In a process that is about to start: what goes by other ways than the channel layer is lost as well."""
    from tests.chaos.fuses import replace

    def told(original: Callable[..., bool]) -> Callable[..., bool]:
        def tell_worker(*args: Any, **kwargs: Any) -> bool:
            return True if random.random() < share() else original(*args, **kwargs)

        return tell_worker

    def stopped(original: Callable[..., Any]) -> Callable[..., Any]:
        async def stop_elsewhere(*args: Any) -> None:
            if random.random() >= share():
                await original(*args)

        return stop_elsewhere

    replace("conversations.hints.tell_worker", told)
    replace("conversations.runtime.Runtime.stop_elsewhere", stopped)
