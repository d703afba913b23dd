"""The list of conversations in a real browser: rename, pin, archive, delete, search, temporary chats."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Response, expect

from conversations.models import Conversation, Generation, State, Turn
from tests.stories.browser.chat import Chat

pytestmark = [pytest.mark.browser, pytest.mark.story]

MODEL = "demo:10-8-2"


async def two_chats(chat: Chat) -> None:
    """ "Rivers", then "Mountains" on the page."""
    for question in ("Rivers", "Mountains"):
        await chat.page.goto(chat.base)
        await chat.ready()
        await chat.ask(question, MODEL)
        await chat.until("completed")
    await expect(chat.page.locator(".rail-item")).to_have_text(["Mountains", "Rivers"])


async def choose(chat: Chat, title: str, word: str) -> None:
    row = chat.page.locator(".rail-row:visible", has_text=title)
    await row.hover()
    await row.locator(".rail-more").click()
    await chat.page.locator("#rail-menu").get_by_role("button", name=word, exact=True).click()


async def stored(title: str) -> Conversation | None:
    return await Conversation.objects.filter(title=title).afirst()


async def test_it_renames_in_place_and_other_tabs_follow(chat: Chat) -> None:
    await two_chats(chat)
    other = Chat(await chat.page.context.new_page(), chat.base)
    await other.page.goto(chat.page.url)
    await other.ready()
    await choose(chat, "Mountains", "Rename")
    await chat.page.keyboard.type("Alps")
    await chat.page.keyboard.press("Escape")
    await expect(chat.page.locator(".rail-item").first).to_have_text("Mountains")
    await choose(chat, "Mountains", "Rename")
    await chat.page.keyboard.type("Alps")
    await chat.page.keyboard.press("Enter")
    for page in (chat.page, other.page):
        await expect(page.locator(".rail-item").first).to_have_text("Alps")
        await expect(page.locator("[data-field=title]")).to_have_text("Alps")
        await expect(page).to_have_title("Alps · Chatsite")
    await chat.page.click("[data-field=title]")
    long = "Peaks of the Alps, of the Andes and of the Himalayas"
    await chat.page.keyboard.type(long)
    await chat.page.keyboard.press("Enter")
    await expect(other.page.locator(".rail-item").first).to_have_text(long)
    assert await stored(long)
    # On a phone it has two lines above the thread, and all that it needs in the drawer.
    await other.page.set_viewport_size({"width": 320, "height": 640})
    words = other.page.locator("[data-field=title] > span")
    assert await words.evaluate(
        "span => span.clientHeight > 1.5 * parseFloat(getComputedStyle(span).lineHeight)"
    )
    await other.page.click(".drawer-open")
    row = other.page.locator("dialog.drawer [data-field=row-title]").first
    assert await row.evaluate("span => span.clientHeight > 20 && span.scrollWidth <= span.clientWidth")


async def test_it_pins_to_the_top_and_back(chat: Chat) -> None:
    await two_chats(chat)
    await choose(chat, "Rivers", "Pin")
    await expect(chat.page.locator(".rail-list:visible h2")).to_have_text(["Pinned", "Today"])
    await expect(chat.page.locator(".rail-item")).to_have_text(["Rivers", "Mountains"])
    await chat.reload()
    await expect(chat.page.locator(".rail-item")).to_have_text(["Rivers", "Mountains"])
    await choose(chat, "Rivers", "Unpin")
    await expect(chat.page.locator(".rail-list:visible h2")).to_have_text(["Today"])


async def test_it_archives_and_takes_out_again(chat: Chat) -> None:
    await two_chats(chat)
    await choose(chat, "Rivers", "Archive")
    await expect(chat.page.locator(".rail-item:visible")).to_have_text(["Mountains"])
    toast, link = (chat.page.locator(f"[data-field={field}]") for field in ("toast", "archive-link"))
    await expect(toast).to_contain_text("Archived")
    # It does not stand in the way there.
    above, below = await toast.bounding_box(), await link.bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] <= below["y"]
    await link.click()
    await expect(chat.page.locator(".rail-item:visible")).to_have_text(["Rivers"])
    await choose(chat, "Rivers", "Take out of the archive")
    await chat.page.click("[data-field=archive-link]")
    await expect(chat.page.locator(".rail-item:visible")).to_have_text(["Mountains", "Rivers"])


async def test_it_deletes_with_a_way_back(chat: Chat) -> None:
    await two_chats(chat)
    await choose(chat, "Rivers", "Delete")
    await expect(chat.page.locator(".rail-item")).to_have_text(["Mountains"])
    await chat.page.get_by_role("button", name="Undo").click()
    await expect(chat.page.locator(".rail-item")).to_have_text(["Mountains", "Rivers"])
    assert await stored("Rivers")
    await choose(chat, "Rivers", "Delete")
    await expect(chat.page.locator("[data-field=toast]")).to_contain_text("Deleted")
    # Leaving the page is no way back.
    async with chat.page.expect_response(lambda response: response.request.method == "DELETE"):
        await chat.page.evaluate("() => dispatchEvent(new PageTransitionEvent('pagehide'))")
    assert not await stored("Rivers")
    await chat.reload()
    await expect(chat.page.locator(".rail-item")).to_have_text(["Mountains"])


async def test_it_finds_titles_and_texts(chat: Chat) -> None:
    await two_chats(chat)
    await chat.page.fill(".rail-search input", "rivers")
    await expect(chat.page.locator(".rail-item:visible")).to_have_text(["Rivers"])
    await chat.page.fill(".rail-search input", "no such thing")
    await expect(chat.page.locator("[data-field=found-none]")).to_be_visible()
    await chat.page.press(".rail-search input", "Escape")
    await expect(chat.page.locator(".rail-item:visible")).to_have_text(["Mountains", "Rivers"])
    # Words of an answer lead to them, though another version is shown.
    rivers = await Turn.objects.select_related("chosen", "conversation").aget(text="Rivers")
    long = "x " * 3000
    version = await Generation.objects.acreate(
        conversation=rivers.conversation, turn=rivers, model=MODEL, wanted_output_tokens=9,
        state=State.COMPLETED, text=f"{long}\n\nthe **Ärger** of it",
        html=f"<p>{long}</p><p>the <strong>Ärger</strong> of it</p>",
    )  # fmt: skip
    await chat.page.fill(".rail-search input", "ärger the")
    await expect(chat.page.locator(".rail-item:visible mark")).to_have_text(["the", "Ärger"])
    await chat.page.click(".rail-item:visible")
    await chat.ready()
    await chat.page.locator("[data-field=banner]").get_by_role("button", name="Show it").click()
    await expect(chat.answer).to_have_attribute("data-generation-id", str(version.pk))
    await expect(chat.page.locator("strong", has_text="Ärger")).to_be_in_viewport()
    await chat.ready()
    assert await chat.page.evaluate("[...CSS.highlights.get('found')].map(String)") == ["the", "Ärger"]


async def test_it_keeps_a_temporary_chat_out_of_the_list(chat: Chat) -> None:
    await chat.page.click("[data-field=temporary-switch]")
    await expect(chat.page.locator(".temporary-note")).to_be_visible()
    await chat.ask("Secret plans", MODEL)
    await chat.until("completed")
    await expect(chat.page.locator("[data-field=title]")).to_have_text("Secret plans")
    await expect(chat.page.locator(".rail-item")).to_have_count(0)
    found = await stored("Secret plans")
    assert found is not None
    assert found.temporary
    await chat.reload()
    await expect(chat.page.locator(".temporary-mark")).to_be_visible()
    await expect(chat.page.locator(".rail-item")).to_have_count(0)
    # What was typed goes to another one, not to one that is kept.
    await chat.page.fill("#message", "More of them")
    await found.adelete()
    banner = chat.page.locator("[data-field=banner]")
    await expect(banner).to_contain_text("expired and was deleted")
    await chat.page.press("#message", "Enter")
    await expect(chat.page).to_have_url(f"{chat.base}/")
    await chat.ready()
    await expect(chat.page.locator(".temporary-note")).to_be_visible()
    await expect(chat.page.locator("#message")).to_have_value("More of them")
    await chat.ask("More of them", MODEL)
    await chat.until("completed")
    assert (await Conversation.objects.aget()).temporary


async def test_it_turns_a_chat_temporary_after_the_first_letters(chat: Chat) -> None:
    await chat.page.fill("#message", "Half a")
    await chat.page.click("[data-field=temporary-switch]")
    await chat.ask("Half a secret", MODEL)
    await chat.until("completed")
    found = await stored("Half a secret")
    assert found is not None
    assert found.temporary
    assert await sync_to_async(Conversation.objects.filter(head_turn__isnull=False).count)() == 1


async def test_it_marks_what_was_searched_for(chat: Chat) -> None:
    await chat.ask("Where do herons nest?", MODEL)
    await chat.until("completed")
    await chat.page.fill(".rail-search input", "HERON")
    await expect(chat.page.locator("[data-field=found-rows] mark")).to_have_text(["heron"])
    await chat.page.goto(f"{chat.base}/?q=nest")
    await chat.ready()
    await expect(chat.page.locator("[data-field=found-rows] mark")).to_have_text(["nest"])


async def test_it_exports_from_the_menu(chat: Chat) -> None:
    await chat.ask("Where do herons nest?", MODEL)
    await chat.until("completed")
    await chat.page.locator(".rail-row").first.hover()
    for item, beginning in (("Export as Markdown", "# Where do herons"), ("Export as JSON", "{")):
        await chat.page.locator(".rail-more").first.click()
        async with chat.page.expect_download() as download:
            await chat.page.get_by_role("link", name=item).click()
        path = await (await download.value).path()
        assert path.read_text(encoding="utf-8").startswith(beginning)
        assert (await download.value).suggested_filename.startswith("where-do-herons-nest.")


async def test_it_shows_where_an_answer_is_being_written(chat: Chat) -> None:
    await chat.ask("Go on for long", "demo:20-2000-20")
    await chat.until("streaming")
    busy = chat.page.locator(".rail-row[data-busy]")
    await expect(busy).to_have_count(1)
    other = Chat(await chat.page.context.new_page(), chat.base)
    await other.page.goto(chat.base)
    await other.ready()
    await expect(other.page.locator(".rail-row[data-busy] .rail-busy")).to_be_visible()
    await chat.page.keyboard.press("Escape")
    await chat.until("stopped")
    await expect(busy).to_have_count(0)


async def test_it_deletes_a_chat_whose_answer_is_being_written(chat: Chat) -> None:
    await two_chats(chat)
    await chat.ask("Go on for long", "demo:20-2000-20")
    await chat.until("streaming")

    def is_deletion(response: Response) -> bool:
        return response.request.method == "DELETE"

    # The next change is what makes the deletion final.
    async with chat.page.expect_response(is_deletion) as deletion:
        await choose(chat, "Mountains", "Delete")
        await choose(chat, "Rivers", "Pin")
    assert (await deletion.value).status == 204
    await expect(chat.page).to_have_url(f"{chat.base}/")
    await expect(chat.page.locator(".rail-item")).to_have_text(["Rivers"])
