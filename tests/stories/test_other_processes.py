"""Answers that another process writes, and answers whose process is killed.

Every kill is SIGKILL of a real process on a file-backed database.
"""

from __future__ import annotations

import asyncio
import uuid

import pytest
import redis

from billing.models import LedgerEntry
from conversations import turns
from conversations.database import in_database
from conversations.hints import tell_worker
from conversations.models import Conversation, Generation, State
from conversations.queueing import Order, Started
from tests.balance import assert_books_balance
from tests.stories.client import Client
from tests.stories.site import Site

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]


async def queue_for_worker(conversation: Conversation, model: str) -> Started:
    """A question that only a worker is told of."""
    started = await in_database(
        turns.start_turn,
        user_id=conversation.owner_id,
        conversation_id=conversation.pk,
        turn_id=uuid.uuid4(),
        order=Order("Hello", model),
    )
    assert await in_database(tell_worker, started.generation_id)
    return started


async def ended(generation_id: uuid.UUID | str, *, seconds: float = 40) -> Generation:
    """The generation once it has ended, whoever ended it."""
    async with asyncio.timeout(seconds):
        while True:
            generation = await in_database(Generation.objects.get, pk=generation_id)
            if not generation.is_live:
                return generation
            await asyncio.sleep(0.1)


async def test_it_shows_a_workers_answer_on_the_sockets_of_a_web_process(
    site: Site, conversation: Conversation, secret: str
) -> None:
    web, worker = site.start_web(), site.start_worker()
    async with (
        Client(web.address, conversation.pk, secret) as first,
        Client(web.address, conversation.pk, secret) as second,
    ):
        started = await queue_for_worker(conversation, "demo:200-200-10")
        generation_id = str(started.generation_id)
        await second.until_seq(50)
        # A reload in the middle: a new socket says what it has and gets exactly the rest.
        async with Client(web.address, conversation.pk, secret) as reloaded:
            await reloaded.until("generation.started")
            await reloaded.send("stream.resume", generation_id=generation_id, after_seq=50)
            ends = [await client.until_end() for client in (first, second, reloaded)]

    assert ends[0] == ends[1] == ends[2]
    assert ends[0]["type"] == "generation.completed"
    for client, after in ((first, 0), (second, 0), (reloaded, 50)):
        assert [seq for seq, _ in client.deltas(generation_id)] == list(range(after + 1, 201))
    assert first.text(generation_id) == ends[0]["text"]
    generation = await in_database(Generation.objects.get, pk=generation_id)
    assert f":{worker.pid}:" in generation.owner
    await assert_books_balance()


async def test_it_stops_a_workers_answer_from_a_web_socket(
    site: Site, conversation: Conversation, secret: str
) -> None:
    web = site.start_web()
    site.start_worker()
    async with Client(web.address, conversation.pk, secret) as client:
        started = await queue_for_worker(conversation, "demo:0-3000-10")
        await client.until_seq(20)
        await client.send("turn.stop", turn_id=started.turn_id)
        end = await client.until_end()
    assert end["type"] == "generation.stopped"
    assert client.text(str(started.generation_id)) == end["text"]
    await assert_books_balance()


async def test_it_mends_the_log_when_valkey_loses_everything(
    site: Site, conversation: Conversation, secret: str, redis_url: str
) -> None:
    web = site.start_web()
    site.start_worker()
    async with Client(web.address, conversation.pk, secret) as client:
        started = await queue_for_worker(conversation, "demo:0-300-10")
        await client.until_seq(100)
        with redis.Redis.from_url(redis_url) as valkey:
            valkey.flushall()
        end = await client.until_end()
    assert end["type"] == "generation.completed"
    generation_id = str(started.generation_id)
    assert [seq for seq, _ in client.deltas(generation_id)] == list(
        range(1, len(client.deltas(generation_id)) + 1)
    )
    assert end["text"].startswith(client.text(generation_id))
    assert end["seq"] == 300
    await assert_books_balance()


async def test_it_completes_in_a_worker_when_the_web_process_dies_during_the_wait(
    site: Site, conversation: Conversation, secret: str
) -> None:
    web, worker = site.start_web(), site.start_worker()
    other = site.start_web()
    async with Client(other.address, conversation.pk, secret) as watcher:
        # Who opens a socket is let in before it hears other processes, and answered afterwards.
        await watcher.send("ping")
        await watcher.until("pong")
        async with Client(web.address, conversation.pk, secret) as asker:
            await asker.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-50-5!429x1@2")
            waiting = await asker.until("generation.waiting")
            assert waiting["wait_seconds"] >= 1.5
            await watcher.until("generation.waiting")
            web.kill()
        end = await watcher.until_end()
    assert end["type"] == "generation.completed"
    assert [seq for seq, _ in watcher.deltas(end["generation_id"])] == list(range(1, 51))
    generation = await in_database(Generation.objects.get, pk=end["generation_id"])
    assert f":{worker.pid}:" in generation.owner
    assert generation.attempts == 2
    await assert_books_balance()


async def test_it_keeps_what_was_read_when_the_process_is_killed_while_it_streams(
    site: Site, conversation: Conversation, secret: str
) -> None:
    web = site.start_web()
    site.start_worker()
    async with Client(web.address, conversation.pk, secret) as client:
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-2000-5")
        accepted = await client.until("turn.accepted")
        await client.until_seq(200)
        web.kill()
    generation = await ended(accepted["generation_id"])
    assert generation.state == State.INTERRUPTED
    assert generation.error_code == "server_lost"
    seen = client.text(accepted["generation_id"])
    # At most the last 100 ms of words may be missing from what the log kept.
    assert seen.startswith(generation.text) or generation.text.startswith(seen)
    assert generation.seq >= 200 - 40
    entry = await in_database(LedgerEntry.objects.get, hold_id=generation.hold_id)
    assert entry.bearer == "house"
    await assert_books_balance()


async def test_it_repeats_an_answer_whose_process_died_before_the_first_word(
    site: Site, conversation: Conversation, secret: str
) -> None:
    web = site.start_web()
    worker = site.start_worker()
    async with Client(web.address, conversation.pk, secret) as client:
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:1500-20-0")
        accepted = await client.until("turn.accepted")
        await client.until("generation.started")
        web.kill()
    generation = await ended(accepted["generation_id"])
    assert (generation.state, generation.seq, generation.attempts) == (State.COMPLETED, 20, 2)
    assert f":{worker.pid}:" in generation.owner
    await assert_books_balance()


async def test_it_finishes_its_answers_before_the_web_process_ends(
    site: Site, conversation: Conversation, secret: str
) -> None:
    web = site.start_web()
    async with Client(web.address, conversation.pk, secret) as client:
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-200-10")
        accepted = await client.until("turn.accepted")
        await client.until_seq(5)
        web.terminate()
        generation = await ended(accepted["generation_id"])
    assert (generation.state, generation.seq) == (State.COMPLETED, 200)
    await asyncio.to_thread(web.wait, 20)
    await assert_books_balance()
