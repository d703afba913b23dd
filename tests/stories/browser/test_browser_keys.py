"""The keyboard alone: shortcuts, their list, settings, and a conversation without a mouse."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.stories.browser.chat import Chat, in_both

pytestmark = [pytest.mark.browser, pytest.mark.story]

MODEL = "demo:10-8-2"
FOCUS = "() => document.activeElement.getAttribute('aria-label') || document.activeElement.textContent.trim()"


CLIP = """async parts => {
  const canvas = new OffscreenCanvas(4, 4);
  canvas.getContext("2d").fillRect(0, 0, 4, 4);
  const items = {};
  for (const [type, text] of Object.entries(parts)) {
    items[type] = type === "image/png" ? await canvas.convertToBlob({ type }) : new Blob([text], { type });
  }
  await navigator.clipboard.write([new ClipboardItem(items)]);
}"""


async def focused(chat: Chat) -> str:
    found: str = await chat.page.evaluate(FOCUS)
    return found


async def blur(chat: Chat) -> None:
    await chat.page.evaluate("() => document.activeElement.blur()")


async def test_it_edits_the_last_question_by_arrow_up(chat: Chat) -> None:
    await chat.ask("First", MODEL)
    await chat.until("completed")
    await chat.page.press("#message", "ArrowUp")
    editor = chat.page.locator(".question-editor textarea")
    await expect(editor).to_be_focused()
    await expect(editor).to_have_value("First")
    await chat.page.keyboard.press("Escape")
    await expect(chat.page.locator("#message")).to_be_focused()
    await chat.page.keyboard.press("ArrowUp")
    await editor.fill("Second")
    await chat.page.keyboard.press("Enter")
    await expect(chat.page.locator(".question-text:visible")).to_have_text(["Second"])
    await expect(chat.page.locator("#message")).to_be_focused()
    await chat.page.fill("#message", "typed")
    await chat.page.press("#message", "ArrowUp")
    await expect(editor).to_have_count(0)


async def test_it_lists_the_shortcuts(chat: Chat) -> None:
    dialog = chat.page.locator("#help")
    await chat.page.keyboard.type("?")
    await expect(chat.page.locator("#message")).to_have_value("?")
    await chat.page.fill("#message", "")
    await blur(chat)
    await chat.page.keyboard.press("?")
    await expect(dialog).to_be_visible()
    await chat.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await chat.page.keyboard.press("/")
    await expect(chat.page.locator("#message")).to_be_focused()
    await chat.page.click("[data-help]")
    await dialog.get_by_label("Use single keys").uncheck()
    await dialog.get_by_role("button", name="Close").click()
    await chat.reload()
    await blur(chat)
    await chat.page.keyboard.press("?")
    await expect(dialog).to_be_hidden()


async def test_it_sends_with_the_modifier_where_that_is_set(chat: Chat) -> None:
    await chat.page.click("[data-help]")
    await chat.page.locator("#help").get_by_label("Send with").check()
    await chat.page.keyboard.press("Escape")
    await expect(chat.page.locator("[data-field=preview]")).to_have_text(re.compile("^Ctrl.Enter sends"))
    await expect(chat.page.locator(".send")).to_have_attribute("title", re.compile("Ctrl.Enter"))
    await chat.use(MODEL)
    await chat.page.fill("#message", "one")
    await chat.page.press("#message", "Enter")
    await chat.page.keyboard.type("two")
    await expect(chat.page.locator("#message")).to_have_value("one\ntwo")
    await chat.page.press("#message", "Control+Enter")
    await chat.until("completed")


async def test_it_finds_searches_and_hides_the_list_by_keys(chat: Chat) -> None:
    await chat.page.keyboard.press("Control+k")
    await expect(chat.page.locator(".rail-search input")).to_be_focused()
    await chat.page.keyboard.press("Control+Shift+s")
    await expect(chat.page.locator(".rail")).to_be_hidden()
    await chat.reload()
    await expect(chat.page.locator(".rail")).to_be_hidden()
    await chat.page.keyboard.press("Control+k")
    await expect(chat.page.locator(".rail")).to_be_visible()
    await expect(chat.page.locator(".rail-search input")).to_be_focused()
    await chat.page.keyboard.press("Shift+Escape")
    await expect(chat.page.locator("#message")).to_be_focused()


async def test_it_copies_the_last_answer_and_its_code(chat: Chat) -> None:
    await chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await chat.ask("Show me Python code", "demo:friendly")
    await chat.until("completed")
    await expect(chat.prose.locator(".copy-code").first).to_be_visible()
    await chat.page.keyboard.press("Control+Shift+c")
    await expect(chat.page.locator("#live")).to_have_text("Copied")
    answer = await chat.page.evaluate("() => navigator.clipboard.readText()")
    assert "```" in answer
    code = await chat.prose.locator("pre code").last.text_content()
    await chat.page.keyboard.press("Control+Shift+;")
    await chat.page.wait_for_function(
        "async wanted => await navigator.clipboard.readText() === wanted", arg=code
    )
    # What is pasted comes as plain text; a picture does not come, and that is said.
    message = chat.page.locator("#message")
    await chat.page.evaluate(CLIP, {"text/plain": "bold\r\nword", "text/html": "<b>bold</b><br>word"})
    await message.press("Control+v")
    await expect(message).to_have_value("bold\nword")
    await chat.page.evaluate(CLIP, {"image/png": ""})
    await message.press("Control+v")
    await expect(chat.page.locator(".banner")).to_contain_text("Only text can be sent here")
    await expect(message).to_have_value("bold\nword")


@in_both
async def test_it_needs_no_mouse(chat: Chat) -> None:
    """Ask, choose a model, stop, regenerate, open the receipt, rename, delete: focus is never lost."""
    keys = chat.page.keyboard
    await expect(chat.page.locator("#message")).to_be_focused()
    await chat.use("demo:20-300-20")
    await keys.type("Go on for long")
    await keys.press("Enter")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+"))
    await expect(chat.page.locator("#message")).to_be_focused()
    await keys.press("Tab")
    assert await focused(chat) == "Stop the answer"
    await keys.press("Enter")
    await chat.until("stopped")
    assert await focused(chat) == "Send"
    for _ in range(8):
        await keys.press("Shift+Tab")
        if await focused(chat) == "Regenerate":
            break
    await keys.press("Enter")
    await expect(chat.page.locator("#again-menu")).to_be_visible()
    await keys.press("Escape")
    await expect(chat.page.locator("#again-menu")).to_be_hidden()
    assert await focused(chat) == "Regenerate"
    summary = chat.answer.locator(".receipt summary")
    await summary.focus()
    await keys.press("Enter")
    await expect(chat.answer.locator(".receipt table")).to_be_visible()
    # Enter chooses the model; what is written for later stays, though its form is the same.
    await chat.page.locator("#message").focus()
    await keys.type("For later")
    await chat.page.locator(".picker summary").focus()
    await keys.press("Enter")
    await expect(chat.page.locator("input[name=model]:checked")).to_be_focused()
    await keys.press("ArrowDown")
    await keys.press("Enter")
    await expect(chat.page.locator(".picker-panel")).to_be_hidden()
    await expect(chat.page.locator("#message")).to_be_focused()
    await expect(chat.page.locator("#message")).to_have_value("For later")
    await expect(chat.page.locator(".question")).to_have_count(1)
    await chat.page.locator(".picker summary").focus()
    await keys.press("Enter")
    await keys.press("Escape")
    assert "Demo" in await focused(chat)
    await chat.page.locator("[data-field=title]").focus()
    await keys.press("Enter")
    await keys.type("By hand")
    await keys.press("Enter")
    await expect(chat.page.locator("[data-field=title]")).to_have_text("By hand")
    assert await focused(chat) == "By hand"
    await chat.page.locator(".rail-item[aria-current]").focus()
    await keys.press("Tab")
    await keys.press("Enter")
    assert await focused(chat) == "Rename"
    await keys.press("ArrowUp")
    assert await focused(chat) == "Delete"
    await keys.press("Enter")
    await expect(chat.page.locator("[data-field=toast]")).to_contain_text("Deleted")
    assert await focused(chat) != ""
    await chat.page.get_by_role("button", name="Undo").focus()
    await keys.press("Enter")
    await expect(chat.page.locator(".rail-item[aria-current]")).to_have_count(1)
    assert await focused(chat) != ""
