"""What a message will cost, what must be confirmed, and ways out of a refusal, in a real browser."""

from __future__ import annotations

import json
import re

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import expect

from billing.budgets import set_budget
from conversations.models import Turn
from tests.stories.browser.chat import Chat
from tests.usage.making import unlimited

pytestmark = [pytest.mark.browser, pytest.mark.story]

MODEL = "demo:10-8-2"


async def limit(user: User, tokens: int, *, model: str | None = None) -> None:
    await sync_to_async(set_budget)(
        scope="user", scope_id=user.pk, unit="tokens", limit_units=tokens, period="day", model=model
    )


def created(chat: Chat) -> list[dict[str, object]]:
    frames = [json.loads(frame) for frame in chat.frames]
    return [frame for frame in frames if frame["type"] == "turn.create"]


async def test_it_says_what_a_message_takes_and_leaves(chat: Chat, alice: User) -> None:
    await limit(alice, 50_000)
    line = chat.page.locator("[data-field=preview]")
    await expect(line).to_contain_text("Enter sends")
    top = await chat.page.locator(".composer").bounding_box()
    await chat.page.fill("#message", "Why is the sky blue?")
    pattern = r"^≈ \d+ in · up to 4,096 out · at most \$0\.00\d\d · leaves 45,\d{3} tokens today$"
    await expect(line).to_have_text(re.compile(pattern))
    first = await line.text_content()
    await chat.page.fill("#message", "Why is the sky blue? " * 20)
    await expect(line).not_to_have_text(first or "")
    await expect(line).to_have_text(re.compile(pattern))
    await chat.page.fill("#message", "")
    await expect(line).to_contain_text("Enter sends")
    assert await chat.page.locator(".composer").bounding_box() == top


async def test_it_asks_before_it_comes_near_the_limit(chat: Chat, alice: User) -> None:
    await limit(alice, 4300)
    await chat.ask("Why?", MODEL)
    offer = chat.page.locator("[data-field=offer]")
    await expect(offer).to_contain_text(re.compile(r"may reach 9\d %"))
    await expect(chat.page.locator("#message")).to_have_value("Why?")
    await expect(chat.page.locator(".thread .turn:visible")).to_have_count(0)
    assert await Turn.objects.acount() == 0
    await offer.get_by_role("button", name="Keep editing").click()
    await expect(offer).to_be_hidden()
    await expect(chat.page.locator("#message")).to_be_focused()
    await chat.page.press("#message", "Enter")
    await offer.get_by_role("button", name="Send anyway").click()
    await chat.until("completed")
    await expect(chat.page.locator("#message")).to_have_value("")
    assert await Turn.objects.acount() == 1
    asked, confirmed = created(chat)[-2:]
    assert asked["turn_id"] == confirmed["turn_id"]
    assert confirmed["confirm"] is True


async def test_it_sends_a_shorter_answer_instead(chat: Chat, alice: User) -> None:
    await limit(alice, 200)
    await chat.ask("Why?", MODEL)
    offer = chat.page.locator("[data-field=offer]")
    await expect(offer).to_contain_text("needs at least")
    await expect(offer.locator("[data-field=offer-reset]")).to_contain_text("Resets in")
    await expect(chat.page.locator("#message")).to_have_value("Why?")
    send = chat.page.locator(".send")
    await expect(send).to_have_attribute("aria-disabled", "true")
    await expect(send).to_have_attribute("aria-description", re.compile("see what helps"))
    await offer.get_by_role("button", name=re.compile("shorter answer")).click()
    await chat.until("completed")
    await expect(chat.page.locator(".thread .question-text:visible")).to_have_text(["Why?"])
    await limit(alice, 50_000)
    await chat.page.fill("#message", "And why red?")
    await expect(send).to_have_attribute("aria-disabled", "false")


