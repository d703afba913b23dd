"""The end of a process: nothing new is begun, and what was just being begun goes to another one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis
from celery import current_app
from django.contrib.auth.models import User

from conversations import turns
from conversations.database import close_database_threads, in_database
from conversations.generation import run_generation
from conversations.launch import launch
from conversations.models import Conversation, Generation, State, WaitingReason
from conversations.queueing import Order, Started
from conversations.runtime import get_runtime, shut_down

pytestmark = pytest.mark.django_db(transaction=True)


@pytest_asyncio.fixture(autouse=True)
async def end_of_the_runtime(transactional_db: None) -> AsyncIterator[None]:
    yield
    await shut_down(seconds=0)
    close_database_threads()


@pytest.fixture
def started(alice: User, redis_url: str) -> Started:
    conversation = Conversation.objects.create(owner=alice)
    return turns.start_turn(
        user_id=alice.pk,
        conversation_id=conversation.pk,
        turn_id=uuid.uuid4(),
        order=Order("Hello", "demo:0-5-0"),
    )


def told() -> int:
    with redis.Redis.from_url(current_app.conf.broker_url) as client:
        return int(client.llen("celery"))


async def until_told() -> None:
    async with asyncio.timeout(10):
        while await asyncio.to_thread(told) == 0:
            await asyncio.sleep(0.02)


async def test_a_queued_answer_is_left_to_a_worker(started: Started) -> None:
    runtime = get_runtime()
    runtime.draining = True
    launch(runtime, started)
    await until_told()
    generation = await in_database(Generation.objects.get, pk=started.generation_id)
    assert (generation.state, generation.epoch) == (State.QUEUED, 0)


async def test_an_answer_that_is_being_claimed_is_handed_over(started: Started) -> None:
    runtime = get_runtime()
    runtime.draining = True
    await asyncio.create_task(run_generation(started.generation_id, runtime, started.claim))
    await until_told()
    generation = await in_database(Generation.objects.get, pk=started.generation_id)
    assert (generation.state, generation.waiting_reason) == (State.WAITING, WaitingReason.RECOVERY)
    assert generation.seq == 0
