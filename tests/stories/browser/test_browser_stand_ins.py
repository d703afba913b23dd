"""Answers that are passed on, come from before, or wait for a model that is left alone, in a real browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from playwright.async_api import Browser, expect

from billing.budgets import set_budget
from conversations.admission.gate import Gate
from conversations.database import in_database
from conversations.models import Generation
from tests.conversations.gates import FAILED, go, make_call
from tests.stories.browser.chat import Chat
from tests.stories.browser.conftest import Complaints
from tests.stories.browser.waits import books_balance, shot
from tests.stories.site import Site, Web

pytestmark = [pytest.mark.browser, pytest.mark.story]


GOOD = "demo:300-12-20"
FALLING = "demo:0-9-0!404"


@pytest.fixture(scope="module")
def falling(django_db_setup: None, bundle: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A server where a model stands in for the others, and a worker for the waits."""
    environment = {"FALLBACK_MODELS": GOOD, "MAX_RETRIES": "1", "FIRST_TOKEN_TIMEOUT_SECONDS": "5"}
    made = Site(tmp_path_factory.mktemp("site"), **environment)
    try:
        made.start_worker()
        yield made.start_web()
    finally:
        made.stop()
        print(made.logs())


@pytest_asyncio.fixture(loop_scope="session")
async def standing_in(
    browser: Browser, falling: Web, transactional_db: None, alice: User, complaints: Complaints
) -> AsyncIterator[Chat]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    page = await context.new_page()
    complaints.watch(page)
    story = Chat(page, f"http://{falling.address}")
    await story.sign_in(alice)
    yield story
    await context.close()


async def test_it_shows_who_answered_instead_and_why(standing_in: Chat) -> None:
    chat = standing_in
    await chat.ask("Tell me about rivers", FALLING)
    note = chat.answer.locator(".notes")
    await expect(note).to_have_text("Demo 300-12-20 answers, because Demo 0-9-0!404 was retired.")
    await chat.until("completed")
    await expect(note).to_have_text("Answered by Demo 300-12-20, because Demo 0-9-0!404 was retired.")
    await chat.answer.locator(".receipt summary").click()
    await expect(chat.answer.locator("[data-field=receipt-rows]")).to_contain_text("300-12-20")
    await shot(chat, "fallback")
    await chat.reload()
    await expect(note).to_have_text("Answered by Demo 300-12-20, because Demo 0-9-0!404 was retired.")
    await books_balance()


async def test_it_marks_an_earlier_answer(chat: Chat, alice: User) -> None:
    model = "demo:50-20-10!401"
    await chat.ask("Tell me about rivers", "demo:friendly")
    await chat.until("completed")
    await chat.page.goto(chat.base)
    await chat.ready()
    await chat.ask("Tell me about rivers", model)
    await chat.until("failed")
    await expect(chat.answer.locator(".trouble")).to_contain_text("AI is unavailable")
    await shot(chat, "unavailable")
    await in_database(_pretend_that_it_once_answered, model)
    await chat.page.goto(chat.base)
    await chat.ready()
    await chat.ask("Tell me about rivers", model)
    await chat.until("completed")
    note = chat.answer.locator(".notes")
    await expect(note).to_contain_text("This is its earlier answer to the same question. From a moment ago.")
    await expect(chat.answer.locator("[data-field=receipt-line]")).to_contain_text("not charged")
    await expect(chat.answer.locator("[data-action=again]")).to_be_visible()
    await shot(chat, "cached")
    await books_balance()


def _pretend_that_it_once_answered(model: str) -> None:
    asked = Generation.objects.get(model=model)
    Generation.objects.filter(state="completed").update(request_hash=asked.request_hash, model=model)


async def test_it_says_that_the_service_is_down_and_keeps_trying(standing_in: Chat, alice: User) -> None:
    chat = standing_in
    nothing_of_it = partial(set_budget, scope="user", scope_id=alice.pk, unit="tokens", limit_units=1)
    await in_database(nothing_of_it, period="day", model=GOOD)  # so that it cannot stand in
    await chat.ask("Tell me", "demo:50-20-10!503")
    box = chat.answer.locator(".waitbox[data-reason=outage]")
    await expect(box.locator(".wait")).to_have_text(re.compile("^Service down, trying again in "))
    kept = re.compile(r"Your question is kept .* We keep trying until (tomorrow at )?\d\d:\d\d\.")
    await expect(box).to_contain_text(kept)
    await shot(chat, "outage")
    await box.get_by_role("button", name="Cancel").click()
    await chat.until("stopped")
    await books_balance()


