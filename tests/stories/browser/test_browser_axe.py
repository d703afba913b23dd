"""Every page and every state of the chat under axe, light and dark, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Literal

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from playwright.async_api import Browser, WebSocketRoute, expect

from tests.stories.browser.axe import complaints as axe
from tests.stories.browser.axe import out_of_reach
from tests.stories.browser.chat import Chat
from tests.stories.browser.conftest import Complaints
from tests.stories.browser.test_browser_limits import limit
from tests.stories.site import Web

pytestmark = [pytest.mark.browser, pytest.mark.story]

# Colours, width, height, and whether it is touched.
LOOKS: dict[str, tuple[Literal["light", "dark"], int, int, bool]] = {
    "light": ("light", 1280, 800, False),
    "dark": ("dark", 1280, 800, False),
    "phone": ("light", 390, 844, True),
    "narrow dark phone": ("dark", 320, 640, True),
}


# What cannot be seen where a reader's own colours are forced upon the page.
FORCED = """() => {
  const style = (selector) => getComputedStyle(document.querySelector(selector));
  const lost = [];
  if (style(".composer").outlineStyle === "none") lost.push("focus of the message");
  if (style(".send").borderTopStyle === "none") lost.push("button that sends");
  const meter = [".fill", ".track", ".tick"].map((part) => style(`.meter-bar ${part}`).fill);
  if (new Set(meter).size < 3) lost.push(`meter ${meter}`);
  if (style(".question").borderTopStyle === "none") lost.push("question");
  return lost;
}"""

# The two that differ most; the others in make test-long.
PARAMS = [
    pytest.param(look, id=name, marks=() if name in ("light", "narrow dark phone") else pytest.mark.long)
    for name, look in LOOKS.items()
]


@pytest_asyncio.fixture(params=PARAMS, loop_scope="session")
async def chat(
    request: pytest.FixtureRequest, browser: Browser, web: Web, alice: User, complaints: Complaints
) -> AsyncIterator[Chat]:
    scheme, width, height, touched = request.param
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        locale="en-US",
        reduced_motion="reduce",
        has_touch=touched,
        is_mobile=touched,
    )
    page = await context.new_page()
    complaints.watch(page)
    story = Chat(page, f"http://{web.address}")
    await story.sign_in(alice)
    yield story
    await context.close()


async def check(chat: Chat, state: str, *, covered: str = "") -> None:
    found = await axe(chat.page, covered=covered)
    assert found == [], f"{state}: {found}"
    small = await out_of_reach(chat.page)
    assert small == [], f"{state}: {small}"
    width = await chat.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert width <= 0, f"{state}: {width} px too wide"


async def test_no_state_of_an_answer_has_a_grave_fault(chat: Chat) -> None:
    await check(chat, "first visit")
    await chat.page.fill("#message", "Why is the sky blue?")
    if await chat.page.evaluate("() => matchMedia('(pointer: coarse)').matches"):
        await chat.page.press("#message", "Enter")
        await expect(chat.page.locator("#message")).to_have_value("Why is the sky blue?\n")
    await expect(chat.page.locator("[data-field=preview]")).to_contain_text("in ·")
    await check(chat, "typed")
    await chat.ask("Compare lists and dictionaries in a table", "demo:friendly")
    await chat.until("completed")
    await check(chat, "complete, with a table")
    await chat.answer.locator(".receipt summary").click()
    await check(chat, "receipt open")
    await chat.ask("Show me code", "demo:friendly")
    await chat.until("completed")
    await expect(chat.prose.locator(".copy-code").first).to_be_visible()
    await check(chat, "code")
    await chat.ask("Go on", "demo:4000-300-20")
    await expect(chat.page.locator(".thinking-of:visible")).to_contain_text("Waiting for")
    await check(chat, "thinking")
    await chat.until("streaming")
    assert await chat.page.evaluate("() => document.getAnimations().length") == 0
    await check(chat, "streaming")
    await chat.page.click(".send")
    await chat.until("stopped")
    await check(chat, "stopped")
    # Of its own for each look: what a provider said holds back the next call of the same model.
    width = await chat.page.evaluate("() => innerWidth + matchMedia('(prefers-color-scheme: dark)').matches")
    await chat.ask("Busy?", f"demo:{width}-20-10!429x1@20")
    await expect(chat.page.locator(".wait:visible")).to_contain_text("Service busy")
    await check(chat, "waiting")
    await chat.page.click(".send")
    await chat.until("stopped")
    await chat.ask("Broken?", "demo:20-100-5!die@50")
    await chat.until("interrupted")
    await check(chat, "interrupted")
    await chat.ask("Nothing?", "demo:20-10-5!401")
    await chat.until("failed")
    await check(chat, "failed")


async def test_no_menu_or_panel_has_a_grave_fault(chat: Chat, alice: User) -> None:
    await limit(alice, 60_000)
    await chat.ask("First", "demo:10-8-2")
    await chat.until("completed")
    await chat.page.reload()
    await chat.ready()
    for name in ("picker", "meter"):
        await chat.page.locator(f".{name} summary").click()
        await check(chat, f"{name} open")
        await chat.page.keyboard.press("Escape")
    await chat.page.emulate_media(forced_colors="active")
    await chat.page.focus("#message")
    assert await chat.page.evaluate(FORCED) == []
    await check(chat, "forced colours")
    await chat.page.emulate_media(forced_colors="none")
    if await chat.page.evaluate("() => matchMedia('(hover: none)').matches"):
        assert (
            await chat.page.locator("[data-action=edit]").evaluate("one => getComputedStyle(one).opacity")
            == "1"
        )
    await chat.page.locator(".thread .turn").first.hover()
    await chat.answer.locator("[data-action=again]").click()
    await check(chat, "regenerate open")
    await chat.page.keyboard.press("Escape")
    await chat.answer.locator("[data-action=more]").click()
    await check(chat, "menu of a question")
    await chat.page.keyboard.press("Escape")
    await chat.answer.locator("[data-action=bad]").click()
    await expect(chat.page.locator("#feedback-menu")).to_be_visible()
    await check(chat, "words for a bad answer")
    await chat.page.keyboard.press("Escape")
    if await chat.page.locator("[data-field=exports]").is_visible():
        await chat.page.locator("[data-field=exports] summary").click()
        await check(chat, "exports")
        await chat.page.keyboard.press("Escape")
    await chat.page.locator("[data-action=edit]").first.click()
    await check(chat, "editing")
    await chat.page.keyboard.press("Escape")
    await chat.page.evaluate("() => document.activeElement.blur()")
    await chat.page.keyboard.press("?")
    await check(chat, "shortcuts")
    await chat.page.keyboard.press("Escape")
    if await chat.page.locator(".drawer-open").is_visible():
        await chat.page.click(".drawer-open")
        await expect(chat.page.locator("dialog.drawer .rail-inner")).to_be_visible()
    await check(chat, "rail")
    await chat.page.fill(".rail-search input", "first")
    await expect(chat.page.locator("[data-field=found-rows] mark").first).to_be_visible()
    await check(chat, "found")
    await chat.page.locator("[data-field=found-rows] .rail-row").hover()
    await chat.page.locator("[data-field=found-rows] .rail-more").click()
    await check(chat, "menu of a conversation", covered=".rail-foot")


async def test_no_refusal_has_a_grave_fault(chat: Chat, alice: User) -> None:
    await chat.page.fill("#message", "x" * 4001)
    await check(chat, "too long")
    await limit(alice, 4300)
    await chat.ask("Why?", "demo:10-8-2")
    offer = chat.page.locator("[data-field=offer]")
    await expect(offer).to_contain_text(re.compile(r"may reach"))
    await check(chat, "confirmation")
    await limit(alice, 200)
    await chat.page.get_by_role("button", name="Keep editing").click()
    await chat.page.click(".send", force=True)
    await expect(offer).to_contain_text("Resets in")
    await check(chat, "refused by a budget")
    await chat.page.get_by_role("button", name=re.compile("shorter answer")).click()
    await chat.until("completed")


async def test_offline_and_a_temporary_chat_have_no_grave_fault(chat: Chat) -> None:
    await chat.page.click("[data-field=temporary-switch]")
    await check(chat, "temporary")

    async def refuse(route: WebSocketRoute) -> None:
        await route.close(code=3001)

    await chat.page.route_web_socket("**/ws/**", refuse)
    await chat.page.fill("#message", "Hello")
    await expect(chat.page.locator(".banner")).to_contain_text("Connection lost")
    await check(chat, "offline")


async def test_a_deleted_question_and_the_printed_page_have_no_grave_fault(chat: Chat) -> None:
    await chat.ask("First", "demo:10-8-2")
    await chat.until("completed")
    await chat.answer.locator("[data-action=more]").click()
    await chat.page.locator("#turn-menu [data-do=delete]").click()
    await check(chat, "deleted")
    await chat.page.get_by_role("button", name="Undo").click()
    await chat.page.goto(f"{chat.page.url}print/")
    await check(chat, "printed")


async def test_the_pages_of_the_account_have_no_grave_fault(chat: Chat) -> None:
    await chat.page.context.clear_cookies()
    for path in ("/login/", "/signup/", "/nowhere/"):
        await chat.page.goto(chat.base + path)
        await check(chat, path)
