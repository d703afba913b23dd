"""The people of a storm who sit at a real Chromium."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from playwright.async_api import Browser, async_playwright

from tests.browser import ARGUMENTS, find_chromium
from tests.chaos.browser_viewer import BrowserViewer
from tests.chaos.cast import Person
from tests.chaos.judge import Case, numbered
from tests.chaos.page_shown import Seen
from tests.chaos.plan import BY_HAND, MODELS, WELL, Plan

FRESH_SHARE = 0.5  # of all answers: compared with the page that the server renders


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    chromium = find_chromium()
    assert chromium is not None, "no Chromium found"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        await started.close()


class Browsers:
    """``address`` chooses a server, ``take`` says whether one more question is to be asked."""

    def __init__(
        self,
        plan: Plan,
        address: Callable[[random.Random], str],
        *,
        take: Callable[[], bool],
        cases: list[Case],
        seen: Seen,
    ) -> None:
        self._plan, self._address, self._take = plan, address, take
        self._cases, self._seen = cases, seen

    async def people(self, people: list[Person], stack: AsyncExitStack) -> list[Coroutine[Any, Any, None]]:
        """What each of them does until all has been asked; the pages are open already."""
        if not people:
            return []
        browser = await stack.enter_async_context(a_browser())
        return [await self._open(browser, who, number, stack) for number, who in enumerate(people)]

    async def _open(
        self, browser: Browser, who: Person, number: int, stack: AsyncExitStack
    ) -> Coroutine[Any, Any, None]:
        chance = random.Random(f"{self._plan.seed} page {number}")
        viewer = BrowserViewer(
            browser,
            who,
            lambda: self._address(chance),
            chance=chance,
            pause=self._plan.disturb_every,
            seen=self._seen,
        )
        return self._live(await stack.enter_async_context(viewer), chance)

    async def _live(self, viewer: BrowserViewer, chance: random.Random) -> None:
        over = asyncio.Event()
        disturbing = asyncio.create_task(viewer.disturb(over, falls_silent=self._plan.falls_silent))
        try:
            question = f"Question {uuid.uuid4()}"
            while self._take():
                question = await self._ask(viewer, question, chance)
        finally:
            over.set()
            await disturbing
        await viewer.settle()

    async def _ask(self, viewer: BrowserViewer, question: str, chance: random.Random) -> str:
        """While the answer is written the next question is typed; returns it."""
        model = chance.choice(list(MODELS))
        tokens = MODELS[model]
        by_hand = chance.randrange(100) < self._plan.stop_percent
        shown = await viewer.ask(question, f"openai:{model}", whole=numbered(tokens))
        name = f"{model} on the page of {viewer.conversation_id}"
        self._cases.append(Case(name, tokens, shown, BY_HAND if by_hand else WELL))
        stopping = asyncio.create_task(viewer.stop(shown)) if by_hand else None
        following = f"Question {uuid.uuid4()}"
        for length in (9, 20, len(following)):
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            await viewer.type(following[:length])
        await viewer.over(shown)
        if stopping is not None:
            await stopping
        if chance.random() < FRESH_SHARE:
            await viewer.compare_with_fresh_page(shown)
        return following
