"""The context lens in a real browser: what goes with the next question, and what one can do about it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import Browser, Locator, Page, expect

from billing.budgets import set_budget
from billing.models import LedgerEntry
from conversations.models import Conversation, Generation, Turn
from tests.conversations.branches_made import long_talk
from tests.stories.browser.chat import Chat
from tests.stories.browser.test_browser_plain import BLOCKED_SOCKET

pytestmark = [pytest.mark.browser, pytest.mark.story]


@sync_to_async
def talk(owner: User, turns: int, *, words: int = 40, model: str = "demo:friendly") -> Conversation:
    conversation = Conversation.objects.create(owner=owner, title="Rivers", model=model)
    long_talk(conversation, turns, words=words)
    for answer in Generation.objects.filter(conversation=conversation):
        Generation.objects.filter(pk=answer.pk).update(html=f"<p>{answer.text}</p>")
    return conversation


async def open_lens(chat: Chat, conversation: Conversation) -> Locator:
    await chat.page.goto(f"{chat.base}/c/{conversation.pk}/")
    await chat.ready()
    await expect(opener(chat)).to_have_attribute("title", re.compile("tokens"))
    await opener(chat).click()
    lens = chat.page.locator(".lens-inner")
    await expect(lens.locator(".lens-row").first).to_be_visible()
    return lens


def opener(chat: Chat) -> Locator:
    return chat.page.locator("[data-field=lens-open]")


def row(lens: Locator, text: str) -> Locator:
    excerpt = lens.page.locator(".excerpt", has_text=re.compile(rf"^{text}\b"))
    return lens.locator(".lens-row").filter(has=excerpt)


async def picture(page: Page, name: str) -> None:
    """Kept where one wants to look at them."""
    if folder := os.environ.get("CHATSITE_PICTURES"):
        await page.screenshot(path=Path(folder) / f"{name}.png")


async def figure(lens: Locator) -> int:
    text = await lens.locator("[data-field=lens-tokens]").text_content()
    return int((text or "").replace(",", "").split()[0])


async def test_it_shows_what_goes_with_the_next_question(chat: Chat, alice: User) -> None:
    lens = await open_lens(chat, await talk(alice, 3))
    await expect(lens.locator(".lens-row")).to_have_count(6)
    await expect(lens.locator(".lens-row").first).to_contain_text("answer 2")
    await expect(lens.locator(".lens-parts")).to_contain_text("Earlier answers")
    before = await figure(lens)
    await chat.page.fill("#message", "word " * 50)
    await expect(lens.locator("[data-field=lens-tokens]")).not_to_have_text(re.compile(f"^{before} "))
    assert before + 48 <= await figure(lens) <= before + 56
    await expect(lens.locator("[data-field=lens-next]")).to_have_text(
        re.compile(r"^≈ \d+ in · up to 4,096 out")
    )
    await picture(chat.page, "lens")
    # It is closed by the key, and the keyboard is where it was.
    await lens.get_by_role("button", name="Close").press("Escape")
    await expect(lens).to_be_hidden()
    await expect(opener(chat)).to_be_focused()


async def test_it_leaves_out_and_pins_by_keyboard_and_the_send_obeys(chat: Chat, alice: User) -> None:
    conversation = await talk(alice, 3)
    lens = await open_lens(chat, conversation)
    before = await figure(lens)
    leave = row(lens, "answer 0").get_by_role("button", name="Leave out")
    await leave.focus()
    await chat.page.keyboard.press("Enter")
    await expect(leave).to_have_attribute("aria-pressed", "true")
    await expect(leave).to_be_focused()
    await expect(row(lens, "answer 0")).to_contain_text("left out")
    assert await figure(lens) < before - 40
    pin = row(lens, "question 0").get_by_role("button", name="Always send")
    await pin.click()
    await expect(row(lens, "question 0")).to_contain_text("pinned")
    await picture(chat.page, "lens-marks")
    await chat.ask("And now?", "demo:0-5-0")
    await chat.until("completed")
    last = await Generation.objects.aget(turn__text="And now?")
    assert last.answers_tokens < 3 * 45
    # Another press takes it back.
    await leave.click()
    await expect(row(lens, "answer 0")).not_to_contain_text("left out")


async def test_it_changes_how_far_back_it_goes(chat: Chat, alice: User) -> None:
    lens = await open_lens(chat, await talk(alice, 9))
    await lens.get_by_label("Earlier messages").select_option("last_10_messages")
    await expect(row(lens, "question 0")).to_contain_text("not sent")
    await expect(row(lens, "question 8")).not_to_contain_text("not sent")
    await lens.get_by_role("button", name="Use in my other chats too").click()
    await expect(lens.get_by_role("button", name="Use in my other chats too")).to_be_hidden()
    await chat.reload()
    await opener(chat).click()
    await expect(lens.get_by_label("Earlier messages")).to_have_value("last_10_messages")


async def test_it_summarises_and_takes_it_back(chat: Chat, alice: User) -> None:
    lens = await open_lens(chat, await talk(alice, 12))
    before = await figure(lens)
    box = lens.locator("[data-field=lens-summary]")
    await expect(box).to_contain_text(re.compile(r"16 older messages: [\d,]+ → at most [\d,]+ tokens"))
    await box.get_by_role("button", name="Summarise older messages").click()
    await expect(box).to_contain_text(
        re.compile(r"8 questions with their answers are summarised: \d+ → \d+ tokens")
    )
    await expect(row(lens, "question 0")).to_contain_text("summarised")
    assert await figure(lens) < before - 200
    await box.get_by_text("What it says").click()
    await expect(box).to_contain_text("So far the user has asked")
    entry = await LedgerEntry.objects.aget(purpose="summary")
    # What the chat has cost says so too.
    total = chat.page.locator(".meter [data-field=total]")
    await expect(total).to_contain_text(f"{entry.total_tokens:,} tokens")
    await picture(chat.page, "lens-summary")
    await box.get_by_role("button", name="Send in full again").click()
    await expect(row(lens, "question 0")).not_to_contain_text("summarised")
    assert await figure(lens) == before


async def test_it_says_that_a_summary_failed_and_loses_nothing(chat: Chat, alice: User) -> None:
    lens = await open_lens(chat, await talk(alice, 12))
    await chat.use("demo:0-30-0!401")
    before = await figure(lens)
    box = lens.locator("[data-field=lens-summary]")
    await box.get_by_role("button", name="Summarise older messages").click()
    await expect(box).to_contain_text("Nothing is lost: the messages are sent as before.")
    assert await figure(lens) == before
    await picture(chat.page, "lens-failed")


async def test_it_offers_a_summary_when_the_context_has_grown(chat: Chat, alice: User) -> None:
    conversation = await talk(alice, 21, words=150)
    await chat.page.goto(f"{chat.base}/c/{conversation.pk}/")
    await chat.ready()
    offer = chat.page.locator("[data-field=summary-offer]")
    await expect(offer).to_contain_text(
        re.compile(r"Each question takes 3,\d+ tokens, or at most 1,\d+ with a summary \(at most \$")
    )
    await picture(chat.page, "offer")
    await offer.get_by_role("button", name="Not now").click()
    await expect(offer).to_be_hidden()
    await chat.reload()
    await expect(opener(chat)).to_have_attribute("title", re.compile("tokens"))
    await expect(offer).to_be_hidden()
    # Asked for, and heard of in another tab as well.
    other = await chat.page.context.new_page()
    await other.goto(chat.page.url)
    await expect(other.locator("html[data-ready]")).to_be_attached()
    await opener(chat).click()
    await chat.page.get_by_role("button", name="Summarise older messages").click()
    for page in (chat.page, other):
        shown = page.locator("[data-field=summary-offer]")
        await expect(shown).to_contain_text("are summarised")
    await picture(chat.page, "offer-done")
    await chat.ask("And then?", "demo:0-5-0")
    await chat.until("completed")
    await expect(offer).to_be_hidden()
    answer = await Generation.objects.aget(turn__text="And then?")
    assert answer.summary_tokens > 0
    # The receipt says what the input was made of.
    await chat.answer.locator(".receipt summary").click()
    await expect(chat.answer.locator(".receipt")).to_contain_text("earlier answers")


async def test_it_sends_without_older_messages_where_the_budget_refuses(chat: Chat, alice: User) -> None:
    conversation = await talk(alice, 12)
    await sync_to_async(set_budget)(
        scope="user", scope_id=alice.pk, unit="tokens", limit_units=600, period="day"
    )
    await chat.page.goto(f"{chat.base}/c/{conversation.pk}/")
    await chat.ready()
    await chat.ask("And now?", "demo:friendly")
    offer = chat.page.locator("[data-field=offer]")
    await offer.get_by_role("button", name="Send without older messages").click()
    # It would nearly fill the budget: that is asked as always.
    await offer.get_by_role("button", name="Send anyway").click()
    await chat.until("completed")
    answer = await Generation.objects.aget(turn__text="And now?")
    assert (answer.questions_tokens, answer.answers_tokens) == (0, 0)


async def test_it_summarises_where_the_budget_refuses_and_then_sends(chat: Chat, alice: User) -> None:
    conversation = await talk(alice, 12, words=300)
    await sync_to_async(set_budget)(
        scope="user", scope_id=alice.pk, unit="tokens", limit_units=2800, period="day", model="demo:friendly"
    )
    await chat.page.goto(f"{chat.base}/c/{conversation.pk}/")
    await chat.ready()
    await chat.ask("And now?", "demo:friendly")
    offer = chat.page.locator("[data-field=offer]")
    await offer.get_by_role("button", name=re.compile("Summarise older messages, then send")).click()
    await expect(offer.get_by_role("button", name="Send anyway")).to_be_visible()
    await offer.get_by_role("button", name="Send anyway").click()
    await chat.until("completed")
    assert await Turn.objects.acount() == 13
    frames = [json.loads(frame) for frame in chat.frames]
    assert [one["type"] for one in frames if one["type"].startswith("turn.")] == ["turn.create"] * 3
    assert (await LedgerEntry.objects.aget(purpose="summary")).model == "demo:500-200-20"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_a_sheet_on_a_phone(chat: Chat, alice: User, scheme: str) -> None:
    conversation = await talk(alice, 12)
    await chat.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its literals
    await picture_wide(chat, conversation, scheme)
    await chat.page.set_viewport_size({"width": 360, "height": 740})
    lens = await open_lens(chat, conversation)
    sheet = chat.page.locator("dialog.lens-sheet")
    await expect(sheet).to_be_visible()
    await picture(chat.page, f"phone-{scheme}")
    box = await row(lens, "answer 11").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    await row(lens, "answer 11").get_by_role("button", name="Leave out").click()
    await expect(row(lens, "answer 11")).to_contain_text("left out")
    await chat.page.keyboard.press("Escape")
    await expect(sheet).to_be_hidden()
    await expect(opener(chat)).to_be_focused()
    # Nothing is wider than the screen.
    assert await chat.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await picture(chat.page, f"phone-closed-{scheme}")


async def picture_wide(chat: Chat, conversation: Conversation, scheme: str) -> None:
    if os.environ.get("CHATSITE_PICTURES"):
        await chat.page.set_viewport_size({"width": 1440, "height": 900})
        await open_lens(chat, conversation)
        await picture(chat.page, f"wide-{scheme}")


async def test_it_is_a_page_without_scripts(chat: Chat, alice: User, browser: Browser) -> None:
    conversation = await talk(alice, 12)
    context = await browser.new_context(
        java_script_enabled=False,
        storage_state=await chat.page.context.storage_state(),
        viewport={"width": 900, "height": 800},
    )
    page = await context.new_page()
    await page.goto(f"{chat.base}/c/{conversation.pk}/")
    await page.locator("[data-field=lens-open]").click()
    await expect(page.get_by_role("heading", name="What goes with the next question")).to_be_visible()
    await picture(page, "plain")
    await page.locator("select[name^=mark]").first.select_option("excluded")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("tbody tr").first).to_contain_text("excluded")
    await page.get_by_role("button", name="Summarise older messages").click()
    await expect(page.locator("main")).to_contain_text("8 questions with their answers are summarised")
    await context.close()


async def test_it_hears_the_end_of_a_summary_where_sockets_are_blocked(chat: Chat, alice: User) -> None:
    await chat.page.add_init_script(BLOCKED_SOCKET)
    lens = await open_lens(chat, await talk(alice, 12))
    await chat.use("demo:200-20-10")
    await lens.get_by_role("button", name="Summarise older messages").click()
    await expect(lens.locator("[data-field=lens-summary]")).to_contain_text("are summarised")