async def test_it_asks_for_a_higher_limit_and_keeps_the_draft(chat: Chat, alice: User) -> None:
    await limit(alice, 200)
    await chat.ask("Why?", MODEL)
    offer = chat.page.locator("[data-field=offer]")
    await offer.get_by_role("button", name="Ask for a higher limit").click()
    wanted = chat.page.get_by_label("Tokens you need per day")
    await expect(wanted).to_have_value(re.compile(r"^4\d00$"))
    await chat.page.get_by_label("What for (if you like)").fill("a report")
    await chat.page.get_by_role("button", name="Ask an admin").click()
    await expect(chat.page.locator("main")).to_contain_text("Your request was sent.")
    await chat.page.get_by_role("link", name="Back to the conversation").click()
    await expect(chat.page.locator("#message")).to_have_value("Why?")


async def test_it_sends_with_another_model_instead(chat: Chat, alice: User) -> None:
    await limit(alice, 10, model="demo:friendly")
    await chat.ask("Why?", "demo:friendly")
    offer = chat.page.locator("[data-field=offer]")
    await offer.get_by_role("button", name=re.compile("^Use ")).first.click()
    await chat.page.locator(".thread .answer[data-state]").wait_for()
    await expect(offer).to_be_hidden()
    await expect(chat.page.locator(".thread .question-text:visible")).to_have_text(["Why?"])


async def test_it_carries_the_draft_to_a_new_conversation(chat: Chat) -> None:
    await chat.ask("First", MODEL)
    await chat.until("completed")
    conversation = chat.page.url.rstrip("/").rpartition("/")[2]

    def cap() -> None:
        import uuid

        set_budget(
            scope="conversation",
            scope_id=uuid.UUID(conversation),
            unit="tokens",
            limit_units=1,
            period="none",
        )

    await sync_to_async(cap)()
    await chat.ask("Second", MODEL)
    await chat.page.get_by_role("button", name="Start a new conversation").click()
    await expect(chat.page).to_have_url(chat.base + "/")
    await expect(chat.page.locator("#message")).to_have_value("Second")


async def test_it_refuses_an_edit_and_keeps_the_text(chat: Chat, alice: User) -> None:
    await chat.ask("First", MODEL)
    await chat.until("completed")
    await limit(alice, 10)
    turn = chat.page.locator(".thread .turn").first
    await turn.hover()
    await turn.locator("[data-action=edit]").click()
    await turn.locator(".question-editor textarea").fill("Other words")
    await chat.page.keyboard.press("Enter")
    await chat.page.get_by_role("button", name="Keep editing").click()
    await expect(chat.page.locator(".question-editor textarea")).to_have_value("Other words")
    await chat.page.keyboard.press("Escape")
    await expect(chat.page.locator(".question-text:visible")).to_have_text(["First"])


async def test_it_asks_for_answers_of_another_kind(chat: Chat) -> None:
    await chat.page.click(".picker summary")
    await chat.page.get_by_label("At most this many tokens").fill("300")
    await chat.page.locator("#answer-slider").fill("0.2")
    await chat.page.keyboard.press("Escape")
    await chat.page.fill("#message", "Why?")
    await expect(chat.page.locator("[data-field=preview]")).to_contain_text("up to 300 out")
    await chat.ask("Why?", MODEL)
    await chat.until("completed")
    [frame] = created(chat)
    assert (frame["max_output_tokens"], frame["temperature"]) == (300, 0.2)
    await chat.page.click(".picker summary")
    await chat.page.get_by_role("button", name="As the model is set").click()
    await chat.page.keyboard.press("Escape")
    await chat.ask("And why?", MODEL)
    await chat.until("completed")
    assert {"max_output_tokens", "temperature"}.isdisjoint(created(chat)[-1])


