"""Answers that wait, in a real browser."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.async_api import WebSocketRoute, expect

from conversations import turns
from conversations.database import in_database
from conversations.models import Conversation, Generation, State, WaitingReason
from conversations.queueing import Order
from tests.conversations.branches_made import long_talk
from tests.stories.browser.chat import Chat
from tests.stories.browser.waits import books_balance, shot

pytestmark = [pytest.mark.browser, pytest.mark.story]


async def test_it_counts_down_and_switches_to_another_model(chat: Chat) -> None:
    await chat.ask("Tell me about rivers", "demo:50-20-10!429@40")
    box = chat.answer.locator(".waitbox")
    await expect(box.locator(".wait")).to_have_text(
        re.compile(r"^Service busy, sending in \d+ s \(1 of 5\)$")
    )
    await expect(box).to_contain_text("is busy.")
    await expect(chat.answer.locator(".thinking")).to_be_hidden()
    await shot(chat, "rate-limit")
    first = await box.locator(".wait").text_content()
    await expect(box.locator(".wait")).not_to_have_text(first or "")
    button = box.get_by_role("button", name=re.compile(r"^Use Demo now \(at most \$0\.0\d+\)$"))
    await button.focus()
    await chat.page.wait_for_timeout(1200)
    await expect(button).to_be_focused()  # the clock does not take the buttons away
    await chat.page.keyboard.press("Enter")
    await chat.until("completed")
    await expect(chat.answer.locator(".notes")).to_contain_text("as you chose")
    await expect(box).to_be_hidden()
    await shot(chat, "switched")
    await chat.reload()
    await expect(chat.answer.locator(".notes")).to_contain_text("as you chose")
    await books_balance()


async def test_it_cancels_a_wait_and_keeps_the_question(chat: Chat) -> None:
    await chat.ask("Tell me", "demo:50-20-10!429@40")
    await chat.answer.locator(".waitbox").get_by_role("button", name="Cancel").click()
    await chat.until("stopped")
    await expect(chat.page.locator(".question-text:visible")).to_have_text(["Tell me"])
    await expect(chat.answer.locator(".waitbox")).to_be_hidden()
    await books_balance()


async def test_it_lets_the_person_choose_when_the_wait_is_long(chat: Chat) -> None:
    await chat.ask("Tell me", "demo:50-20-10!429x1@900")
    box = chat.answer.locator(".waitbox")
    await expect(box.locator(".wait")).to_have_text(re.compile(r"^Service busy for 1[45] min\. What now\?$"))
    await expect(box).to_contain_text("takes no more questions for now.")
    names = await box.get_by_role("button").all_text_contents()
    assert re.fullmatch(r"Use .* now \(at most \$0\.\d+\)", names[0])
    assert re.fullmatch(r"Send (tomorrow )?at \d\d:\d\d", names[2])
    assert names[3] == "Cancel"
    await shot(chat, "choice")
    await chat.reload()  # the server renders the same
    await expect(box.get_by_role("button")).to_have_count(4)
    await box.get_by_role("button", name=re.compile("^Send ")).click()
    await expect(box.locator(".wait")).to_have_text(
        re.compile(r"^Sending (tomorrow )?at \d\d:\d\d, in 1[45] min$")
    )
    await shot(chat, "scheduled")
    await chat.reload()
    await expect(box.locator(".wait")).to_have_text(re.compile("^Sending "))
    await box.get_by_role("button", name="Cancel").click()
    await chat.until("stopped")
    await books_balance()


async def test_it_says_its_place_in_the_queue_though_nobody_told_the_page(chat: Chat) -> None:
    await chat.ask("Rivers", "demo:10-8-2")
    await chat.until("completed")
    await in_database(_queue_at_place, 3)
    box = chat.answer.locator(".waitbox[data-reason=capacity]")
    await expect(box.locator(".wait")).to_have_text(re.compile(r"^In the queue, place 3, sending in \d+ s$"))
    await shot(chat, "queue")
    await box.get_by_role("button", name="Cancel").click()
    await chat.until("stopped")
    await books_balance()


def _queue_at_place(place: int) -> None:
    """A question that came by another door, in a process whose notices get lost."""
    conversation = Conversation.objects.get()
    started = turns.start_turn(
        user_id=conversation.owner_id,
        conversation_id=conversation.pk,
        turn_id=uuid.uuid4(),
        order=Order("Which river is the longest of all, and where does it end?", "demo:50-20-10"),
    )
    now = timezone.now()
    Generation.objects.filter(pk=started.generation_id).update(
        state=State.WAITING,
        waiting_reason=WaitingReason.CAPACITY,
        place=place,
        run_after=now + timedelta(seconds=55),
        turn_expected_at=now + timedelta(seconds=58),
    )


async def test_it_continues_what_was_stopped_for_a_price_that_was_shown(chat: Chat) -> None:
    await chat.ask("Tell me", "demo:50-400-10")
    await chat.until("streaming")
    await expect(chat.prose).to_contain_text("the")
    await chat.page.keyboard.press("Escape")
    await chat.until("stopped")
    first = " ".join((await chat.text()).split())
    button = chat.answer.locator("[data-action=continue]")
    await expect(button).to_have_text(re.compile(r"^Continue \(at most \$0\.0\d+\)$"))
    await shot(chat, "continue")
    await chat.page.evaluate(
        """() => {
            const writing = document.querySelector(".writing");
            window.said = [];
            new MutationObserver(() => window.said.push(writing.hidden ? "" : writing.textContent))
                .observe(writing, { attributes: true, childList: true });
        }"""
    )
    await button.click()
    await expect(chat.answer).to_have_attribute("aria-busy", "false")
    await chat.until("completed")
    # Until the first new word nothing else would say that it goes on.
    said = await chat.page.evaluate("window.said")
    assert "AI is thinking" in said
    assert said.index("AI is thinking") < said.index("Writing")
    text = " ".join((await chat.text()).split())
    assert text.startswith(first)
    assert len(text) > len(first)
    assert await sync_to_async(Generation.objects.count)() == 2
    await books_balance()


async def test_it_says_that_one_is_offline_and_goes_on_when_the_network_is_back(chat: Chat) -> None:
    banner = chat.page.locator("[data-field=banner]")
    await chat.ask("Rivers", "demo:10-8-2")
    await chat.until("completed")
    served: list[WebSocketRoute] = []

    def keep(route: WebSocketRoute) -> None:
        served.append(route)
        route.connect_to_server()

    await chat.page.route_web_socket("**/ws/**", keep)
    await chat.reload()
    await expect(chat.page.locator(".chat[data-connection=open]")).to_be_attached()
    await chat.page.context.set_offline(True)
    await served[0].close(code=4000)  # a line that is there outlives the browser's own switch
    await expect(banner).to_contain_text("You are offline. Nothing is lost")
    await expect(banner).to_contain_text(re.compile(r"Next try in \d+ s\.|Trying now\."))
    await expect(banner.get_by_role("button", name="Retry now")).to_be_visible()
    await shot(chat, "offline")
    await chat.page.context.set_offline(False)
    await expect(chat.page.locator(".chat[data-connection=open]")).to_be_attached()
    await expect(banner).to_be_hidden()


async def test_a_summary_that_waits_can_be_stopped(chat: Chat, alice: User) -> None:
    chat_id = await in_database(_talk_of, alice)
    await chat.page.goto(f"{chat.base}/c/{chat_id}/")
    await chat.ready()
    await chat.use("demo:0-30-0!429@40")
    await chat.page.locator("[data-field=lens-open]").click()
    panel = chat.page.locator("[data-field=lens-summary]")
    await panel.get_by_role("button", name="Summarise older messages").click()
    said = panel.locator("[data-field=lens-summary-text]")
    await expect(said).to_have_text(re.compile(r"is busy\. Summarising again in \d+ s \(1 of 5\)\.$"))
    first = await said.text_content()
    await expect(said).not_to_have_text(first or "")
    await shot(chat, "summary-waits")
    await chat.reload()
    await chat.page.locator("[data-field=lens-open]").click()
    await expect(said).to_have_text(re.compile(r"Summarising again in \d+ s"))
    await panel.get_by_role("button", name="Stop").click()
    await expect(said).to_contain_text(
        "There is no summary: you stopped it. The messages are sent as before."
    )
    await expect(panel.get_by_role("button", name="Summarise older messages")).to_be_visible()
    await books_balance()


def _talk_of(user: User) -> str:
    conversation = Conversation.objects.create(owner=user)
    long_talk(conversation, 12)
    return str(conversation.pk)
