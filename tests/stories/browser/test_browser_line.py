"""Lines that are cut, pages that are loaded anew and other tabs, in a real browser."""

from __future__ import annotations

import asyncio
import re

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import WebSocketRoute, expect

from conversations.models import Conversation
from tests.chaos.page_shown import ENDED_HTML_OF
from tests.stories.browser.chat import Chat, in_both, stored_generation, words

pytestmark = [pytest.mark.browser, pytest.mark.story]


@in_both
async def test_it_continues_exactly_after_a_reload_in_the_middle(chat: Chat) -> None:
    await chat.ask("Go on", "demo:50-150-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    await chat.reload()
    await chat.until("completed")
    assert words(await chat.text()) == words((await stored_generation()).text)


async def test_a_page_loaded_before_the_end_shows_it_as_soon_as_it_has_a_line(chat: Chat) -> None:
    ready: asyncio.Queue[WebSocketRoute] = asyncio.Queue()

    def hold(route: WebSocketRoute) -> None:
        ready.put_nowait(route)  # open for the page, and nobody at the other end

    def through(route: WebSocketRoute) -> None:
        route.connect_to_server()

    await chat.ask("Go on", "demo:50-150-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    await chat.page.route_web_socket("**/ws/**", hold)
    await chat.reload()
    async with asyncio.timeout(30):
        while (generation := await stored_generation()).state != "completed":
            await asyncio.sleep(0.1)
    shown = words(await chat.text())
    assert words(generation.text).startswith(shown)
    assert len(shown) < len(words(generation.text))
    # What it shows is not given out for the whole.
    await expect(chat.answer).to_have_attribute("aria-busy", "true")
    assert await chat.page.evaluate(ENDED_HTML_OF, str(generation.pk)) is None
    await chat.page.route_web_socket("**/ws/**", through)
    await (await ready.get()).close(code=4000)
    await chat.until("completed")
    assert words(await chat.text()) == words(generation.text)
    assert await chat.page.evaluate(ENDED_HTML_OF, str(generation.pk))


@in_both
async def test_it_shows_the_same_in_two_tabs(chat: Chat) -> None:
    await chat.ask("First", "demo:20-10-5")
    await chat.until("completed")
    other = Chat(await chat.page.context.new_page(), chat.base)
    await other.page.goto(chat.page.url)
    await other.ready()
    await chat.ask("Second", "demo:100-80-20")
    await expect(other.page.locator(".question").last).to_contain_text("Second")
    await other.until("streaming")
    await other.until("completed")
    await chat.until("completed")
    assert words(await other.text()) == words(await chat.text()) == words((await stored_generation()).text)
    # Each keeps its own words; what is sent or thrown away in one is no longer offered in the other.
    await chat.page.fill("#message", "mine")
    await other.page.fill("#message", "yours")
    await chat.reload()
    await expect(chat.page.locator("#message")).to_have_value("mine")
    await expect(other.page.locator("#message")).to_have_value("yours")
    await other.page.fill("#message", "mine")
    await other.page.fill("#message", "")
    await expect(chat.page.locator("#message")).to_have_value("")


@in_both
async def test_it_goes_on_when_the_line_is_cut(chat: Chat) -> None:
    await chat.ask("First", "demo:20-10-5")
    await chat.until("completed")
    cut: list[WebSocketRoute] = []

    def through(route: WebSocketRoute) -> None:
        route.connect_to_server()
        cut.append(route)

    await chat.page.route_web_socket("**/ws/**", through)
    await chat.reload()
    await chat.ask("Second", "demo:50-200-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    await cut[0].close(code=3001)
    await chat.until("completed")
    await expect(chat.page.locator(".banner")).to_be_hidden()
    assert len(cut) == 2
    assert words(await chat.text()) == words((await stored_generation()).text)


async def test_it_sends_a_question_typed_while_the_line_is_down_once(chat: Chat) -> None:
    await chat.ask("First", "demo:20-10-5")
    await chat.until("completed")
    tries: list[WebSocketRoute] = []
    is_back = asyncio.Event()

    async def gate(route: WebSocketRoute) -> None:
        # After the first try of a page the next one hangs: failing ones would be taken for a block, and the
        # question would go by a plain request.
        tries.append(route)
        if len(tries) == 1:
            await route.close(code=3001)
            return
        await is_back.wait()
        if route is tries[-1]:
            route.connect_to_server()

    await chat.page.route_web_socket("**/ws/**", gate)
    await chat.reload()
    await chat.ask("Second", "demo:20-10-5")
    await expect(chat.page.locator(".banner")).to_contain_text("will be sent")
    await expect(chat.page.locator(".thinking:visible")).to_have_text("Not sent yet", use_inner_text=True)
    tries.clear()
    await chat.reload()
    await expect(chat.page.locator(".question").last).to_contain_text("Second")
    await expect(chat.page.locator("#message")).to_have_value("")
    await chat.page.fill("#message", "Third")
    tries.clear()
    await chat.reload()
    await expect(chat.page.locator("#message")).to_have_value("Third")
    await expect(chat.page.locator(".banner")).to_contain_text("will be sent")
    is_back.set()
    # A try of its own may come first, and then the button is gone.
    await chat.page.locator("[data-field=banner-action]").dispatch_event("click")
    await chat.until("completed")
    assert await sync_to_async(lambda: Conversation.objects.get().turns.filter(text="Second").count())() == 1
