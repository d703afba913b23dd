"""What befalls the line of a browser's page: cut, silent, offline, loaded anew.

A fault is never cancelled halfway. Playwright takes back what a cancelled call had begun: to cancel
``set_offline(False)`` leaves the page offline for ever.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from playwright.async_api import BrowserContext

from tests.chaos.relay import Relay

KEPT = 12


class PageFaults:
    """``log`` has the last ones, and when each was over."""

    def __init__(
        self,
        context: BrowserContext,
        relay: Relay,
        chance: random.Random,
        *,
        reload: Callable[[], Awaitable[None]],
    ) -> None:
        self._context, self._relay, self._chance = context, relay, chance
        self._reload = reload
        self.log: deque[tuple[float, str]] = deque(maxlen=KEPT)

    async def blow(
        self,
        over: asyncio.Event,
        *,
        pause: tuple[float, float],
        falls_silent: bool,
        told: Callable[[str], None],
    ) -> None:
        """One after the other until ``over`` is set; the line is whole when this returns."""
        ways: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            *[("line cut", self._cut)] * 6,
            *[("offline", self.go_offline)] * 2,
            *[("reloaded", self._reload)] * 3,
            *[("line silent", self._go_silent)] * falls_silent,
        ]
        while not over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._chance.uniform(*pause))
                return
            name, way = self._chance.choice(ways)
            await way()
            self.log.append((time.monotonic(), name))
            told(name)

    async def _cut(self) -> None:
        self._relay.cut()

    async def _go_silent(self) -> None:
        self._relay.mute()

    async def go_offline(self) -> None:
        await self._context.set_offline(True)
        self._relay.cut()
        await asyncio.sleep(self._chance.uniform(0.1, 1.0))
        await self._context.set_offline(False)
