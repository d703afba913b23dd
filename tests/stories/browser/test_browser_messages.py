"""The tools of one message in a real browser: feedback, links, deleting, prices, paper."""

from __future__ import annotations

import re
import uuid
from urllib.parse import urljoin

import pytest
from django.contrib.auth.models import User
from playwright.async_api import expect

from conversations.models import Conversation, Feedback, Turn
from tests.stories.browser.chat import Chat

pytestmark = [pytest.mark.browser, pytest.mark.story]

MODEL = "demo:10-8-2"


async def ask(chat: Chat, *questions: str) -> None:
    for question in questions:
        await chat.ask(question, MODEL)
        await chat.until("completed")


async def test_it_keeps_what_one_thinks_of_an_answer(chat: Chat) -> None:
    await ask(chat, "Rivers")
    good = chat.answer.get_by_role("button", name="Good answer")
    bad = chat.answer.get_by_role("button", name="Bad answer")
    await good.click()
    await expect(chat.page.locator("#live")).to_have_text("Marked as a good answer")
    await expect(good).to_have_attribute("aria-pressed", "true")
    await bad.click()
    await expect(good).to_have_attribute("aria-pressed", "false")
    await chat.page.get_by_label("In your words, if you like").fill("It says nothing of lakes.")
    await chat.page.locator("#feedback-menu").get_by_role("button", name="Send").click()
    await expect(chat.page.locator("#live")).to_have_text("Thank you. Your words are kept.")
    kept = await Feedback.objects.aget()
    assert (kept.verdict, kept.words) == ("down", "It says nothing of lakes.")
    # The line asks whether it is alive when it has been silent for a while.
    await chat.page.clock.install()
    async with chat.page.expect_event("websocket") as opened:
        await chat.reload()
    # A handshake ends by the clock too.
    await expect(chat.page.locator(".chat")).to_have_attribute("data-connection", "open")
    async with (await opened.value).expect_event("framesent", lambda payload: "ping" in str(payload)):
        await chat.page.clock.fast_forward(25_000)
    await expect(bad).to_have_attribute("aria-pressed", "true")
    await bad.click()
    await expect(chat.page.locator("#live")).to_have_text("Mark taken back")
    assert not await Feedback.objects.aexists()


async def test_it_deletes_a_question_and_takes_it_back(chat: Chat) -> None:
    await ask(chat, "Rivers", "Lakes", "Seas")
    other = Chat(await chat.page.context.new_page(), chat.base)
    await other.page.goto(chat.page.url)
    await other.ready()
    questions = chat.page.locator(".question-text:visible")
    second = chat.page.locator(".thread .turn").nth(1)
    toast = chat.page.locator("[data-field=turn-toast]")

    async def delete() -> None:
        await second.get_by_role("button", name="More for this question").click()
        await chat.page.locator("#turn-menu").get_by_role("button", name="Delete").click()

    await delete()
    await expect(questions).to_have_text(["Rivers", "Seas"])
    undo = toast.get_by_role("button", name="Undo")
    await expect(undo).to_be_focused()
    await chat.page.keyboard.press("Enter")
    await expect(questions).to_have_text(["Rivers", "Lakes", "Seas"])
    await expect(second.get_by_role("button", name="More for this question")).to_be_focused()
    assert await Turn.objects.acount() == 3
    # Who goes on does not want it back: it is gone before the next question is asked.
    await delete()
    await ask(chat, "Ponds")
    await expect(questions).to_have_text(["Rivers", "Seas", "Ponds"])
    await expect(other.page.locator(".question-text:visible")).to_have_text(["Rivers", "Seas", "Ponds"])
    await chat.reload()
    await expect(questions).to_have_text(["Rivers", "Seas", "Ponds"])
    depths = [turn.depth async for turn in Turn.objects.order_by("depth")]
    assert depths == [0, 1, 2]


