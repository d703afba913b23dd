"""A real Chromium on a real server. Any refusal by the content security policy fails the story."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from playwright.async_api import Browser, ConsoleMessage, Error, Page, async_playwright

from tests.browser import ARGUMENTS
from tests.stories.browser.chat import Chat
from tests.stories.site import ROOT, Site, Web


@pytest.fixture(scope="session")
def bundle() -> None:
    """The bundle is built and the static files are collected, once for all test processes."""
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with (folder / "bundle.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            [sys.executable, "chatsite/launcher/bundle.py"],
            [sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"],
        ):
            environment = {"SECRET_KEY": "tests-only", "DJANGO_SETTINGS_MODULE": "chatsite.settings"}
            done = subprocess.run(
                command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr


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


@pytest_asyncio.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        await started.close()


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


@pytest_asyncio.fixture
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
