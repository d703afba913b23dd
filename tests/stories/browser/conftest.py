"""A real browser on a real server. Any refusal by the content security policy fails the story."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    async_playwright,
)

from tests.bidi import write_starter
from tests.browser import ARGUMENTS, FIREFOX_PREFERENCES, build_pages, find_chromium, find_firefox
from tests.stories.browser.chat import Chat
from tests.stories.site import Site, Web

FOLDER = Path(__file__).parent
# This machine as another one sees it: browsers take no page for secure that plain http brings from there.
NETWORK_NAME = "chatsite.test"


@pytest.fixture(scope="session")
def bundle() -> None:
    """The bundle is built and the static files are collected, once for all test processes."""
    build_pages()


@pytest.fixture(scope="session")
def served(django_db_setup: None, bundle: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One server for all stories of this process: starting one takes longer than most stories."""
    made = Site(tmp_path_factory.mktemp("site"), ALLOWED_HOSTS=f"localhost,127.0.0.1,{NETWORK_NAME}")
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


class Browsers:
    """One of each kind for all stories of this process, for starting one takes longer than most of them."""

    def __init__(self, playwright: Playwright, folder: Path) -> None:
        self._playwright = playwright
        self._folder = folder
        self._running: dict[str, Browser] = {}

    async def get(self, engine: str) -> Browser:
        """The running one, or a new one where a story has made it crash."""
        if engine not in self._running or not self._running[engine].is_connected():
            started = self._firefox if engine == "firefox" else self._chromium
            self._running[engine] = await started()
        return self._running[engine]

    async def close(self) -> None:
        for browser in self._running.values():
            await browser.close()

    async def _chromium(self) -> Browser:
        arguments = [*ARGUMENTS, f"--host-resolver-rules=MAP {NETWORK_NAME} 127.0.0.1"]
        return await self._playwright.chromium.launch(executable_path=find_chromium(), args=arguments)

    async def _firefox(self) -> Browser:
        program = find_firefox()
        assert program is not None
        return await self._playwright.firefox.launch(
            channel="moz-firefox",
            executable_path=write_starter(self._folder, program),
            firefox_user_prefs=FIREFOX_PREFERENCES,
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them run in one event loop, in which their browsers live."""
    for item in items:
        if FOLDER in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browsers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browsers]:
    async with async_playwright() as playwright:
        made = Browsers(playwright, tmp_path_factory.mktemp("browsers"))
        yield made
        await made.close()


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """The kind of browser: Chromium, and Firefox where a story is marked to run there too."""
    return str(getattr(request, "param", "chromium"))


@pytest_asyncio.fixture(loop_scope="session")
async def browser(browsers: Browsers, engine: str) -> AsyncIterator[Browser]:
    """One that nobody has used: each context has cookies, stores and caches of its own."""
    running = await browsers.get(engine)
    assert running.contexts == []
    yield running
    for context in running.contexts:
        await context.close()


class Complaints(list[str]):
    """What no page may cause: uncaught errors and refusals by the content security policy."""

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", self._error)

    # Firefox reports refusals as errors.
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
