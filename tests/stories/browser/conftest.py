"""A real Chromium on a real server. Any refusal by the content security policy fails the story."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from playwright.async_api import Browser, ConsoleMessage, Error, Page, Playwright, async_playwright

from tests.browser import ARGUMENTS, build_pages
from tests.stories.browser.chat import Chat
from tests.stories.site import Site, Web

FOLDER = Path(__file__).parent


@pytest.fixture(scope="session")
def bundle() -> None:
    """The bundle is built and the static files are collected, once for all test processes."""
    build_pages()


@pytest.fixture(scope="session")
def served(django_db_setup: None, bundle: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One server for all stories of this process: starting one takes longer than most stories."""
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        yield made.start_web()
    finally:
        made.stop()
        print(made.logs())


@pytest.fixture
def web(served: Web, transactional_db: None) -> Iterator[Web]:
    before = len(served.read_log())
    yield served
    print(served.read_log()[before:])


class Chromiums:
    """One Chromium for all stories of this process, for starting it takes longer than most of them."""

    def __init__(self, playwright: Playwright, program: str) -> None:
        self._playwright = playwright
        self._program = program
        self._running: Browser | None = None

    async def get(self) -> Browser:
        """The running one, or a new one where a story has made it crash."""
        if self._running is None or not self._running.is_connected():
            self._running = await self._playwright.chromium.launch(
                executable_path=self._program, args=ARGUMENTS
            )
        return self._running

    async def close(self) -> None:
        if self._running is not None:
            await self._running.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them run in one event loop, in which their Chromium lives."""
    for item in items:
        if FOLDER in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromiums(chromium: str) -> AsyncIterator[Chromiums]:
    async with async_playwright() as playwright:
        made = Chromiums(playwright, chromium)
        yield made
        await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser(chromiums: Chromiums) -> AsyncIterator[Browser]:
    """One that nobody has used: each context has cookies, stores and caches of its own."""
    running = await chromiums.get()
    assert running.contexts == []
    yield running
    for context in running.contexts:
        await context.close()


class Complaints(list[str]):
    """What no page may cause: uncaught errors and refusals by the content security policy."""

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", self._error)

    def _console(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "TrustedHTML" in message.text:
            self.append(message.text)

    def _error(self, error: Error) -> None:
        self.append(str(error))


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    found = Complaints()
    yield found
    assert not found


@pytest_asyncio.fixture(loop_scope="session")
async def chat(browser: Browser, web: Web, alice: User, complaints: Complaints) -> AsyncIterator[Chat]:
    """Alice's browser, signed in, on the page of a new chat."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    page = await context.new_page()
    complaints.watch(page)
    context.on("page", complaints.watch)
    story = Chat(page, f"http://{web.address}")
    await story.sign_in(alice)
    yield story
    await context.close()
    story.check_contract()
