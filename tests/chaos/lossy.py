"""A channel layer that loses a share of what it is given, and says nothing about it."""

from __future__ import annotations

import os
import random
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer


class LossyChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]  # channels_redis ships no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._share = float(os.environ["CHAOS_DROP_PERCENT"]) / 100

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if random.random() >= self._share:
            await super().group_send(group, message)
