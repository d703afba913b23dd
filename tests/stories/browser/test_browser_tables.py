"""Tables that become blocks where there is little room."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.async_api import Page, expect

from conversations.database import in_database
from monitoring.models import ProviderBill
from monitoring.reconciliation import import_bill
from tests.monitoring.test_reconciliation import OPENAI
from tests.stories.browser.chat import Chat

pytestmark = [pytest.mark.browser, pytest.mark.story]


async def roles_of(page: Page, selector: str) -> list[str]:
    """What Chromium tells a screen reader of an element and all that is in it."""
    session = await page.context.new_cdp_session(page)
    document = await session.send("DOM.getDocument")
    found = await session.send(
        "DOM.querySelector", {"nodeId": document["root"]["nodeId"], "selector": selector}
    )
    roles = []
    for role in ("table", "row", "columnheader", "rowheader", "cell"):
        tree = await session.send("Accessibility.queryAXTree", {"nodeId": found["nodeId"], "role": role})
        roles += [role for node in tree["nodes"] if not node["ignored"]]
    return roles


async def test_a_table_stays_one_where_its_rows_are_blocks(chat: Chat, root: User) -> None:
    bill: ProviderBill = (await in_database(lambda: import_bill(OPENAI.encode(), file_name="usage.csv")))[0]
    await chat.page.set_viewport_size({"width": 1280, "height": 844})
    await chat.sign_in(root)
    await chat.page.goto(chat.base + reverse("admin:monitoring_providerbill_change", args=[bill.pk]))
    row = chat.page.locator(".stacked tbody tr").first
    wide = await roles_of(chat.page, ".stacked")
    assert {"table", "row", "columnheader", "rowheader", "cell"} == set(wide)
    await chat.page.set_viewport_size({"width": 390, "height": 844})
    await expect(row).to_have_css("display", "grid")
    assert await roles_of(chat.page, ".stacked") == wide
    # Other browsers go by the display, not by the element, where no role is written.
    assert await chat.page.locator(".stacked, .stacked :is(thead, tbody, tr, th, td)").count() == (
        await chat.page.locator(".stacked[role], .stacked :is(thead, tbody, tr, th, td)[role]").count()
    )
    width = await chat.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert width <= 0
