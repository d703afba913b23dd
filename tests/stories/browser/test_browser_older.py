"""A long conversation in a real browser: its end first, what is older when the reader goes up."""

from __future__ import annotations

import uuid

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import expect

from conversations.models import Conversation, Generation, State, Turn
from tests.stories.browser.chat import Chat

pytestmark = [pytest.mark.browser, pytest.mark.story]


# The first question in view and how far below the edge it begins, as the page keeps it.
TOP = """() => {
  const edge = document.querySelector(".thread-scroll").getBoundingClientRect().top;
  const found = [...document.querySelectorAll(".thread .turn")].find(
    (turn) => turn.getBoundingClientRect().bottom > edge);
  const top = found && Math.round(found.getBoundingClientRect().top - edge);
  return found && { turn: found.dataset.turnId, top };
}"""
THERE = f"""place => {{
  const [shown, wanted] = [({TOP})(), place ?? history.state?.place];
  return shown && wanted && shown.turn === wanted.turn && Math.abs(shown.top - wanted.top) < 3;
}}"""


COUNTING = """() => [...document.querySelectorAll(".thread, .thread *")].flatMap((element) => {
  return ["", "::before", "::after"].flatMap((part) => {
    const { counterIncrement, counterReset, counterSet, content } = getComputedStyle(element, part || null);
    const counts = [counterIncrement, counterReset, counterSet].some((value) => value && value !== "none");
    return counts || content.includes("counter") ? [element.localName + part] : [];
  });
})"""


@sync_to_async
def long_conversation(owner: User, turns: int) -> str:
    conversation = Conversation.objects.create(owner=owner, title="Long", model="demo:10-8-2")
    parent = None
    for number in range(turns):
        turn = Turn.objects.create(
            conversation=conversation,
            turn_id=uuid.uuid4(),
            parent=parent,
            depth=number,
            text=f"Question {number}",
        )
        turn.chosen = Generation.objects.create(
            conversation=conversation,
            turn=turn,
            model="demo:10-8-2",
            wanted_output_tokens=9,
            state=State.COMPLETED,
            text=f"Answer **{number}**",
            html=f"<p>Answer <strong>{number}</strong></p>\n",
        )
        turn.save()
        parent = turn
    conversation.head_turn = parent
    conversation.save()
    return f"/c/{conversation.pk}/"


async def test_it_loads_what_is_older_and_keeps_the_place(chat: Chat, alice: User) -> None:
    await chat.page.goto(chat.base + await long_conversation(alice, 120))
    await chat.ready()
    turns = chat.page.locator(".thread .turn")
    await expect(turns).to_have_count(25)
    await expect(turns.last).to_contain_text("Answer 119")
    first = chat.page.locator(".turn", has_text="Question 95").first
    await first.scroll_into_view_if_needed()
    await expect(turns).to_have_count(75)
    await expect(turns.first).to_contain_text("Question 45")
    await expect(turns.first.locator(".prose strong")).to_have_text("45")
    await expect(first).to_be_in_viewport()
    await chat.page.locator("[data-field=older]").scroll_into_view_if_needed()
    await expect(turns).to_have_count(120)
    await expect(chat.page.locator("[data-field=older]")).to_be_hidden()
    texts = await chat.page.locator(".question-text").all_text_contents()
    assert texts == [f"Question {number}" for number in range(120)]
    # A loaded one is as alive as the others.
    async with chat.page.expect_response("**/answers/*.md") as response:
        await turns.first.locator("[data-action=copy]").click()
    assert await (await response.value).text() == "Answer **0**"
    # Who goes to another page and comes back is where they were, though the page begins further down.
    middle = chat.page.locator(".turn", has_text="Question 30").first
    await middle.evaluate("element => element.scrollIntoView({ block: 'start' })")
    await chat.page.wait_for_function(THERE)
    place = await chat.page.evaluate(TOP)
    await chat.page.click(".rail-head .brand")
    await chat.page.wait_for_url(f"{chat.base}/")
    await chat.ready()
    await chat.page.go_back()
    await chat.page.wait_for_function(THERE, arg=place)
    assert await turns.count() > 80
    await expect(chat.page.locator("#message")).to_be_focused()
    # The same between two places of one page.
    await chat.page.wait_for_function(THERE)
    place = await chat.page.evaluate(TOP)
    link = await turns.nth(40).get_attribute("id")
    await chat.page.evaluate("id => { location.hash = id }", link)
    await expect(turns.nth(40)).to_be_focused()
    await chat.page.go_back()
    await chat.page.wait_for_function(THERE, arg=place)


async def test_it_offers_nothing_older_in_a_short_one(chat: Chat, alice: User) -> None:
    await chat.page.goto(chat.base + await long_conversation(alice, 3))
    await chat.ready()
    await expect(chat.page.locator("[data-field=older]")).to_be_hidden()


async def test_no_part_of_a_turn_counts(chat: Chat, alice: User) -> None:
    """A counter has the whole page numbered anew with each turn that comes into view."""
    await chat.page.goto(chat.base + await long_conversation(alice, 1))
    await chat.ready()
    await chat.ask("And with a list and code?", "demo:friendly")
    await chat.until("completed")
    assert await chat.prose.locator("li").count()
    counting = await chat.page.evaluate(COUNTING)
    assert counting == []
