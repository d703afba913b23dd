"""A tab whose server hears nothing of what another one does: every notice between the two gets lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from playwright.async_api import Browser, Locator, Route, expect

from tests.stories.browser.chat import Chat
from tests.stories.browser.conftest import Complaints
from tests.stories.site import Site, Web

pytestmark = [pytest.mark.browser, pytest.mark.story]

SHORT = "demo:10-8-2"


@pytest.fixture(scope="module")
def deaf(
    django_db_setup: None, bundle: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Web, Web]]:
    """Two servers; the channel layer between them loses everything."""
    lossy = {
        "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
        "CHAOS_DROP_PERCENT": "100",
        "CHAOS_ROUND_SECONDS": "0.3",
    }
    made = Site(tmp_path_factory.mktemp("site"), **lossy)
    try:
        yield made.start_web(), made.start_web()
    finally:
        made.stop()
        print(made.logs())


@pytest_asyncio.fixture(loop_scope="session")
async def tabs(
    browser: Browser, deaf: tuple[Web, Web], transactional_db: None, alice: User, complaints: Complaints
) -> AsyncIterator[tuple[Chat, Chat]]:
    """The one in which alice asks, and one that shows the same conversation with a draft in it."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    page = await context.new_page()
    complaints.watch(page)
    context.on("page", complaints.watch)
    asking = Chat(page, f"http://{deaf[0].address}")
    await asking.sign_in(alice)
    await asking.ask("Rivers", SHORT)
    await asking.until("completed")
    other = Chat(await context.new_page(), f"http://{deaf[1].address}")
    await other.page.goto(asking.page.url.replace(asking.base, other.base))
    await other.ready()
    await other.page.fill("#message", "A draft")
    await other.page.evaluate("globalThis.isTheSame = true")
    yield asking, other
    assert await other.page.evaluate("globalThis.isTheSame"), "it was loaded anew"
    await expect(other.page.locator("#message")).to_have_value("A draft")
    await context.close()
    for chat in (asking, other):
        chat.check_contract()


def questions(chat: Chat) -> Locator:
    return chat.page.locator(".question-text")


async def test_it_shows_what_was_asked_and_answered_while_it_heard_nothing(tabs: tuple[Chat, Chat]) -> None:
    asking, other = tabs
    for number, question in enumerate(("Lakes", "Seas"), 2):
        await asking.ask(question, SHORT)
        await asking.until("completed")
        await expect(questions(other)).to_have_count(number)
        await expect(other.answer).to_have_attribute("data-state", "completed")
        assert (await other.text()).strip() == (await asking.text()).strip()
    await expect(questions(other)).to_have_text(["Rivers", "Lakes", "Seas"])
    # What the conversation has cost is the same here.
    total = asking.page.locator("[data-field=total]")
    await expect(other.page.locator("[data-field=total]")).to_have_text(await total.text_content() or "-")


async def test_it_follows_an_answer_while_it_is_written(tabs: tuple[Chat, Chat]) -> None:
    asking, other = tabs
    await asking.ask("Lakes", "demo:0-300-20")
    await other.until("streaming")
    await other.page.locator("[data-action=stop]:visible, .composer [type=submit]:visible").first.wait_for()
    await asking.until("completed")
    await other.until("completed")
    assert (await other.text()).strip() == (await asking.text()).strip()


async def test_it_counts_down_a_wait_and_hears_of_its_end(tabs: tuple[Chat, Chat]) -> None:
    asking, other = tabs
    await asking.ask("Lakes", "demo:50-20-10!429@40")
    await expect(other.answer.locator(".waitbox .wait")).to_contain_text("Service busy, sending in")
    await asking.answer.get_by_role("button", name="Cancel").click()
    await other.until("stopped")


async def test_it_shows_another_version_of_an_earlier_answer(tabs: tuple[Chat, Chat]) -> None:
    asking, other = tabs
    await asking.ask("Lakes", SHORT)
    await asking.until("completed")
    await expect(questions(other)).to_have_count(2)
    first = asking.page.locator(".thread .turn").first
    await first.locator("[data-action=again]").click()
    await asking.page.locator("#again-menu").get_by_role("button", name="Regenerate").click()
    shown = other.page.locator(".thread .turn").first
    await expect(shown.locator("[data-field=version-figure]")).to_have_text("2/2")
    await expect(shown.locator(".answer")).to_have_attribute("data-state", "completed")


