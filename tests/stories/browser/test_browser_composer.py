"""Writing and sending a question in a real browser."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import expect

from tests.stories.browser.chat import Chat, in_both

pytestmark = [pytest.mark.browser, pytest.mark.story]


DROP = """() => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(["x"], "picture.png", { type: "image/png" }));
  const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  return document.querySelector(".thread").dispatchEvent(drop);
}"""


async def test_it_refuses_a_message_over_the_limit_before_anything_is_sent(chat: Chat) -> None:
    await chat.page.fill("#message", "x" * 4001)
    await expect(chat.page.locator("[data-field=count]")).to_have_text(
        "4,001 of 4,000 characters: 1 too many"
    )
    await expect(chat.page.locator("[data-field=preview]")).to_contain_text("can be sent")
    await chat.page.press("#message", "Enter")
    await expect(chat.page.locator("#live")).to_contain_text("4,001 characters")
    assert await chat.page.locator(".thread .turn").count() == 0
    assert not [frame for frame in chat.frames if "turn.create" in frame]
    assert await chat.page.input_value("#message") == "x" * 4001
    # A file is not opened in the place of the page.
    assert await chat.page.evaluate(DROP) is False
    await expect(chat.page.locator(".banner")).to_contain_text("Only text can be sent here")
    await expect(chat.page.locator("#alert")).to_contain_text("Only text can be sent here")


@in_both
async def test_it_keeps_a_draft_over_a_reload(chat: Chat) -> None:
    await chat.ask("First", "demo:20-10-5")
    await chat.until("completed")
    await chat.page.fill("#message", "half a thought")
    await chat.reload()
    await expect(chat.page.locator("#message")).to_have_value("half a thought")


async def test_it_gives_the_text_back_when_the_server_refuses(chat: Chat) -> None:
    await chat.ask("Why?", "demo:no-such-thing")
    await expect(chat.page.locator(".banner")).to_be_visible()
    await expect(chat.page.locator("#message")).to_have_value("Why?")
    await expect(chat.page.locator(".send")).to_have_attribute("aria-label", "Send")


@in_both
async def test_it_breaks_the_line_on_shift_enter_and_the_field_grows(chat: Chat) -> None:
    low = await chat.page.locator("#message").bounding_box()
    await chat.page.fill("#message", "one")
    await chat.page.press("#message", "Shift+Enter")
    await chat.page.keyboard.type("two")
    high = await chat.page.locator("#message").bounding_box()
    assert low is not None
    assert high is not None
    assert high["height"] > low["height"]
    await expect(chat.page.locator("#message")).to_have_value("one\ntwo")


async def test_it_waits_for_the_input_method(chat: Chat) -> None:
    devtools = await chat.page.context.new_cdp_session(chat.page)
    word = {"text": "にほ", "selectionStart": 2, "selectionEnd": 2}
    await devtools.send("Input.imeSetComposition", word)
    await chat.page.press("#message", "Enter")
    await expect(chat.page.locator("#message")).to_have_value(re.compile("にほ"))
    assert await chat.page.locator(".thread .turn").count() == 0


async def test_it_sends_once_however_often_it_is_told_to(chat: Chat) -> None:
    await chat.use("demo:100-20-10")
    await expect(chat.page.locator(".send")).to_have_attribute("aria-disabled", "true")
    await chat.page.fill("#message", "Once")
    for _ in range(3):
        await chat.page.press("#message", "Enter")
    await chat.until("completed")
    assert len({json.loads(frame)["turn_id"] for frame in chat.frames if "turn.create" in frame}) == 1
    # The second click of a double one falls on the button that stops by then.
    await chat.page.fill("#message", "Twice")
    await chat.page.dblclick(".send")
    await expect(chat.page.locator(".thread .turn")).to_have_count(2)
    await chat.until("completed")
    assert not [frame for frame in chat.frames if "turn.stop" in frame]


async def test_it_keeps_the_text_typed_while_an_answer_is_written(chat: Chat) -> None:
    await chat.ask("First", "demo:50-60-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+"))
    await chat.page.fill("#message", "next")
    await chat.page.press("#message", "Enter")
    await chat.until("completed")
    await expect(chat.page.locator("#message")).to_have_value("next")
    assert await chat.page.locator(".thread .turn").count() == 1
