"""A worker outlives the death of Valkey: its work goes on as soon as that is back."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from django.contrib.auth.models import User

from chatsite.valkey import EmbeddedValkey
from conversations.models import ApiKey, Conversation
from tests.balance import assert_books_balance
from tests.stories.client import Client
from tests.stories.site import Site

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]

LOST = "Connection to broker lost"


@pytest_asyncio.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    made = EmbeddedValkey(tmp_path / "valkey")
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)


async def test_a_worker_carries_retries_after_each_death_of_valkey(
    site: Site, alice: User, valkey: EmbeddedValkey
) -> None:
    conversation = await asyncio.to_thread(Conversation.objects.create, owner=alice)
    secret = (await asyncio.to_thread(lambda: ApiKey.create(user=alice)))[1]
    # At so many sweeps a second a message is in the worker's hands at most deaths.
    worker = site.start_worker(REDIS_URL=valkey.url, SWEEP_INTERVAL_SECONDS="0.1")
    web = await asyncio.to_thread(site.start_web, REDIS_URL=valkey.url)
    async with Client(web.address, conversation.pk, secret) as client:

        async def ask() -> None:
            model = "demo:0-20-1!429x1@0.5"
            await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model=model)
            assert (await client.until_end())["type"] == "generation.completed"

        await ask()
        for deaths in (1, 2):
            assert valkey.process is not None
            valkey.process.kill()
            async with asyncio.timeout(20):
                while worker.read_log().count(LOST) < deaths:
                    assert not worker.ended, worker.read_log()
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(valkey.stop)
            await asyncio.to_thread(valkey.start)
            await ask()
    assert not worker.ended, worker.read_log()
    await assert_books_balance()
