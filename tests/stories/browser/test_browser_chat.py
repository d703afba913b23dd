"""Asking, watching and stopping in a real browser, on a real server, with the demo model."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Locator, WebSocketRoute, expect

from conversations.models import Conversation, Generation, Turn
from tests.chaos.browser_viewer import ENDED_HTML_OF
from tests.stories.browser.chat import Chat, in_both

pytestmark = [pytest.mark.browser, pytest.mark.story]


@sync_to_async
def stored_generation() -> Generation:
    return Generation.objects.latest("created_at")


DROP = """() => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(["x"], "picture.png", { type: "image/png" }));
  const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  return document.querySelector(".thread").dispatchEvent(drop);
}"""
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


async def bottom(element: Locator) -> float:
    box = await element.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


def words(text: str) -> str:
    return " ".join(text.split())


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
    await chat.reload()
    assert await chat.prose.inner_html() == streamed
    # What is out of sight is painted, and so has words to show, only a frame later.
    await expect(chat.answer.locator(".receipt")).to_have_text(receipt, use_inner_text=True)
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
    await chat.ask("First", "demo:300-20-10")
    await expect(chat.page.locator(".send[data-mode=stop]")).to_be_visible()
    await chat.page.fill("#message", "Half a thou")
    # The answer ends while the hand is on its way to the button.
    await chat.page.evaluate(
        """() => {
          const button = document.querySelector(".send");
          new MutationObserver((_, all) => {
            all.disconnect();
            button.click();
            window.wasClicked = button.dataset.mode;
          }).observe(button, { attributeFilter: ["data-mode"] });
        }"""
    )
    await chat.until("completed")
    await chat.page.wait_for_function("window.wasClicked === 'send'")
    await expect(chat.page.locator("#live")).to_contain_text("Your text is kept")
    await expect(chat.page.locator("#message")).to_have_value("Half a thou")
    await chat.page.fill("#message", "Half a thought")
    await chat.page.click(".send")
    await expect(chat.page.locator(".question-text")).to_have_text(["First", "Half a thought"])
    assert await Turn.objects.acount() == 2


@in_both
async def test_it_stops_by_escape(chat: Chat) -> None:
    await chat.ask("Go on for long", "demo:50-2000-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+"))
    await chat.page.keyboard.press("Escape")
    await chat.until("stopped")


@in_both
async def test_it_continues_exactly_after_a_reload_in_the_middle(chat: Chat) -> None:
    await chat.ask("Go on", "demo:50-150-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    await chat.reload()
    await chat.until("completed")
    assert words(await chat.text()) == words((await stored_generation()).text)


async def test_a_page_loaded_before_the_end_shows_it_as_soon_as_it_has_a_line(chat: Chat) -> None:
    ready: asyncio.Queue[WebSocketRoute] = asyncio.Queue()

    def hold(route: WebSocketRoute) -> None:
        ready.put_nowait(route)  # open for the page, and nobody at the other end

    def through(route: WebSocketRoute) -> None:
        route.connect_to_server()

    await chat.ask("Go on", "demo:50-150-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    await chat.page.route_web_socket("**/ws/**", hold)
    await chat.reload()
    async with asyncio.timeout(30):
        while (generation := await stored_generation()).state != "completed":
            await asyncio.sleep(0.1)
    shown = words(await chat.text())
    assert words(generation.text).startswith(shown)
    assert len(shown) < len(words(generation.text))
    # What it shows is not given out for the whole.
    await expect(chat.answer).to_have_attribute("aria-busy", "true")
    assert await chat.page.evaluate(ENDED_HTML_OF, str(generation.pk)) is None
    await chat.page.route_web_socket("**/ws/**", through)
    await (await ready.get()).close(code=4000)
    await chat.until("completed")
    assert words(await chat.text()) == words(generation.text)
    assert await chat.page.evaluate(ENDED_HTML_OF, str(generation.pk))


@in_both
async def test_it_shows_the_same_in_two_tabs(chat: Chat) -> None:
    await chat.ask("First", "demo:20-10-5")
    await chat.until("completed")
    other = Chat(await chat.page.context.new_page(), chat.base)
    await other.page.goto(chat.page.url)
    await other.ready()
    await chat.ask("Second", "demo:100-80-20")
    await expect(other.page.locator(".question").last).to_contain_text("Second")
    await other.until("streaming")
    await other.until("completed")
    await chat.until("completed")
    assert words(await other.text()) == words(await chat.text()) == words((await stored_generation()).text)
    # Each keeps its own words; what is sent or thrown away in one is no longer offered in the other.
    await chat.page.fill("#message", "mine")
    await other.page.fill("#message", "yours")
    await chat.reload()
    await expect(chat.page.locator("#message")).to_have_value("mine")
    await expect(other.page.locator("#message")).to_have_value("yours")
    await other.page.fill("#message", "mine")
    await other.page.fill("#message", "")
    await expect(chat.page.locator("#message")).to_have_value("")


@in_both
async def test_it_goes_on_when_the_line_is_cut(chat: Chat) -> None:
    await chat.ask("First", "demo:20-10-5")
    await chat.until("completed")
    cut: list[WebSocketRoute] = []

    def through(route: WebSocketRoute) -> None:
        route.connect_to_server()
        cut.append(route)

    await chat.page.route_web_socket("**/ws/**", through)
    await chat.reload()
    await chat.ask("Second", "demo:50-200-20")
    await expect(chat.prose).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    await cut[0].close(code=3001)
    await chat.until("completed")
    await expect(chat.page.locator(".banner")).to_be_hidden()
    assert len(cut) == 2
    assert words(await chat.text()) == words((await stored_generation()).text)


async def test_it_sends_a_question_typed_while_the_line_is_down_once(chat: Chat) -> None:
    await chat.ask("First", "demo:20-10-5")
    await chat.until("completed")
    blocked = True

    async def gate(route: WebSocketRoute) -> None:
        if blocked:
            await route.close(code=3001)
        else:
            route.connect_to_server()

    await chat.page.route_web_socket("**/ws/**", gate)
    await chat.reload()
    await chat.ask("Second", "demo:20-10-5")
    await expect(chat.page.locator(".banner")).to_contain_text("will be sent")
    await chat.reload()
    await expect(chat.page.locator(".question").last).to_contain_text("Second")
    await expect(chat.page.locator("#message")).to_have_value("")
    await chat.page.fill("#message", "Third")
    await chat.reload()
    await expect(chat.page.locator("#message")).to_have_value("Third")
    await expect(chat.page.locator(".banner")).to_contain_text("will be sent")
    blocked = False
    await chat.page.click("[data-field=banner-action]")
    await chat.until("completed")
    assert await sync_to_async(lambda: Conversation.objects.get().turns.filter(text="Second").count())() == 1


async def test_it_refuses_a_message_over_the_limit_before_anything_is_sent(chat: Chat) -> None:
    await chat.page.fill("#message", "x" * 4001)
    await expect(chat.page.locator("[data-field=count]")).to_have_text(
        "4,001 of 4,000 characters: 1 too many"
    )
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


@in_both
async def test_it_lets_the_reader_scroll_up_while_text_arrives(chat: Chat) -> None:
    await chat.page.set_viewport_size({"width": 700, "height": 420})
    await chat.ask("Go on for long", "demo:20-700-5")
    scroller = chat.page.locator(".thread-scroll")
    await chat.page.wait_for_function("() => document.querySelector('.thread-scroll').scrollTop > 150")
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
    await chat.until("completed")
    rest = await scroller.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight")
    assert rest < 4


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
