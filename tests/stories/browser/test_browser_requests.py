"""A walk over all pages: nothing is asked in vain or elsewhere, and the console stays empty."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.async_api import Browser, Page, Response, expect

from conversations.database import in_database
from monitoring.models import ProviderBill
from monitoring.reconciliation import import_bill
from tests.monitoring.test_reconciliation import OPENAI
from tests.stories.browser.chat import Chat, in_both
from tests.stories.browser.conftest import Complaints
from tests.stories.site import Web

pytestmark = [pytest.mark.browser, pytest.mark.story]


class Walk:
    """Goes from page to page and keeps what failed on the way."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self.base = page, base
        self.failed: list[str] = []
        self._expected: tuple[str, int] | None = None
        self._is_leaving = False
        page.on("request", lambda request: self._request(request.url))
        page.on("response", self._response)
        page.on("requestfailed", lambda request: self._request_failed(request.url, request.failure or ""))
        page.on("console", lambda message: self._console(message.type, message.text))

    async def to(self, path: str, status: int = 200) -> None:
        """Open a page. A browser asks for its icon by itself only where somebody sees it, so do we."""
        self._expected = (f"{self.base}{path}", status)
        self._is_leaving = True
        answer = await self.page.goto(f"{self.base}{path}", wait_until="load")
        self._is_leaving = False
        assert answer is not None
        assert answer.status == status, (path, answer.status)
        icon = await self.page.evaluate(
            "() => document.querySelector('link[rel~=icon]')?.href ?? new URL('/favicon.ico', origin).href"
        )
        shown = await self.page.evaluate(
            "url => new Promise(done => { const image = new Image(); image.onload = () => done(true);"
            " image.onerror = () => done(false); image.src = url })",
            icon,
        )
        assert shown, (path, icon)

    def _request(self, url: str) -> None:
        if not url.startswith((f"{self.base}/", "data:", "blob:", "about:")):
            self.failed.append(f"asked elsewhere: {url}")

    def _request_failed(self, url: str, why: str) -> None:
        # Who leaves a page does not wait for what it has just asked; a page drops what it asked of a draft.
        is_dropped = self._is_leaving or url.endswith("/preview/")
        if not (is_dropped and why in ("net::ERR_ABORTED", "NS_BINDING_ABORTED")):
            self.failed.append(f"{url}: {why}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and (response.url, response.status) != self._expected:
            self.failed.append(f"{response.status} {response.url}")

    def _console(self, kind: str, text: str) -> None:
        is_expected = self._expected is not None and self._expected[1] >= 400 and "Failed to load" in text
        if kind in ("error", "warning") and not is_expected:
            self.failed.append(f"{kind}: {text}")


@pytest_asyncio.fixture(loop_scope="session")
async def walk(browser: Browser, web: Web) -> AsyncIterator[Walk]:
    context = await browser.new_context(locale="en-US")
    made = Walk(await context.new_page(), f"http://{web.address}")
    yield made
    await context.close()
    assert made.failed == []


@in_both
async def test_no_page_of_a_person_asks_in_vain(walk: Walk, alice: User) -> None:
    for path in ("/login/", "/signup/", "/api/v1/docs/"):
        await walk.to(path)
    await expect(walk.page.locator("#operations-models-list_models")).to_be_visible()
    chat = Chat(walk.page, walk.base)
    await chat.sign_in(alice)
    await chat.ask("Show me code and a table", "demo:friendly")
    await chat.until("completed")
    conversation = "/c/" + walk.page.url.partition("/c/")[2].partition("/")[0] + "/"
    for path in ("", "print/", "context/"):
        await walk.to(f"{conversation}{path}")
    for path in ("/", "/?archived=1", "/?q=code", "/usage/", "/usage/entries/"):
        await walk.to(path)
    first = await walk.page.locator("main a[href^='/usage/entries/']").first.get_attribute("href")
    assert first is not None
    await walk.to(first)
    await walk.to(f"/c/{uuid.uuid4()}/", status=404)
    await walk.to("/nothing-here/", status=404)


async def test_no_page_of_an_admin_asks_in_vain(walk: Walk, root: User) -> None:
    bill: ProviderBill = (await in_database(lambda: import_bill(OPENAI.encode(), file_name="usage.csv")))[0]
    await Chat(walk.page, walk.base).sign_in(root)
    await walk.to("/api/v1/docs/")
    await expect(walk.page.locator("#operations-models-list_models")).to_be_visible()
    await walk.to("/admin/")
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        await walk.to(reverse(name))
    await walk.to(reverse("admin:monitoring_providerbill_add"))
    await walk.to(reverse("admin:monitoring_providerbill_change", args=[bill.pk]))
    await walk.to(reverse("admin:auth_user_change", args=[root.pk]))


@in_both
async def test_a_refusal_by_the_policy_is_noticed(browser: Browser, web: Web) -> None:
    """No story would fail otherwise, whatever the policy refused."""
    found = Complaints()
    page = await browser.new_page()
    found.watch(page)
    await page.goto(f"http://{web.address}/login/")
    await page.evaluate("() => { new Image().src = 'https://elsewhere.test/a.png' }")
    async with asyncio.timeout(15):
        while not found:
            await page.wait_for_timeout(20)
    assert "img-src" in found[0]
    await page.close()
