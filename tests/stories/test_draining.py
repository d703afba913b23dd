"""SIGTERM: what has no word yet is handed over to a worker, what streams is finished here."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from django.contrib.auth.models import User

from conversations.database import in_database
from conversations.models import ApiKey, Conversation, Generation, State
from tests.balance import assert_books_balance
from tests.stories.client import Client
from tests.stories.site import Site
from tests.stories.test_other_processes import ended

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]


async def test_it_hands_over_what_has_not_begun_and_finishes_what_streams(site: Site, alice: User) -> None:
    secret = (await in_database(lambda: ApiKey.create(user=alice)))[1]
    web, worker = site.start_web(), site.start_worker()
    begun: dict[str, str] = {}
    clients: list[Client] = []
    plan = {
        "running": ("demo:3000-20-0", "generation.started"),
        "waiting": ("demo:0-30-5!429x1@2", "generation.waiting"),
        "streaming": ("demo:0-250-10", "delta"),
    }
    for name, (model, seen) in plan.items():
        conversation = await in_database(lambda: Conversation.objects.create(owner=alice))
        client = Client(web.address, conversation.pk, secret)
        await client.__aenter__()
        clients.append(client)
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model=model)
        begun[name] = (await client.until("turn.accepted"))["generation_id"]
        await client.until(seen)
    web.terminate()
    found: dict[str, Generation] = {name: await ended(begun[name]) for name in plan}
    await asyncio.to_thread(web.wait, 30)
    for client in clients:
        await client.__aexit__(None, None, None)

    assert {name: one.state for name, one in found.items()} == dict.fromkeys(plan, State.COMPLETED)
    assert {name: one.attempts for name, one in found.items()} == {"running": 2, "waiting": 2, "streaming": 1}
    assert {name: one.seq for name, one in found.items()} == {"running": 20, "waiting": 30, "streaming": 250}
    by_worker = {name for name, one in found.items() if f":{worker.pid}:" in one.owner}
    assert by_worker == {"running", "waiting"}
    await assert_books_balance()
