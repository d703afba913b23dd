"""Answers that wait while processes die and Valkey forgets everything.

Every kill is SIGKILL of a real process on a file-backed database.
"""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest
import redis
from django.contrib.auth.models import User

from billing.models import Hold
from conversations.database import in_database
from conversations.models import Conversation, Generation, State
from tests.balance import assert_books_balance
from tests.conversations.providers import KEY, add_models
from tests.fakes.provider_server import ProviderServer
from tests.stories.client import Client
from tests.stories.site import Site

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]


async def test_it_sends_a_waiting_answer_though_its_worker_and_all_of_valkey_are_gone(
    site: Site, conversation: Conversation, secret: str, redis_url: str
) -> None:
    web, worker = site.start_web(), site.start_worker()
    async with Client(web.address, conversation.pk, secret) as client:
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:500-50-5!429x1@6")
        waiting = await client.until("generation.waiting")
        assert waiting["reason"] == "rate_limit"
        due_at = time.monotonic() + waiting["wait_seconds"]
        worker.kill()
        with redis.Redis.from_url(redis_url) as valkey:
            valkey.flushall()
        heir = site.start_worker()
        end = await client.until_end()
        assert time.monotonic() >= due_at
    assert end["type"] == "generation.completed"
    assert [seq for seq, _ in client.deltas(end["generation_id"])] == list(range(1, 51))
    generation = await in_database(Generation.objects.get, pk=end["generation_id"])
    assert f":{heir.pid}:" in generation.owner
    assert generation.attempts == 2
    await assert_books_balance()


async def test_it_shows_the_first_word_soon_after_it_is_sent_again(
    site: Site, conversation: Conversation, secret: str
) -> None:
    """With a provider that answers in half a second: within two of the moment that was announced."""
    web = site.start_web()
    site.start_worker()
    async with Client(web.address, conversation.pk, secret) as client:
        # The worker's loop is made at its first answer.
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Warm", model="demo:0-5-0!429x1@1")
        await client.until_end()
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:500-50-5!429x1@3")
        await client.until("generation.waiting")
        started = await client.until("generation.started")
        assert started["epoch"] == 2
        sent = time.monotonic()
        await client.until("delta")
        assert time.monotonic() - sent < 2.0
        end = await client.until_end()
    assert end["receipt"]["first_token_ms"] < 2000
    assert end["receipt"]["attempts"] == 2
    await assert_books_balance()


async def test_it_switches_a_wait_that_a_worker_is_to_wake_from_any_process(
    site: Site, conversation: Conversation, secret: str
) -> None:
    web, other = site.start_web(), site.start_web()
    site.start_worker()
    turn_id = uuid.uuid4()
    async with (
        Client(web.address, conversation.pk, secret) as asker,
        Client(other.address, conversation.pk, secret) as second,
    ):
        await asker.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-50-5!429x9@2")
        await asker.until("generation.waiting")
        again = await asker.until("generation.waiting")  # the worker has tried it, and put it off
        assert again["attempt"] == 2
        await second.send("turn.switch", turn_id=turn_id, model="demo:100-60-5")
        ends = [await client.until_end() for client in (asker, second)]
    assert ends[0] == ends[1]
    assert (ends[0]["type"], ends[0]["seq"]) == ("generation.completed", 60)
    assert ends[0]["receipt"]["model"] == "demo:100-60-5"
    for client in (asker, second):
        assert [seq for seq, _ in client.deltas(ends[0]["generation_id"])] == list(range(1, 61))
        started = [event for event in client.events if event["type"] == "generation.started"]
        assert started[-1]["model"] == "demo:100-60-5"
    generation = await in_database(Generation.objects.get, pk=ends[0]["generation_id"])
    assert f":{other.pid}:" in generation.owner
    await assert_books_balance()


async def test_a_scheduled_answer_outlives_everybody(
    site: Site, conversation: Conversation, secret: str, redis_url: str
) -> None:
    web = site.start_web(RETRY_PATIENCE_SECONDS="1")
    turn_id = uuid.uuid4()
    async with Client(web.address, conversation.pk, secret) as client:
        await client.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-20-5!429x1@4")
        waiting = await client.until("generation.waiting")
        assert waiting["reason"] == "choice"
        await client.send("turn.schedule", turn_id=turn_id)
        assert (await client.until("generation.waiting"))["reason"] == "scheduled"
    assert await in_database(Hold.objects.alive().count) == 0
    web.kill()
    with redis.Redis.from_url(redis_url) as valkey:
        valkey.flushall()
    site.start_worker()
    async with asyncio.timeout(40):
        while (await in_database(Generation.objects.get)).is_live:
            await asyncio.sleep(0.1)
    generation = await in_database(Generation.objects.get)
    assert (generation.state, generation.seq) == (State.COMPLETED, 20)
    await assert_books_balance()


async def test_tokens_that_were_not_used_let_the_next_go_long_before_its_time(
    site: Site, alice: User, secret: str
) -> None:
    """Asked in one web process, freed by the end of an answer in another, sent by a worker."""
    server = ProviderServer()
    await server.start()
    site.environment["OPENAI_API_KEY"] = KEY
    model = "openai:4000-5-0"
    await in_database(add_models, server.url, "4000-5-0", tokens_per_minute=5_000)
    chats = await in_database(lambda: [Conversation.objects.create(owner=alice) for _ in range(3)])
    web, other = site.start_web(), site.start_web()
    site.start_worker()
    try:
        async with (
            Client(web.address, chats[0].pk, secret) as ahead,
            Client(other.address, chats[1].pk, secret) as second,
            Client(other.address, chats[2].pk, secret) as third,
        ):
            await ahead.send("turn.create", turn_id=uuid.uuid4(), text="Warm", model="demo:0-5-0!429x1@1")
            while (await ahead.receive(90.0))["type"] != "generation.completed":
                pass  # the worker is there now
            await ahead.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model=model)
            await ahead.until("generation.started")
            for client in (second, third):
                fields = {"text": "Hello", "model": model, "max_output_tokens": 100}
                await client.send("turn.create", turn_id=uuid.uuid4(), **fields)
                assert (await client.until("generation.waiting"))["wait_seconds"] > 20
            await ahead.until_end()
            freed = time.monotonic()
            for client in (second, third):
                assert (await client.until("generation.started"))["epoch"] == 2
            took = time.monotonic() - freed
            assert took < 15, f"it went {took:.1f} s after there was room"
            ends = [await client.until_end() for client in (second, third)]
    finally:
        await server.stop()
    assert [end["type"] for end in ends] == ["generation.completed"] * 2
    await assert_books_balance()
