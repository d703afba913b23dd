"""A summary whose process is killed: nothing stays held, nothing is lost, another one can be made."""

from __future__ import annotations

import asyncio
import uuid

import aiohttp
import pytest
from django.contrib.auth.models import User

from billing.models import Hold, LedgerEntry
from conversations.database import in_database
from conversations.models import ApiKey, Conversation, Summary
from tests.balance import assert_books_balance
from tests.conversations.branches_made import long_talk
from tests.stories.client import Client
from tests.stories.site import Site

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]


async def order(address: str, conversation: Conversation, secret: str, model: str) -> None:
    url = f"http://{address}/api/v1/conversations/{conversation.pk}/summary/"
    headers = {"Authorization": f"Bearer {secret}"}
    body = {"model": model, "summary_id": str(uuid.uuid4())}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as answer:
        assert answer.status == 202, await answer.text()


async def until(state: str) -> Summary:
    async with asyncio.timeout(40):
        while True:
            summary = await in_database(Summary.objects.order_by("-created_at").first)
            if summary is not None and summary.state == state:
                return summary
            await asyncio.sleep(0.1)


async def test_it_is_closed_by_the_sweeper_and_can_be_asked_for_again(site: Site, alice: User) -> None:
    conversation = await in_database(Conversation.objects.create, owner=alice)
    await in_database(long_talk, conversation, 12)
    _, secret = await in_database(ApiKey.create, user=alice)
    killed, web = site.start_web(), site.start_web()
    site.start_worker()
    await order(killed.address, conversation, secret, "demo:60000-20-0")
    await until("running")
    assert await in_database(Hold.objects.alive().count) == 1
    async with Client(web.address, conversation.pk, secret) as client:
        killed.kill()
        # Whoever shows the conversation hears of it.
        told = await client.until_change("summary")
    assert told["summary"]["state"] == "failed"
    summary = await until("failed")
    assert summary.error_code == "server_lost"
    assert await in_database(Hold.objects.alive().count) == 0
    entry = await in_database(LedgerEntry.objects.get)
    assert (entry.bearer, entry.purpose) == ("house", "summary")

    await order(web.address, conversation, secret, "demo:0-20-0")
    assert (await until("completed")).text
    await assert_books_balance()
