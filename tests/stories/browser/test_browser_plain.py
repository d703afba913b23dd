"""Without sockets, and without scripts: the answer comes all the same."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from conversations.models import Generation, Turn
from tests.stories.browser.chat import Chat

pytestmark = [pytest.mark.browser, pytest.mark.story]


# What a proxy that knows no sockets does: the handshake fails.
BLOCKED_SOCKET = """
globalThis.WebSocket = class {
  static OPEN = 1;
  static CONNECTING = 0;
  readyState = 0;
  constructor() {
    setTimeout(() => { this.readyState = 3; this.onclose?.({ code: 1006 }); }, 20);
  }
  send() {}
  close() {}
}
"""


async def test_it_answers_where_sockets_are_blocked(chat: Chat) -> None:
    await chat.page.add_init_script(BLOCKED_SOCKET)
    await chat.page.goto(chat.base)
    await chat.ready()
    await chat.ask("First", "demo:50-30-10")
    await chat.until("completed")
    await expect(chat.page.locator(".banner")).to_contain_text("plain requests")
    await chat.ask("Second", "demo:50-900-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    await chat.page.click(".send")
    await chat.until("stopped")
    await expect(chat.page.locator("#message")).to_have_value("")
    assert await Turn.objects.acount() == 2
    assert await Generation.objects.filter(state="stopped").acount() == 1


async def test_it_answers_without_scripts(chat: Chat, browser: Browser) -> None:
    context = await browser.new_context(
        java_script_enabled=False, storage_state=await chat.page.context.storage_state()
    )
    page = await context.new_page()
    await page.goto(chat.base)
    await page.fill("#message", "Which rivers are long?")
    await page.click(".send")
    await expect(page.locator(".question-text")).to_have_text("Which rivers are long?")
    await expect(page.locator(".answer .prose")).not_to_be_empty()
    await expect(page.locator(".receipt summary")).to_contain_text("Response complete")
    await page.fill("#message", "And short?")
    await page.click(".send")
    await expect(page.locator(".question-text")).to_have_text(["Which rivers are long?", "And short?"])
    await context.close()
