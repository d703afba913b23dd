"""A person at a real Chromium: asks through the composer, types on meanwhile, sees what the page shows.

The page's line is cut, falls silent, goes offline, and the page is loaded anew, all at random. Whenever its
socket opens and whenever an answer ends, the page itself tells what it shows (``tell.js``), and that is
compared with what is stored.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.async_api import Browser, ConsoleMessage, Error

from tests.chaos.cast import Person
from tests.chaos.page_faults import PageFaults
from tests.chaos.page_shown import ENDED_HTML_OF, Comparison, Seen
from tests.chaos.patience import patiently
from tests.chaos.relay import Relay
from tests.chaos.viewer import Shown

R = TypeVar("R")

READY_MS = 15_000
SETTLE_SECONDS = 60.0
CUT_OFF_SHARE = 0.3  # of all questions
# A line that is lost is what the browser tells of by itself.
EXPECTED_WORDS = ("Failed to load resource", "WebSocket connection to", "net::ERR_")

TELL = Path(__file__).with_name("tell.js")
USE_MODEL = "(model) => { document.querySelector('input[name=model]:checked').value = model }"


class BrowserViewer:
    """``async with BrowserViewer(...) as viewer``: a page on the person's conversation."""

    def __init__(
        self,
        browser: Browser,
        who: Person,
        address: Callable[[], str],
        *,
        chance: random.Random,
        pause: tuple[float, float],
        seen: Seen,
    ) -> None:
        self.conversation_id, self._user_id = who.conversation_id, who.user_id
        self._browser, self._address = browser, address
        self._chance, self._pause, self._seen = chance, pause, seen
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()  # one hand on the page at a time
        self._told: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self.asked: dict[str, Shown] = {}  # by the question's words
        self._comparison = Comparison(self.asked, seen, self._complain)
        self.draft = ""
        self._words: deque[str] = deque(maxlen=60)  # of the browser about its line

    async def __aenter__(self) -> BrowserViewer:
        self._relay = await self._stack.enter_async_context(Relay(self._address))
        self._base = f"http://127.0.0.1:{self._relay.port}"
        self._context = await self._browser.new_context(locale="en-US")
        self._stack.push_async_callback(self._context.close)
        session = await patiently(_session, self._user_id)
        await self._context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": self._base}]
        )
        await self._context.expose_function("tellChaos", self._told.put_nowait)
        await self._context.add_init_script(path=TELL)
        self._faults = PageFaults(self._context, self._relay, self._chance, reload=self._reload)
        self._page = await self._context.new_page()
        self._page.set_default_timeout(READY_MS)
        self._page.on("console", self._hear)
        self._page.on("pageerror", lambda error: self._complain(f"page error: {error}"))
        comparing = asyncio.create_task(self._comparison.follow(self._told))
        self._stack.callback(comparing.cancel)
        await self._load()
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(Error):
            await self._stack.aclose()

    # --- What the person does -----------------------------------------------------

    async def ask(self, question: str, model: str, *, whole: str) -> Shown:
        """Send what stands in the composer; at times the page is left before the question has gone."""
        is_cut_off = self._chance.random() < CUT_OFF_SHARE
        shown = self.asked[question] = Shown(uuid.uuid4(), question, whole)
        await self.type(question)

        async def send() -> None:
            now = await self._page.evaluate("whatIsShown()")
            if question not in [answer["question"] for answer in now["answers"]]:
                self._check_draft(now["composer"])
                await self._page.evaluate(USE_MODEL, model)
                await self._page.wait_for_selector(".send[data-mode=send]")
                if is_cut_off:
                    self._relay.cut()
                await self._page.press("#message", "Enter")
            self.draft = ""
            if is_cut_off:
                await self._load()
                self._check_draft(await self._page.input_value("#message"))

        await self._by_hand(send)
        return shown

    async def type(self, text: str) -> None:
        async def fill() -> None:
            self._check_draft(await self._page.input_value("#message"), text)
            await self._page.fill("#message", text)
            self.draft = text

        await self._by_hand(fill)

    async def stop(self, shown: Shown) -> None:
        """Press the button until the answer is over."""
        await shown.streaming.wait()
        while not shown.over.is_set():
            await self._by_hand(lambda: self._page.click(".send[data-mode=stop]", timeout=1000), tries=1)
            await asyncio.sleep(1)

    async def over(self, shown: Shown) -> None:
        """Until the page shows its end; a page that is none is loaded again, as anybody would."""
        while not shown.over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(shown.over.wait(), 1.0)
            await self._by_hand(self._look)

    async def compare_with_fresh_page(self, shown: Shown) -> None:
        """What was streamed is what the server renders."""

        async def reload() -> None:
            before = await self._ended_html(shown)
            await self._load()
            after = await self._ended_html(shown)
            self._seen.compared += 1
            if before != after:
                self._complain(f"{shown.generation_id} was shown as {before!r}, and loaded anew as {after!r}")

        await self._by_hand(reload)

    async def _ended_html(self, shown: Shown) -> str | None:
        """A page that was loaded while the answer was written shows its end when it has a line."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            html: str | None = await self._page.evaluate(ENDED_HTML_OF, shown.generation_id)
            if html is not None or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        if html is None:
            self._complain(f"the end of {shown.generation_id} is not shown\n{await self._history()}")
        return html

    async def settle(self) -> None:
        """Nothing may hang when everything is over and the line is there."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while wrong := await self._by_hand(self._unsettled):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            self._complain(f"the page hangs: {wrong}\n{await self._history()}")

    async def disturb(self, over: asyncio.Event, *, falls_silent: bool) -> None:
        """Break the line in all ways, load the page anew, until ``over`` is set."""
        count = self._seen.faults.update
        await self._faults.blow(
            over, pause=self._pause, falls_silent=falls_silent, told=lambda name: count([name])
        )

    async def _reload(self) -> None:
        async def reload() -> None:
            await self._load()
            self._check_draft(await self._page.input_value("#message"))

        await self._by_hand(reload)

    async def _load(self) -> None:
        """Until the page is there, as a person presses again and again."""
        while True:
            self._seen.loads += 1
            try:
                await self._page.goto(f"{self._base}/c/{self.conversation_id}/")
                await self._page.wait_for_selector("html[data-ready]", state="attached")
                return
            except Error:
                await asyncio.sleep(0.3)

    async def _look(self) -> None:
        if not await self._page.evaluate("document.documentElement.dataset.ready === 'true'"):
            await self._page.wait_for_selector("html[data-ready]", state="attached")

    async def _unsettled(self) -> dict[str, Any]:
        now: dict[str, Any] = await self._page.evaluate("whatIsShown()")
        right = {"mode": "send", "connection": "open", "writing": 0, "banner": "", "composer": self.draft}
        return {name: now[name] for name, value in right.items() if now[name] != value}

    async def _history(self) -> str:
        """Why there may be no line: what the page, the relay and the browser had to say, seconds ago."""
        with suppress(Error):
            self._words.extend(await self._page.evaluate("lineHistory()"))
        now = time.monotonic()
        told = [f"{now - at:.1f} s ago: {words}" for at, words in (*self._faults.log, *self._relay.log)]
        return "\n".join(f"        {line}" for line in (*told, *self._words))

    async def _by_hand(self, act: Callable[[], Awaitable[R]], *, tries: int = 100) -> R | None:
        """The page may go away under the hand: then it is loaded and the act done again."""
        async with self._lock:
            for attempt in range(tries):
                try:
                    return await act()
                except Error:
                    if attempt + 1 < tries:
                        await self._load()
        return None

    # --- What the page and the browser say -----------------------------------------

    def _check_draft(self, found: str, *others: str) -> None:
        self._seen.drafts += 1
        if found not in (self.draft, *others):
            self._complain(f"the composer holds {found!r}, not {self.draft!r}")

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        if any(words in message.text for words in EXPECTED_WORDS):
            self._words.append(f"console: {message.text}")
        else:
            self._complain(f"console: {message.text}")

    def _complain(self, text: str) -> None:
        self._seen.complaints.append(f"page of {self.conversation_id}: {text}")


def _session(user_id: int) -> str:
    client = Client()
    client.force_login(User.objects.get(pk=user_id))
    return client.cookies[settings.SESSION_COOKIE_NAME].value
