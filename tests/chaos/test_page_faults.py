"""A storm over a page leaves nothing behind when it is over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TypeVar

import pytest

from tests.browser import find_chromium
from tests.chaos.browsers import a_browser
from tests.chaos.page_faults import PageFaults
from tests.chaos.relay import Relay

T = TypeVar("T")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium found"),
]


class OfflineAtOnce(random.Random):
    """Chooses the second kind of fault, and no time between two."""

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]  # a wider type than is needed
        return next(one for one in seq if isinstance(one, tuple) and one[0] == "offline")

    def uniform(self, a: float, b: float) -> float:
        return 0.0


async def test_the_page_is_online_again_whenever_the_storm_ends() -> None:
    async with a_browser() as browser, Relay(lambda: "127.0.0.1:9") as relay:
        context = await browser.new_context()
        page = await context.new_page()

        async def reload() -> None: ...

        for moment in range(8):
            faults = PageFaults(context, relay, OfflineAtOnce(), reload=reload)
            over, told = asyncio.Event(), list[str]()
            blowing = asyncio.create_task(
                faults.blow(over, pause=(0, 0), falls_silent=False, told=told.append)
            )
            while not told:
                await asyncio.sleep(0)
            await asyncio.sleep(moment / 2000)  # somewhere in the next fault
            over.set()
            await blowing
            assert await page.evaluate("navigator.onLine"), f"offline for ever, {moment}"