async def test_a_link_leads_to_its_question(chat: Chat, alice: User) -> None:
    await chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ask(chat, "Rivers")
    first = await Turn.objects.aget()
    await chat.answer.get_by_role("button", name="More for this question").click()
    await chat.page.locator("#turn-menu").get_by_role("button", name="Copy link").click()
    await expect(chat.page.locator("#live")).to_have_text("Link copied")
    link = await chat.page.evaluate("() => navigator.clipboard.readText()")
    assert link.endswith(f"?turn={first.turn_id}#turn-{first.turn_id}")
    # So far down that the page does not begin with it any more. An open one would follow.
    await chat.page.goto("about:blank")
    last = first
    chat_id = first.conversation_id
    for number in range(60):
        last = await Turn.objects.acreate(
            conversation_id=chat_id, turn_id=uuid.uuid4(), text=f"Question {number}",
            parent=last, depth=number + 1,
        )  # fmt: skip
    await Conversation.objects.filter(pk=chat_id).aupdate(head_turn=last)
    await chat.page.goto(f"{chat.base}/c/{chat_id}/")
    await chat.ready()
    target = chat.page.locator(f"#turn-{first.turn_id}")
    await expect(target).to_have_count(0)
    # The short form finds it too.
    await chat.page.evaluate("id => { location.hash = `#turn-${id}` }", str(first.turn_id))
    await expect(target).to_be_focused()
    await expect(target).to_be_in_viewport()
    await chat.ready()
    await first.adelete()
    await chat.page.reload()
    await expect(chat.page.locator(".banner")).to_contain_text("was deleted")


async def test_prices_stand_on_what_asks_again_and_a_conversation_goes_to_paper(chat: Chat) -> None:
    await chat.ask("Broken?", "demo:10-40-2!die@20")
    await chat.until("interrupted")
    retry = chat.answer.get_by_role("button", name=re.compile(r"^Retry \(at most \$0\.00\d\d\)$"))
    await expect(retry).to_be_visible()
    await chat.answer.locator("[data-action=again]").click()
    price = chat.page.locator("[data-field=again-price]")
    await expect(price).to_contain_text(re.compile(r"^≈ \d+ in · up to 4,096 out · at most \$0\.00\d\d"))
    await chat.page.keyboard.press("Escape")
    await retry.click()
    await expect(chat.answer.locator("[data-field=version-figure]")).to_have_text("2/2")
    await chat.until("interrupted")
    exports = chat.page.locator("[data-field=exports]")
    await exports.locator("summary").click()
    async with chat.page.expect_download() as download:
        await exports.get_by_role("link", name="Export as HTML").click()
    assert (await download.value).suggested_filename == "broken.html"
    await exports.locator("summary").click()
    await expect(exports.get_by_role("link", name="Print")).to_be_visible()
    # On a phone the menu of its row leads there.
    await chat.page.set_viewport_size({"width": 390, "height": 844})
    await expect(exports).to_be_hidden()
    await chat.page.click(".drawer-open")
    await chat.page.locator("dialog.drawer .rail-more").first.click()
    async with chat.page.context.expect_page() as opened:
        await chat.page.locator("#rail-menu").get_by_role("link", name="Print").click()
    paper = await opened.value
    await expect(paper.locator("html[data-ready]")).to_be_attached()
    await expect(paper.locator(".question-text")).to_have_text("Broken?")
    await expect(paper.locator(".cost")).to_contain_text("tokens")
    await paper.get_by_role("link", name="Without costs").click()
    await expect(paper.locator(".cost")).not_to_contain_text("tokens")


async def test_paper_is_white_and_has_no_buttons(chat: Chat) -> None:
    await chat.ask("A small example in Python, please", "demo:friendly")
    await chat.until("completed")
    conversation = "/c/" + chat.page.url.partition("/c/")[2].partition("/")[0] + "/"
    for path in (conversation, f"{conversation}print/"):
        await chat.page.goto(urljoin(chat.base, path))
        await expect(chat.page.locator(".code-bar").first).to_be_visible()
        await chat.page.evaluate("() => { document.documentElement.dataset.theme = 'dark' }")
        await chat.page.emulate_media(media="print")
        await expect(chat.page.locator(".code-bar").first).to_be_hidden()
        scheme = await chat.page.evaluate("() => getComputedStyle(document.documentElement).colorScheme")
        assert scheme == "light", path
        await chat.page.emulate_media(media="screen")
