"""Asking, watching and stopping in a real browser, on a real server, with the demo model."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from conversations.models import Turn
from tests.stories.browser.chat import Chat, in_both, stored_generation, words

pytestmark = [pytest.mark.browser, pytest.mark.story]


@in_both
async def test_it_answers_word_by_word_with_a_receipt_at_the_end(chat: Chat) -> None:
    await chat.ask("Tell me something", "demo:400-60-20")
    await expect(chat.page.locator(".thinking:visible")).to_contain_text("AI is thinking")
    await expect(chat.page.locator(".send")).to_have_attribute("aria-label", "Stop the answer")
    await chat.until("streaming")
    await chat.until("completed")
    await expect(chat.answer.locator(".receipt summary")).to_contain_text("Response complete")
    await expect(chat.answer.locator(".receipt summary")).to_contain_text(re.compile(r"\d+ tokens"))
    await expect(chat.page.locator("#live")).to_contain_text("Response complete")
    await expect(chat.page.locator(".send")).to_have_attribute("aria-label", "Send")
    assert "/c/" in chat.page.url
    assert words(await chat.text()) == words((await stored_generation()).text)


@in_both
async def test_it_shows_the_same_page_after_a_reload(chat: Chat) -> None:
    await chat.ask("Compare lists and dictionaries in a table", "demo:friendly")
    await chat.until("completed")
    assert await chat.page.locator("[data-replaced]").count() == 0
    streamed = await chat.prose.inner_html()
    receipt = await chat.answer.locator(".receipt").inner_text()
    rows = await chat.answer.locator("[data-field=receipt-rows]").inner_html()
    await chat.reload()
    assert await chat.prose.inner_html() == streamed
    # What is out of sight is painted, and so has words to show, only a frame later.
    await expect(chat.answer.locator(".receipt")).to_have_text(receipt, use_inner_text=True)
    assert await chat.answer.locator("[data-field=receipt-rows]").inner_html() == rows
    await expect(chat.page.locator(".rail-item[aria-current]")).to_have_count(1)


@in_both
async def test_it_stops_and_keeps_what_came(chat: Chat) -> None:
    await chat.ask("Go on for long", "demo:50-2000-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    await chat.page.click(".send")
    await chat.until("stopped")
    await expect(chat.answer.locator(".receipt summary")).to_contain_text("Stopped")
    generation = await stored_generation()
    assert generation.state == "stopped"
    assert words(await chat.text()) == words(generation.text)
    assert generation.text


async def test_a_click_meant_to_stop_does_not_send_what_is_typed(chat: Chat) -> None:
    # The answer ends while the hand is on its way to the button.
    await chat.page.evaluate(
        """() => {
          const button = document.querySelector(".send");
          let couldStop = false;
          new MutationObserver((_, all) => {
            couldStop ||= button.dataset.mode === "stop";
            if (!couldStop || button.dataset.mode !== "send") return;
            all.disconnect();
            button.click();
            window.wasClicked = button.dataset.mode;
          }).observe(button, { attributeFilter: ["data-mode"] });
        }"""
    )
    await chat.ask("First", "demo:300-300-10")
    await expect(chat.page.locator(".send[data-mode=stop]")).to_be_visible()
    await chat.page.fill("#message", "Half a thou")
    await chat.until("completed")
    await chat.page.wait_for_function("window.wasClicked === 'send'")
    await expect(chat.page.locator("#live")).to_contain_text("Your text is kept")
    await expect(chat.page.locator("#message")).to_have_value("Half a thou")
    await chat.page.fill("#message", "Half a thought")
    await chat.page.click(".send")
    await expect(chat.page.locator(".question-text")).to_have_text(["First", "Half a thought"])
    await expect(chat.page.locator(".answer[data-state=completed]")).to_have_count(2)
    assert await Turn.objects.acount() == 2


@in_both
async def test_it_stops_by_escape(chat: Chat) -> None:
    await chat.ask("Go on for long", "demo:50-2000-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+"))
    await chat.page.keyboard.press("Escape")
    await chat.until("stopped")


async def test_it_shows_a_failure_in_the_thread_and_continues_in_the_same_bubble(chat: Chat) -> None:
    await chat.ask("Tell me", "demo:50-120-10!die@80")
    await chat.until("interrupted")
    await expect(chat.answer.locator(".trouble")).to_contain_text("connection to the model was lost")
    first = words(await chat.text())
    assert first
    cut = await chat.answer.get_attribute("data-generation-id")
    assert cut is not None
    await chat.answer.get_by_role("button", name="Continue").click()
    await expect(chat.answer).not_to_have_attribute("data-generation-id", cut)
    await expect(chat.answer).to_have_attribute("aria-busy", "false")
    assert words(await chat.text()).startswith(first)
    assert len(words(await chat.text())) > len(first)
    assert await chat.page.locator(".thread .turn").count() == 1


async def test_it_says_what_it_waits_for_when_the_service_is_busy(chat: Chat) -> None:
    await chat.ask("Tell me", "demo:50-20-10!429x1@3")
    await expect(chat.page.locator(".wait:visible")).to_contain_text("Service busy, sending in")
    await expect(chat.page.locator(".wait:visible")).to_contain_text("(1 of 5)")


async def test_it_remembers_the_model(chat: Chat) -> None:
    await chat.ask("First", "demo:20-10-5")
    await chat.until("completed")
    await chat.reload()
    await chat.page.click(".picker summary")
    labels = await chat.page.locator(".model-choice .name").all_text_contents()
    async with chat.page.expect_response("**/model/") as response:
        await chat.page.locator(".model-choice").nth(len(labels) - 1).click()
    assert (await response.value).status == 204
    await chat.reload()
    await expect(chat.page.locator("[data-field=model-name]")).to_have_text(labels[-1])
    await chat.page.goto(chat.base)
    await expect(chat.page.locator("[data-field=model-name]")).to_have_text(labels[-1])
