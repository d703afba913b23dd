"""Versions of answers and wordings of questions in a real browser."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import expect

from conversations.models import Generation, Turn
from tests.stories.browser.chat import Chat, in_both

pytestmark = [pytest.mark.browser, pytest.mark.story]

MODEL = "demo:10-8-2"


async def regenerate(chat: Chat) -> None:
    before = await chat.answer.get_attribute("data-generation-id")
    assert before is not None
    await chat.answer.locator("[data-action=again]").click()
    await chat.page.locator("#again-menu").get_by_role("button", name="Regenerate").click()
    await expect(chat.answer).not_to_have_attribute("data-generation-id", before)
    await chat.until("completed")


@in_both
async def test_it_regenerates_with_a_temperature_and_keeps_the_old_version(chat: Chat) -> None:
    await chat.ask("Tell me", MODEL)
    await chat.until("completed")
    first = await chat.text()
    await chat.answer.locator("[data-action=again]").click()
    menu = chat.page.locator("#again-menu")
    await expect(menu.get_by_label("Temperature", exact=True)).to_have_value("0.7")
    await menu.get_by_label("Temperature as a number").select_text()
    await chat.page.keyboard.type("0.2")
    await expect(menu.get_by_label("Temperature", exact=True)).to_have_value("0.2")
    await menu.get_by_role("button", name="Default 0.7").click()
    await expect(menu.get_by_label("Temperature as a number")).to_have_value("0.7")
    await menu.get_by_label("Temperature", exact=True).fill("0.35")
    await menu.locator("select").select_option("demo:friendly")
    await menu.get_by_label("Temperature", exact=True).fill("0.35")
    await menu.get_by_role("button", name="Regenerate").click()
    await expect(chat.answer.locator("[data-field=version-figure]")).to_have_text("2/2")
    await chat.until("completed")
    assert (await Generation.objects.aget(model="demo:friendly")).temperature == 0.35
    await chat.answer.locator(".receipt summary").click()
    await expect(chat.answer.locator("[data-field=receipt-rows]")).to_contain_text("Temperature0.35")
    second = await chat.text()
    assert second != first
    await chat.answer.get_by_role("button", name="Previous version").click()
    await expect(chat.answer.locator("[data-field=version-words]")).to_have_text("Version 1 of 2")
    await expect(chat.page.locator("#live")).to_have_text("Version 1 of 2")
    assert (await chat.text()).strip() == first.strip()
    await chat.reload()
    assert (await chat.text()).strip() == first.strip()
    await expect(chat.answer.locator("[data-field=version-figure]")).to_have_text("1/2")


async def test_it_switches_by_keyboard_and_keeps_the_view_still(chat: Chat) -> None:
    await chat.page.set_viewport_size({"width": 700, "height": 500})
    await chat.ask("Tell me much", "demo:10-300-1")
    await chat.until("completed")
    await chat.use(MODEL)
    await chat.answer.locator("[data-action=again]").click()
    menu = chat.page.locator("#again-menu")
    await menu.locator("select").select_option("demo:friendly")
    await menu.get_by_role("button", name="Regenerate").click()
    await expect(chat.answer.locator("[data-field=version-figure]")).to_have_text("2/2")
    await chat.until("completed")
    previous = chat.answer.get_by_role("button", name="Previous version")
    await previous.focus()
    before = await previous.bounding_box()
    await chat.page.keyboard.press("Enter")
    await expect(chat.answer.locator("[data-field=version-figure]")).to_have_text("1/2")
    after = await previous.bounding_box()
    assert before
    assert after
    assert abs(before["y"] - after["y"]) < 2
    await expect(previous).to_be_focused()


async def test_other_tabs_follow_the_chosen_version(chat: Chat) -> None:
    await chat.ask("Tell me", "demo:10-8-2")
    await chat.until("completed")
    await regenerate(chat)
    other = Chat(await chat.page.context.new_page(), chat.base)
    await other.page.goto(chat.page.url)
    await other.ready()
    await expect(other.answer.locator("[data-field=version-figure]")).to_have_text("2/2")
    await chat.answer.get_by_role("button", name="Previous version").click()
    await expect(other.answer.locator("[data-field=version-figure]")).to_have_text("1/2")


@in_both
async def test_it_asks_an_earlier_question_in_other_words(chat: Chat, engine: str) -> None:
    for question in ("Rivers", "Which is longest?"):
        await chat.ask(question, MODEL)
        await chat.until("completed")
    other = Chat(await chat.page.context.new_page(), chat.base)
    await other.page.goto(chat.page.url)
    await other.ready()
    questions = chat.page.locator(".question-text:visible")
    first = chat.page.locator(".thread .turn").first
    await first.hover()
    await first.locator("[data-action=edit]").click()
    await first.locator(".question-editor textarea").fill("Lakes")
    await chat.page.keyboard.press("Escape")
    await expect(questions).to_have_text(["Rivers", "Which is longest?"])
    await first.locator("[data-action=edit]").click()
    await first.locator(".question-editor textarea").fill("Lakes")
    await chat.page.keyboard.press("Enter")
    await chat.until("completed")
    await expect(questions).to_have_text(["Lakes"])
    await expect(other.page.locator(".question-text")).to_have_text(["Lakes"])
    await expect(first.locator("[data-field=wording-words]")).to_have_text("Version 2 of 2")
    await first.get_by_role("button", name="Previous wording").click()
    await expect(questions).to_have_text(["Rivers", "Which is longest?"])
    await expect(first.locator("[data-field=wording-words]")).to_have_text("Version 1 of 2")
    await expect(other.page.locator(".question-text")).to_have_text(["Rivers", "Which is longest?"])
    await chat.reload()
    await expect(questions).to_have_text(["Rivers", "Which is longest?"])
    assert await Turn.objects.acount() == 3
    if engine == "chromium":
        assert len([frame for frame in chat.frames if json.loads(frame)["type"] == "turn.edit"]) == 1


async def test_it_regenerates_an_answer_in_the_middle(chat: Chat) -> None:
    for question in ("One", "Two"):
        await chat.ask(question, MODEL)
        await chat.until("completed")
    first = chat.page.locator(".thread .turn").first
    await first.locator("[data-action=again]").click()
    await chat.page.locator("#again-menu").get_by_role("button", name="Regenerate").click()
    await expect(first.locator("[data-field=version-figure]")).to_have_text("2/2")
    await expect(first.locator(".answer")).to_have_attribute("data-state", "completed")
    await expect(chat.page.locator(".question-text")).to_have_text(["One", "Two"])