@pytest.fixture(scope="module")
def alone(django_db_setup: None, bundle: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A server where nothing stands in for a model, and nothing is tried again."""
    made = Site(tmp_path_factory.mktemp("site"), FALLBACKS="none", MAX_RETRIES="0")
    try:
        yield made.start_web()
    finally:
        made.stop()
        print(made.logs())


async def open_breaker(model: str) -> None:
    """Ten calls of others have failed. It stays open for longer than a story: each takes another model."""
    gate = Gate()
    for _ in range(10):
        await gate.report(await go(gate, make_call("demo", name=model.partition(":")[2])), FAILED)
    await gate.aclose()


async def test_a_question_to_a_model_that_is_left_alone_waits_for_it(chat: Chat) -> None:
    await open_breaker("demo:50-20-10")
    await chat.ask("Tell me about rivers", "demo:50-20-10")
    box = chat.answer.locator(".waitbox[data-reason=outage]")
    await expect(box.locator(".wait")).to_have_text(re.compile(r"^Service down, trying again in \d+ s$"))
    await expect(box).to_contain_text(
        "is not answering. Your question is kept and sent as soon as it recovers."
    )
    # The picker says so to who looks for another one.
    await chat.page.locator(".picker > summary").click()
    kept_back = chat.page.locator(".model-choice:has(:checked) .kept-back")
    await expect(kept_back).to_have_text(re.compile(r"^Not answering now: tried again in \d+ s$"))
    await expect(chat.page.locator(".model-choice:not(:has(:checked)) .kept-back").first).to_be_empty()
    await chat.page.keyboard.press("Escape")
    await shot(chat, "breaker-queue")
    await box.get_by_role("button", name=re.compile(r"^Use Demo now \(at most \$0\.0\d+\)$")).click()
    await chat.until("completed")
    await expect(chat.answer.locator(".notes")).to_contain_text("as you chose")
    await books_balance()


async def test_another_model_answers_for_one_that_is_left_alone(standing_in: Chat) -> None:
    chat = standing_in
    await open_breaker("demo:50-20-11")
    await chat.ask("Tell me about rivers", "demo:50-20-11")
    await chat.until("completed")
    note = chat.answer.locator(".notes")
    await expect(note).to_have_text("Answered by Demo 300-12-20, because Demo 50-20-11 is not answering.")
    await shot(chat, "breaker-stand-in")
    await books_balance()


async def test_it_says_in_plain_words_that_a_model_is_left_alone(chat: Chat, alone: Web) -> None:
    await open_breaker("demo:50-20-12")
    await chat.page.goto(f"http://{alone.address}")
    await chat.ready()
    await chat.ask("Tell me about rivers", "demo:50-20-12")
    await chat.until("failed")
    trouble = chat.answer.locator(".trouble")
    await expect(trouble).to_contain_text(
        "AI is unavailable: the model has failed several times in a row, and is tried again soon."
    )
    retry = re.compile(r"^Retry \(at most \$0\.0\d+\)$")
    await expect(trouble.get_by_role("button")).to_have_text([retry, "Try another model"])
    await shot(chat, "breaker-plain")
    await trouble.get_by_role("button", name="Try another model").click()
    await expect(chat.page.locator("#again-menu")).to_be_visible()
    await books_balance()


# Notes when an attempt begins and when its first word is painted, in milliseconds of the page.
CLOCK = """
  const times = (window.attempts = []);
  const Plain = WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener('message', ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === 'generation.started') times.push({ epoch: event.epoch, began: performance.now() });
      });
    }
  };
  const look = () => {
    const last = times.at(-1);
    const words = document.querySelector('.thread .turn:last-child .answer .prose')?.textContent.trim();
    if (last && !last.painted && words) last.painted = performance.now();
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
"""


async def test_it_paints_the_first_word_soon_after_it_is_sent_again(standing_in: Chat) -> None:
    """With a provider that answers in half a second: within two of the moment that the worker asks it."""
    chat = standing_in
    await chat.page.add_init_script(CLOCK)
    await chat.reload()
    took = []
    for hint in (1, 2, 2):  # the worker's loop is made at its first answer
        await chat.ask("Tell me", f"demo:500-20-10!429x1@{hint}")
        await expect(chat.answer.locator(".waitbox .wait")).to_have_text(
            re.compile("^Service busy, sending ")
        )
        await chat.until("completed")
        last = (await chat.page.evaluate("attempts")).pop()
        assert last["epoch"] == 2
        took.append((last["painted"] - last["began"]) / 1000)
    print("sent again to painted, seconds:", [f"{seconds:.2f}" for seconds in took])
    assert all(seconds < 2.0 for seconds in took[1:]), took
    await books_balance()


async def test_it_offers_a_simpler_question_when_nothing_came(standing_in: Chat) -> None:
    chat = standing_in
    await chat.ask("Tell me", "demo:0-20-10!stall")
    await expect(chat.answer.locator(".thinking")).to_be_visible()
    await expect(chat.answer.locator(".thinking")).to_contain_text("Waiting for")
    await shot(chat, "thinking")
    await chat.until("failed")
    await expect(chat.answer.locator(".trouble")).to_contain_text("Response generation timeout.")
    await shot(chat, "timeout")
    await chat.ask("Tell me", "demo:0-40-10!die@30")
    await chat.until("interrupted")
    await expect(chat.answer.locator(".trouble")).to_contain_text("What came is kept.")
    await shot(chat, "interrupted")
    await books_balance()
