"""Scrolling, phones and themes in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, expect

from tests.stories.browser.chat import Chat, in_both

pytestmark = [pytest.mark.browser, pytest.mark.story]


KEYBOARD = """height => {
  if (height === null) delete visualViewport.height;
  else Object.defineProperty(visualViewport, "height", { get: () => height, configurable: true });
  visualViewport.dispatchEvent(new Event("resize"));
}"""


# Of the page behind the words: a paper is light when its red, green and blue are.
SHADE = """() => {
  const paint = new OffscreenCanvas(1, 1).getContext("2d");
  paint.fillStyle = getComputedStyle(document.documentElement).backgroundColor;
  paint.fillRect(0, 0, 1, 1);
  return Math.max(...paint.getImageData(0, 0, 1, 1).data.slice(0, 3)) < 100 ? "dark" : "light";
}"""


# Where the last question stands in each frame from now on, and in how many its answer says nothing.
WATCH = """() => {
  window.tops = [];
  window.mute = 0;
  const answer = [...document.querySelectorAll(".answer")].at(-1);
  const look = () => {
    mute += answer.querySelector(".thinking").hidden && !answer.querySelector(".prose").textContent;
    tops.push([...document.querySelectorAll(".question")].at(-1).getBoundingClientRect().top);
    requestAnimationFrame(look);
  };
  look();
}"""
MOVED = "() => Math.max(...tops) - Math.min(...tops)"
# How much the words on what is waited for would make the answer grow.
GROWN = """() => {
  const answer = [...document.querySelectorAll(".answer")].at(-1);
  const words = answer.querySelector(".thinking-of");
  const before = answer.getBoundingClientRect().height;
  words.textContent = "Waiting for the model to answer.";
  const grown = answer.getBoundingClientRect().height - before;
  words.textContent = "";
  return grown;
}"""
# How far from the right edge a paragraph in Hebrew begins.
HEBREW = """() => {
  const line = document.createElement("p");
  line.textContent = "שלום, world";
  document.querySelector(".prose").append(line);
  const words = document.createRange();
  words.selectNodeContents(line);
  return line.getBoundingClientRect().right - words.getBoundingClientRect().right;
}"""


async def bottom(element: Locator) -> float:
    box = await element.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


@in_both
async def test_it_lets_the_reader_scroll_up_while_text_arrives(chat: Chat) -> None:
    await chat.page.set_viewport_size({"width": 700, "height": 420})
    await chat.ask("Go on for long", "demo:20-4000-5")
    scroller = chat.page.locator(".thread-scroll")
    await chat.page.wait_for_function("() => document.querySelector('.thread-scroll').scrollTop > 150")
    # A key moves the view in small steps: the text that comes with each must not undo them.
    await scroller.click(position={"x": 20, "y": 100})
    await chat.page.keyboard.press("PageUp")
    await expect(chat.page.locator(".jump")).to_be_visible()
    await chat.page.click(".jump")
    await scroller.hover()
    await chat.page.mouse.wheel(0, -140)
    await expect(chat.page.locator(".jump")).to_be_visible()
    top = await scroller.evaluate("element => element.scrollTop")
    height = await scroller.evaluate("element => element.scrollHeight")
    await chat.page.wait_for_function(
        "height => document.querySelector('.thread-scroll').scrollHeight > height + 60", arg=height
    )
    assert abs(await scroller.evaluate("element => element.scrollTop") - top) < 3
    await chat.page.click(".jump")
    await expect(chat.page.locator(".jump")).to_be_hidden()
    await chat.page.keyboard.press("Escape")
    await chat.until("stopped")
    rest = await scroller.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight")
    assert rest < 4
    # At the end of a long thread, too, a short answer comes and ends without moving anything.
    await chat.ask("A short one", "demo:1000-6-20")
    await expect(chat.page.locator(".question")).to_have_count(2)
    await chat.page.evaluate(WATCH)
    assert abs(await chat.page.evaluate(GROWN)) < 1
    await chat.until("completed")
    assert await chat.page.evaluate(MOVED) < 2
    assert await chat.page.evaluate("() => mute") == 0
    assert await chat.page.evaluate(HEBREW) < 2


@in_both
async def test_it_offers_a_drawer_on_a_phone(chat: Chat) -> None:
    await chat.page.set_viewport_size({"width": 390, "height": 844})
    assert await chat.page.evaluate("() => document.documentElement.scrollWidth") == 390
    await chat.page.click(".drawer-open")
    await expect(chat.page.locator("dialog.drawer .rail-inner")).to_be_visible()
    await chat.page.keyboard.press("Escape")
    await expect(chat.page.locator("dialog.drawer")).to_be_hidden()
    await expect(chat.page.locator(".drawer-open")).to_be_focused()
    # An example is written for who wants it, not sent.
    example = chat.page.locator(".example").first
    await example.click()
    await expect(chat.page.locator("#message")).to_have_value((await example.text_content() or "").strip())
    assert not [frame for frame in chat.frames if "turn.create" in frame]
    # As if it had been typed.
    await chat.page.keyboard.press("ControlOrMeta+z")
    await expect(chat.page.locator("#message")).to_have_value("")
    await chat.page.keyboard.press("ControlOrMeta+Shift+z")
    await expect(chat.page.locator("#message")).not_to_have_value("")
    # A keyboard that covers the page, as on iOS: only the visual viewport shrinks.
    composer = chat.page.locator(".composer")
    await chat.page.evaluate(KEYBOARD, 480)
    assert await bottom(composer) <= 480
    await chat.page.evaluate(KEYBOARD, None)
    assert await bottom(composer) > 700
    # Zoomed to 400 % on a usual screen: nothing is lost to the side or out of reach.
    await chat.page.set_viewport_size({"width": 320, "height": 256})
    assert await chat.page.evaluate("() => document.documentElement.scrollWidth") == 320
    assert await bottom(composer) <= 256
    shown = chat.page.locator(".thread-scroll")
    assert await shown.evaluate("element => element.clientHeight") > 50
    await chat.page.fill("#message", "")
    await expect(chat.page.locator("[data-field=preview]")).to_have_attribute("data-level", "")
    assert await shown.evaluate("element => element.clientHeight") > 100
    await chat.page.click(".drawer-open")
    await chat.page.locator("dialog.drawer [data-help]").click()
    help_list = chat.page.locator("#help")
    await expect(help_list).to_be_visible()
    assert await help_list.evaluate("element => element.scrollWidth - element.clientWidth") == 0
    zoomed = await chat.page.locator("meta[name=viewport]").get_attribute("content")
    assert zoomed is not None
    assert not re.search("user-scalable|maximum-scale", zoomed)


@in_both
async def test_it_keeps_the_chosen_theme_without_a_flash(chat: Chat, engine: str) -> None:
    # Our Chromium prefers light pages, our Firefox dark ones.
    before, after = ("dark", "light") if engine == "firefox" else ("light", "dark")
    assert await chat.page.evaluate(SHADE) == before
    await chat.page.click("[data-theme-switch]")
    await expect(chat.page.locator("html")).to_have_attribute("data-theme", after)
    assert await chat.page.evaluate(SHADE) == after
    response = await chat.page.request.get(chat.base)
    assert f'data-theme="{after}"' in await response.text()