async def test_it_warns_once_at_each_level(chat: Chat, alice: User) -> None:
    await limit(alice, 5_000)
    banner = chat.page.locator("[data-field=banner]")
    await chat.ask("First", "demo:10-4000-0")
    await chat.until("completed")
    await expect(banner).to_contain_text("of your budget for today is used")
    await expect(banner).to_have_attribute("data-level", "75")
    await banner.get_by_role("button", name="Choose a model").click()
    await expect(chat.page.locator(".picker-panel")).to_be_visible()
    # With the new day nothing of it is used, and nobody has to load the page for that.
    await chat.page.evaluate(
        "document.querySelector('.meter-row').dataset.resetsAt = new Date().toISOString()"
    )
    await expect(chat.page.locator("[data-field=meter-figure]")).to_have_text("0 / 5,000 tokens today (0 %)")
    await expect(chat.page.locator(".meter")).to_have_attribute("data-level", "ok")
    await expect(banner).to_be_hidden()
    await chat.reload()
    await expect(banner).to_be_hidden()
    await expect(chat.page.locator(".meter")).to_have_attribute("data-level", "75")


async def test_the_header_goes_over_to_the_budget_that_has_become_the_tightest(
    chat: Chat, alice: User
) -> None:
    await limit(alice, 10_000)
    await sync_to_async(set_budget)(
        scope="user", scope_id=alice.pk, unit="nanousd", limit_units=3_800_000, period="day"
    )
    await chat.reload()
    figure = chat.page.locator("[data-field=meter-figure]")
    # An answer costs 43 % of it, and 41 % of the tokens.
    await expect(figure).to_contain_text("/ $0.0038 today")
    await chat.ask("Word " * 790, "demo:10-9-0")  # what is read costs less
    await chat.until("completed")
    await expect(figure).to_contain_text("/ 10,000 tokens today")
    await expect(chat.page.locator("[data-field=meter-short]")).to_have_text(
        re.compile(r"^\d[\d,]* / 10,000 \(\d+ %\)$")
    )


async def test_the_header_says_that_a_budget_is_shared(chat: Chat, alice: User) -> None:
    await limit(alice, 90_000)
    await sync_to_async(set_budget)(scope="everyone", unit="tokens", limit_units=30_000, period="month")
    await chat.reload()
    figure = chat.page.locator("[data-field=meter-figure]")
    await chat.ask("First", "demo:10-4000-0")
    await chat.until("completed")
    await expect(figure).to_contain_text(re.compile(r"^The site: 4,\d{3} / 30,000 tokens this month"))
    # Heard as it is seen, and once.
    heard = re.compile(r"^Budget and usage: The site: 4,\d{3} / 30,000 tokens this month \(\d+ %\)$")
    summary = chat.page.locator(".meter > summary")
    await expect(summary).to_have_accessible_name(heard)
    await expect(summary.get_by_role("meter")).to_have_accessible_name("The site")
    await chat.reload()
    await expect(figure).to_contain_text(re.compile(r"^The site: 4,\d{3} / 30,000 tokens this month"))
    await expect(summary).to_have_accessible_name(heard)
    await chat.page.locator(".meter summary").click()
    await expect(chat.page.locator(".meter-row").first).to_contain_text("The site, shared by all")


async def test_a_menu_of_a_tablet_is_as_wide_as_it_needs(chat: Chat) -> None:
    await chat.page.set_viewport_size({"width": 768, "height": 1024})
    for name in ("picker", "meter"):
        await chat.page.locator(f".{name} summary").click()
        box = await chat.page.locator(f".{name} > .panel").bounding_box()
        assert box is not None
        assert box["width"] < 400
        assert 0 <= box["x"] <= 768 - box["width"]
        await chat.page.keyboard.press("Escape")


async def test_the_header_of_a_phone_has_the_whole_cost_of_a_chat_without_a_budget(
    chat: Chat, alice: User
) -> None:
    await sync_to_async(unlimited)(alice)
    await chat.reload()
    await chat.page.set_viewport_size({"width": 320, "height": 640})
    await chat.ask("Hello", "demo:10-60-0")
    await chat.until("completed")
    shown = chat.page.locator("[data-field=meter-short]")
    await expect(shown).to_have_text("<$0.0001")
    await expect(chat.page.locator("[data-field=meter-figure]")).to_be_hidden()
    await chat.reload()
    await expect(shown).to_have_text("<$0.0001")
    assert await shown.evaluate("one => one.scrollWidth <= one.parentElement.clientWidth")
