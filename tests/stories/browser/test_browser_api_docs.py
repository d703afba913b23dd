"""The page of the REST API: it works under the content security policy and loads nothing from elsewhere."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.async_api import Browser, expect

from conversations.database import in_database
from conversations.models import ApiKey, Conversation
from tests.stories.browser.conftest import Complaints
from tests.stories.site import Web

pytestmark = [pytest.mark.browser, pytest.mark.story]


async def test_it_shows_the_api_and_tries_it_with_a_key(
    browser: Browser, web: Web, alice: User, complaints: Complaints
) -> None:
    secret = (await in_database(ApiKey.create, user=alice))[1]
    await in_database(lambda: Conversation.objects.create(owner=alice, title="Rivers") and None)
    base = f"http://{web.address}"
    page = await browser.new_page(viewport={"width": 1280, "height": 1000})
    complaints.watch(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    await page.goto(f"{base}/api/v1/docs/")
    listing = page.locator("#operations-conversations-list_conversations")
    await expect(listing).to_be_visible()
    # In the colours of the site, and with a way back to it.
    html = page.locator("html")
    await page.emulate_media(color_scheme="dark")
    await expect(html).to_have_class("dark-mode")
    await page.locator("[data-theme-switch]").click()
    await expect(html).not_to_have_class("dark-mode")
    await page.locator("[data-theme-switch]").click()
    await expect(html).to_have_class("dark-mode")
    await expect(page.get_by_role("link", name="Chat", exact=True)).to_have_attribute("href", "/")
    await page.locator(".btn.authorize").first.click()
    keys = page.locator("form").filter(has_text="apiKey (http, Bearer)")
    await keys.get_by_label("auth-bearer-value").fill(secret)
    await keys.get_by_role("button", name="Apply credentials").click()
    await page.get_by_role("button", name="Close").first.click()
    await listing.locator(".opblock-summary-control").click()
    await listing.get_by_role("button", name="Try it out").click()
    await listing.get_by_role("button", name="Execute").click()

    answer = listing.locator(".live-responses-table .response")
    await expect(answer).to_contain_text('"title": "Rivers"')
    assert not [url for url in asked if not url.startswith((base, "data:", "blob:"))]
    await page.close()
