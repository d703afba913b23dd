"""A Valkey that accepts everything and answers nothing: answers go on, for those who ask this process."""

from __future__ import annotations

import asyncio
import signal
import urllib.error
import urllib.request
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


@pytest_asyncio.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    made = EmbeddedValkey(tmp_path / "valkey")
    await asyncio.to_thread(made.start)
    yield made
    assert made.process is not None
    made.process.send_signal(signal.SIGCONT)
    await asyncio.to_thread(made.stop)


def sign_in(address: str) -> int:
    """The status of an answer that refuses it."""
    body = b'{"username": "alice", "password": "no matter"}'
    headers = {"Content-Type": "application/json"}
    wanted = urllib.request.Request(f"http://{address}/api/v1/auth/token/", data=body, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(wanted, timeout=60)
    return refused.value.code


async def test_it_answers_while_valkey_is_silent_and_goes_on_when_it_speaks_again(
    site: Site, alice: User, valkey: EmbeddedValkey
) -> None:
    conversation = await asyncio.to_thread(Conversation.objects.create, owner=alice)
    secret = (await asyncio.to_thread(lambda: ApiKey.create(user=alice)))[1]
    web = await asyncio.to_thread(site.start_web, REDIS_URL=valkey.url)
    assert valkey.process is not None
    async with Client(web.address, conversation.pk, secret) as client:
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-200-10")
        await client.until_seq(20)
        valkey.process.send_signal(signal.SIGSTOP)
        # Those who sign in cannot be counted, and must not keep the answers waiting.
        refused = asyncio.create_task(asyncio.to_thread(sign_in, web.address))
        first = await client.until_end()
        # A new question and a new socket, while nothing answers there.
        async with Client(web.address, conversation.pk, secret) as other:
            turn_id = uuid.uuid4()
            await other.send("turn.create", turn_id=turn_id, text="Again", model="demo:0-3000-10")
            await other.until_seq(10)
            await other.send("turn.stop", turn_id=turn_id)
            second = await other.until_end()
        assert await asyncio.wait_for(refused, 30) == 503
        valkey.process.send_signal(signal.SIGCONT)
        await client.send("turn.create", turn_id=uuid.uuid4(), text="And again", model="demo:0-20-1")
        while (third := await client.until_end())["generation_id"] in (
            first["generation_id"],
            second["generation_id"],
        ):
            pass
    assert [end["type"] for end in (first, second, third)] == [
        "generation.completed",
        "generation.stopped",
        "generation.completed",
    ]
    assert [seq for seq, _ in client.deltas(first["generation_id"])] == list(range(1, 201))
    await assert_books_balance()
