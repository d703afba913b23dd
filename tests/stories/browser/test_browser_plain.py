"""Without sockets, without scripts, over plain http in the house: the answer comes all the same."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from playwright.async_api import Browser, expect

from conversations.models import Generation, Turn
from tests.stories.browser.chat import Chat, in_both
from tests.stories.browser.conftest import NETWORK_NAME, Complaints
from tests.stories.site import Web

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


@in_both
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


async def test_it_waits_and_switches_where_sockets_are_blocked(chat: Chat) -> None:
    await chat.page.add_init_script(BLOCKED_SOCKET)
    await chat.page.goto(chat.base)
    await chat.ready()
    await chat.ask("First", "demo:50-20-10!429@50")
    box = chat.answer.locator(".waitbox")
    await expect(box.locator(".wait")).to_contain_text("Service busy, sending in")
    # A reload in the middle of a wait: the answer is followed by requests as well.
    await chat.reload()
    await expect(chat.page.locator(".banner")).to_contain_text("plain requests")
    await box.get_by_role("button", name=re.compile("^Use Demo now")).click()
    await chat.until("completed")
    await expect(chat.answer.locator(".notes")).to_contain_text("as you chose")
    await expect(chat.prose).not_to_be_empty()
    assert await Generation.objects.acount() == 1


async def test_it_decides_a_wait_without_scripts(chat: Chat, browser: Browser) -> None:
    await chat.ask("Tell me", "demo:50-20-10!429x1@900")
    await expect(chat.answer.locator(".waitbox")).to_be_visible()
    context = await browser.new_context(
        java_script_enabled=False, storage_state=await chat.page.context.storage_state()
    )
    page = await context.new_page()
    await page.goto(chat.page.url)
    await expect(page.locator(".waitbox .wait")).to_contain_text("What now?")
    await page.get_by_role("button", name="Send when it may be sent").click()
    await expect(page.locator(".waitbox .wait")).to_contain_text("Sending in")
    await page.get_by_role("button", name=re.compile("^Use Demo now")).click()
    await expect(page.locator(".notes")).to_contain_text("as you chose")
    await expect(page.locator(".receipt summary")).to_contain_text("Response complete")
    await context.close()


async def test_it_works_on_another_machine_over_plain_http(
    browser: Browser, web: Web, alice: User, complaints: Complaints
) -> None:
    """There browsers keep the clipboard and the making of ids from scripts."""
    context = await browser.new_context()
    page = await context.new_page()
    complaints.watch(page)
    chat = Chat(page, f"http://{NETWORK_NAME}:{web.address.rpartition(':')[2]}")
    await chat.sign_in(alice)
    assert await page.evaluate("() => isSecureContext") is False
    await chat.ask("Show me code", "demo:friendly")
    await chat.until("completed")
    await chat.answer.locator("[data-action=copy]").click()
    await expect(chat.answer.locator("[data-action=copy]")).to_contain_text("Copied")
    await page.focus("#message")
    await page.keyboard.press("Control+V")
    pasted = await page.locator("#message").input_value()
    assert pasted.strip() == (await Generation.objects.aget()).text.strip()
    await context.close()
