"""The end of the thread in a real browser: what comes late has its room, what is not needed takes none."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from django.contrib.auth.models import User
from playwright.async_api import Browser, Error, Route, expect

from tests.stories.browser.chat import Chat, in_both
from tests.stories.browser.test_browser_lens import talk

pytestmark = [pytest.mark.browser, pytest.mark.story]

AT_THE_END = """() => {
  const { scrollHeight, scrollTop, clientHeight } = document.querySelector(".thread-scroll");
  return scrollHeight > 2 * clientHeight && scrollHeight - scrollTop - clientHeight < 2;
}"""
OVERFLOW = """() => {
  const { scrollHeight, clientHeight } = document.querySelector(".thread-scroll");
  return scrollHeight - clientHeight;
}"""
PLACES = """async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const last = document.querySelector(".turn:last-child");
  const shown = [...last.querySelectorAll(".prose, .answer-foot"), document.querySelector(".composer")];
  return shown.map((element) => Math.round(element.getBoundingClientRect().top));
}"""


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
@in_both
async def test_the_offer_of_a_summary_moves_nothing(chat: Chat, alice: User, size: tuple[int, int]) -> None:
    conversation = await talk(alice, 21, words=150)
    page, measured = chat.page, asyncio.Event()

    async def hold(route: Route) -> None:
        await measured.wait()
        with suppress(Error):  # a later one was asked for meanwhile
            await route.continue_()

    await page.set_viewport_size({"width": size[0], "height": size[1]})
    await page.route("**/context/?*", hold)
    await page.goto(f"{chat.base}/c/{conversation.pk}/")
    await chat.ready()
    await page.wait_for_function(AT_THE_END)
    before = await page.evaluate(PLACES)
    measured.set()
    await expect(page.locator("[data-field=summary-offer]")).to_be_in_viewport(ratio=1)
    assert await page.evaluate(PLACES) == before


async def test_an_empty_composer_stands_at_the_foot_of_a_phone(chat: Chat, browser: Browser) -> None:
    context = await browser.new_context(
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        storage_state=await chat.page.context.storage_state(),
    )
    page = await context.new_page()
    await page.goto(chat.base)
    await expect(page.locator("html[data-ready]")).to_be_attached()
    field, composer = page.locator("#message"), page.locator(".composer")

    async def free() -> float:
        box = await composer.bounding_box()
        assert box is not None
        return 844 - box["y"] - box["height"]

    assert await free() <= 16
    # Nor is there anything to scroll.
    assert await page.evaluate(OVERFLOW) == 0
    # Clear of a notch and of the bar at the foot.
    session = await context.new_cdp_session(page)
    edges = {"top": 47, "right": 0, "bottom": 34, "left": 0}
    await session.send("Emulation.setSafeAreaInsetsOverride", {"insets": edges})
    await expect(page.locator("body")).to_have_css("padding-top", "47px")
    header = await page.locator(".status-bar").bounding_box()
    assert header is not None
    assert header["y"] == 47
    assert await free() >= 34
    await session.send("Emulation.setSafeAreaInsetsOverride", {"insets": dict.fromkeys(edges, 0)})
    await expect(page.locator("body")).to_have_css("padding-top", "0px")
    # The line of figures has its room before they come, and keeps it: nothing moves under a finger.
    await field.tap()
    room = await free()
    assert room > 40
    await field.fill("What does it take?")
    await expect(page.locator("[data-field=preview]")).to_contain_text("in ·")
    assert await free() == room
    await field.fill("")
    await field.blur()
    assert await free() == room
    await context.close()