async def test_it_shows_the_version_that_was_chosen_elsewhere(tabs: tuple[Chat, Chat]) -> None:
    asking, other = tabs
    await asking.answer.locator("[data-action=again]").click()
    await asking.page.locator("#again-menu").get_by_role("button", name="Regenerate").click()
    figure = "[data-field=version-figure]"
    await expect(asking.answer.locator(figure)).to_have_text("2/2")
    await asking.until("completed")
    await expect(other.answer.locator(figure)).to_have_text("2/2")
    await expect(other.answer).to_have_attribute("data-state", "completed")
    await asking.answer.locator("[data-action=version-previous]").click()
    await expect(asking.answer.locator(figure)).to_have_text("1/2")
    await expect(other.answer.locator(figure)).to_have_text("1/2")


async def test_it_takes_off_what_was_deleted_elsewhere(tabs: tuple[Chat, Chat]) -> None:
    asking, other = tabs
    for number, question in enumerate(("Lakes", "Seas"), 2):
        await asking.ask(question, SHORT)
        await asking.until("completed")
        await expect(questions(other)).to_have_count(number)
    middle = await asking.page.locator(".thread .turn").nth(1).get_attribute("data-turn-id")
    await other.page.context.request.delete(
        f"{asking.base}/api/v1/turns/{middle}/", headers=await _csrf(asking)
    )
    for chat in tabs:
        await expect(questions(chat)).to_have_text(["Rivers", "Seas"])


async def test_it_shows_the_title_that_was_given_elsewhere(tabs: tuple[Chat, Chat]) -> None:
    asking, other = tabs
    await asking.page.click("[data-field=title]")
    await asking.page.keyboard.type("Waters")
    await asking.page.keyboard.press("Enter")
    for chat in (asking, other):
        await expect(chat.page.locator("[data-field=title]")).to_have_text("Waters")
        await expect(chat.page.locator(".rail-item")).to_have_text(["Waters"])
        await expect(chat.page).to_have_title("Waters · Chatsite")


async def test_its_list_shows_what_was_pinned_and_archived_elsewhere(tabs: tuple[Chat, Chat]) -> None:
    asking, other = tabs
    headings, rows = other.page.locator(".rail-list:visible h2"), other.page.locator(".rail-item")
    await expect(headings).to_have_text(["Today"])
    await _change(asking, pinned=True)
    await expect(headings).to_have_text(["Pinned"])
    await _change(asking, pinned=False)
    await expect(headings).to_have_text(["Today"])
    await _change(asking, archived=True)
    await expect(rows).to_have_count(0)
    # It is renamed where it is.
    await _change(asking, title="Waters")
    await expect(other.page.locator("[data-field=title]")).to_have_text("Waters")
    await expect(rows).to_have_count(0)
    await _change(asking, archived=False)
    for chat in tabs:
        await expect(chat.page.locator(".rail-item")).to_have_text(["Waters"])


async def _change(chat: Chat, **values: object) -> None:
    conversation = chat.page.url.rstrip("/").rpartition("/")[2].partition("?")[0]
    answer = await chat.page.context.request.patch(
        f"{chat.base}/api/v1/conversations/{conversation}/", data=values, headers=await _csrf(chat)
    )
    assert answer.ok, await answer.text()


async def _csrf(chat: Chat) -> dict[str, str]:
    token = await chat.page.locator("[name=csrfmiddlewaretoken]").first.input_value()
    return {"X-CSRFToken": token, "Referer": chat.base}


async def test_it_asks_again_where_the_line_was_lost_while_it_asked(tabs: tuple[Chat, Chat]) -> None:
    asking, other = tabs
    tries: list[str] = []

    async def lose_the_first(route: Route) -> None:
        tries.append(route.request.url)
        await (route.abort() if len(tries) == 1 else route.continue_())

    await other.page.route("**/turns/newer/**", lose_the_first)
    await asking.ask("Lakes", SHORT)
    await expect(questions(other)).to_have_text(["Rivers", "Lakes"])
    assert len(tries) == 2
    await expect(other.answer).to_have_attribute("data-state", "completed")
