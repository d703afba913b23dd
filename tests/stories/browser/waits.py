"""What the stories of waiting answers hold at their end, and pictures for who wants to look at them."""

from __future__ import annotations

import os

from billing.books import check_books
from billing.models import Hold
from conversations.database import in_database
from tests.stories.browser.chat import Chat


async def books_balance() -> None:
    assert await in_database(Hold.objects.alive().count) == 0
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []


async def shot(chat: Chat, name: str) -> None:
    """A picture of the state in both widths and themes, where somebody wants to look (SHOTS = a folder)."""
    folder = os.environ.get("SHOTS")
    if not folder:
        return
    for width, device in ((1440, "desktop"), (390, "phone")):
        for scheme in ("light", "dark"):
            await chat.page.set_viewport_size({"width": width, "height": 900 if width > 390 else 844})
            await chat.page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
            await chat.page.screenshot(path=f"{folder}/{name}-{device}-{scheme}.png")
    await chat.page.set_viewport_size({"width": 1280, "height": 800})
