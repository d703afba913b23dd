"""Asking by the plain form, without scripts."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient

from billing.budgets import set_budget
from conversations.database import close_database_threads
from conversations.models import Conversation, Generation, Turn
from conversations.runtime import shut_down

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "demo:0-8-0"


@pytest_asyncio.fixture
async def browser(transactional_db: None, alice: User) -> AsyncIterator[AsyncClient]:
    client = AsyncClient()
    await sync_to_async(client.force_login)(alice)
    yield client
    await shut_down(seconds=0)
    close_database_threads()


async def test_it_answers_a_plain_form_with_the_next_page(browser: AsyncClient, alice: User) -> None:
    sent = await browser.post("/ask/", {"text": "Why?\r\nSo?", "model": MODEL})
    assert sent.status_code == 302
    conversation = await Conversation.objects.aget(owner=alice)
    assert sent["Location"] == f"/c/{conversation.pk}/"
    assert (await Turn.objects.aget()).text == "Why?\nSo?"
    generation = await Generation.objects.aget()
    page = (await browser.get(sent["Location"])).content.decode()
    assert generation.state == "completed"
    assert generation.html in page
    assert 'http-equiv="refresh"' not in page


async def test_it_sends_a_form_once_however_often_it_is_posted(browser: AsyncClient) -> None:
    form = {"text": "Why?", "model": MODEL, "turn_id": str(uuid.uuid4())}
    first = await browser.post("/ask/", form)
    here = {**form, "conversation": first["Location"].split("/")[2]}
    assert (await browser.post("/ask/", here)).status_code == 302
    assert await Turn.objects.acount() == 1


async def test_it_shows_a_refusal_with_the_text_and_a_way_on(browser: AsyncClient, alice: User) -> None:
    await sync_to_async(set_budget)(
        scope="user", scope_id=alice.pk, unit="tokens", limit_units=4200, period="day"
    )
    refused = await browser.post("/ask/", {"text": "Why <b>?", "model": MODEL})
    page = refused.content.decode()
    assert refused.status_code == 409
    assert "Why &lt;b&gt;?</textarea>" in page
    assert 'name="confirm" value="1"' in page
    assert "require-trusted-types-for" in refused["Content-Security-Policy"]
    assert await Turn.objects.acount() == 0
    form = dict(re.findall(r'type="hidden" name="(conversation|turn_id)" value="([^"]*)"', page))
    again = await browser.post("/ask/", {**form, "text": "Why <b>?", "model": MODEL, "confirm": "1"})
    assert again.status_code == 302
    assert await Turn.objects.acount() == 1


async def test_it_links_the_request_for_more_and_keeps_the_text(browser: AsyncClient, alice: User) -> None:
    await sync_to_async(set_budget)(
        scope="user", scope_id=alice.pk, unit="tokens", limit_units=40, period="day"
    )
    refused = await browser.post("/ask/", {"text": "Why?", "model": MODEL})
    page = refused.content.decode()
    assert refused.status_code == 429
    address = r"/usage/budgets/\d+/ask/\?wanted=\d+00&amp;conversation="
    assert re.search(rf'href="{address}[^"]*" target="_blank"', page)
    assert ">Why?</textarea>" in page


async def test_it_refuses_foreign_conversations_and_nothing(browser: AsyncClient, charlie: User) -> None:
    foreign = await Conversation.objects.acreate(owner=charlie)
    assert (await browser.post("/ask/", {"text": "Why?", "conversation": str(foreign.pk)})).status_code == 404
    assert (await browser.post("/ask/", {"text": "Why?", "conversation": "x"})).status_code == 404
    assert (await browser.post("/ask/", {"text": " "})).status_code == 422
    assert (await browser.get("/ask/")).status_code == 405
    assert (await AsyncClient().post("/ask/", {"text": "Why?"})).status_code == 302
    assert (await AsyncClient(enforce_csrf_checks=True).post("/ask/", {"text": "Why?"})).status_code == 403
    assert await Turn.objects.acount() == 0


async def asked(browser: AsyncClient, model: str) -> tuple[str, str, str]:
    """The address of the conversation, that of its turn's buttons, and the page."""
    sent = await browser.post("/ask/", {"text": "Why?", "model": model})
    page = (await browser.get(sent["Location"])).content.decode()
    turn = await Turn.objects.aget()
    return sent["Location"], f"{sent['Location']}turns/{turn.turn_id}/go-on/", page


async def test_it_decides_a_wait_by_buttons_of_the_page(browser: AsyncClient) -> None:
    here, buttons, page = await asked(browser, "demo:0-8-0!429x1@300")
    assert "What now?" in page
    assert f'action="{buttons}"' in page
    offered = re.findall(r'name="choice" value="([^"]+)"', page)
    assert [choice.partition(" ")[0] for choice in offered[:4]] == ["switch", "switch", "schedule", "stop"]
    assert (await browser.post(buttons, {"choice": "schedule"}))["Location"] == here
    assert (await Generation.objects.aget()).waiting_reason == "scheduled"
    assert (await browser.post(buttons, {"choice": f"switch {MODEL}"})).status_code == 302
    generation = await Generation.objects.aget()
    assert (generation.state, generation.model) == ("completed", MODEL)
    assert "as you chose" in (await browser.get(here)).content.decode()
    late = await browser.post(buttons, {"choice": f"switch {MODEL}"})
    assert late.status_code == 404


async def test_it_refuses_a_choice_that_cannot_be(browser: AsyncClient, charlie: User) -> None:
    _, buttons, _ = await asked(browser, "demo:0-8-0!429x1@300")
    unknown = await browser.post(buttons, {"choice": "switch x:y"})
    assert unknown.status_code == 422
    assert "There is no such model here." in unknown.content.decode()
    assert (await browser.post(buttons, {"choice": "dance"})).status_code == 404
    stranger = AsyncClient()
    await sync_to_async(stranger.force_login)(charlie)
    assert (await stranger.post(buttons, {"choice": "stop"})).status_code == 404
    assert (await browser.post(buttons, {"choice": "stop"})).status_code == 302
    assert (await Generation.objects.aget()).state == "stopped"


async def test_it_continues_and_retries_by_buttons_of_the_page(browser: AsyncClient) -> None:
    here, buttons, page = await asked(browser, "demo:0-40-0!die@20")
    assert 'name="choice" value="continue"' in page
    assert "Continue (at most $" in page
    assert (await browser.post(buttons, {"choice": "continue"})).status_code == 302
    continued = await Generation.objects.exclude(continues=None).aget()
    assert continued.model == "demo:0-40-0!die@20"
    assert (await browser.post(buttons, {"choice": "retry"})).status_code == 302
    assert await Generation.objects.acount() == 3
    assert (await browser.get(here)).status_code == 200
