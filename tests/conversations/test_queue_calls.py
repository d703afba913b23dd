"""Capacity that becomes free is noticed: the first in the queue is called up, and nobody else."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.utils import timezone

from billing.books import check_books
from billing.models import Hold
from conversations.admission.gate import CapacityWait, Gate
from conversations.admission.pace import Call
from conversations.database import in_database
from conversations.models import Conversation, Generation
from conversations.queue_calls import call_next
from conversations.runtime import get_runtime
from conversations.sweeper import sweep_once
from llm.models import ModelProfile
from llm.profiles import clear_cache, get_profile
from llm.usage import Usage
from tests.conversations.conftest import OpenSocket, Socket
from tests.conversations.gates import OK, go, later, make_call, wait
from tests.conversations.providers import KEY, add_models
from tests.fakes.provider_server import ProviderServer

MODEL = "openai:0-5-0"
TOKENS: dict[str, Any] = {"tokens_per_minute": 1_000}


@pytest_asyncio.fixture
async def gate(redis_url: str) -> AsyncIterator[Gate]:
    gate = Gate(clock=lambda: 1_700_000_000.0)
    yield gate
    await gate.aclose()


async def test_it_names_the_first_when_tokens_come_back(gate: Gate) -> None:
    taken = await go(gate, make_call(**TOKENS, input_tokens=900))
    first, second = (make_call(**TOKENS, input_tokens=50, asked_at=later(number)) for number in range(2))
    await wait(gate, first)
    told = await wait(gate, second)
    assert await gate.first_in_line(first.profile) is None
    assert await gate.report(taken, OK, Usage(input_tokens=10, output_tokens=1))
    found = await gate.first_in_line(first.profile)
    assert found is not None
    assert (found.ticket, found.seconds) == (first.ticket, 0.0)
    admission = await go(gate, first)
    assert admission.others_wait
    following = await gate.first_in_line(first.profile)
    assert following is not None
    assert following.ticket == second.ticket
    assert 0 <= following.seconds < told.seconds


async def test_it_names_the_second_when_the_first_leaves(gate: Gate) -> None:
    profile = (await go(gate, make_call(requests_per_minute=1))).call.profile
    first, second = (make_call(requests_per_minute=1, asked_at=later(number)) for number in range(2))
    earlier = await wait(gate, first)
    await wait(gate, second)
    await gate.leave(first.ticket, profile)
    found = await gate.first_in_line(profile)
    assert found is not None
    assert found.ticket == second.ticket
    assert found.seconds == pytest.approx(earlier.seconds, abs=0.01)


async def test_nobody_is_named_without_a_queue_or_a_limit(gate: Gate) -> None:
    admission = await go(gate, make_call())
    assert not admission.others_wait
    assert not await gate.report(admission, OK)
    assert await gate.first_in_line(admission.call.profile) is None


# --- Through the engine -------------------------------------------------------------------


@pytest_asyncio.fixture
async def server(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> AsyncIterator[ProviderServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = ProviderServer()
    await server.start()
    await in_database(add_models, server.url, "0-5-0", requests_per_minute=1)
    yield server
    await server.stop()


async def ask(socket: Socket) -> uuid.UUID:
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model=MODEL)
    return turn_id


Waiting = list[tuple[Socket, uuid.UUID, dict[str, Any]]]


@pytest_asyncio.fixture
async def waiting(server: ProviderServer, alice: User, alice_key: str, open_socket: OpenSocket) -> Waiting:
    """Three questions in the queue of a model that takes one a minute, in their order."""
    made = []
    for number in range(4):
        chat = await in_database(lambda: Conversation.objects.create(owner=alice))
        socket = await open_socket(chat.pk, alice_key)
        turn_id = await ask(socket)
        if number == 0:
            await socket.until_end()
        else:
            made.append((socket, turn_id, await socket.until("generation.waiting")))
    return made


async def due_in(entry: tuple[Socket, uuid.UUID, dict[str, Any]]) -> float:
    row = await in_database(Generation.objects.get, pk=entry[2]["generation_id"])
    assert row.run_after is not None
    return (row.run_after - timezone.now()).total_seconds()


async def lift_the_limit() -> None:
    await in_database(ModelProfile.objects.filter(model_id=MODEL).update, requests_per_minute=None)
    await in_database(clear_cache)


@pytest.mark.django_db(transaction=True)
async def test_only_the_first_is_called_up_and_then_the_next(waiting: Waiting) -> None:
    await lift_the_limit()
    profile = await in_database(get_profile, MODEL)
    await call_next(get_runtime(), profile)
    assert await due_in(waiting[0]) <= 0
    assert await due_in(waiting[1]) > 20
    assert await due_in(waiting[2]) > 20
    get_runtime().spawn(uuid.UUID(waiting[0][2]["generation_id"]))
    assert (await waiting[0][0].until_end())["type"] == "generation.completed"
    row = await in_database(Generation.objects.get, pk=waiting[0][2]["generation_id"])
    assert row.paced_seconds < 20  # it did not wait for the rest of what it was told
    get_runtime().spawn(uuid.UUID(waiting[1][2]["generation_id"]))
    assert (await waiting[1][0].until_end())["type"] == "generation.completed"
    assert await in_database(Hold.objects.alive().count) == 1
    await waiting[2][0].send("turn.stop", turn_id=waiting[2][1])
    await waiting[2][0].until_end()
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []


@pytest.mark.django_db(transaction=True)
async def test_the_sweeper_calls_up_what_nobody_noticed(waiting: Waiting) -> None:
    await lift_the_limit()
    await sync_to_async(sweep_once)()
    assert await due_in(waiting[0]) <= 0
    assert await due_in(waiting[1]) > 20


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("leaving", ["stop", "switch"])
async def test_those_behind_move_up_when_one_leaves(
    waiting: Waiting, server: ProviderServer, leaving: str
) -> None:
    await in_database(add_models, server.url, "0-6-0")
    profile = await in_database(get_profile, MODEL)
    socket, turn_id, _ = waiting[0]
    if leaving == "stop":
        await socket.send("turn.stop", turn_id=turn_id)
    else:
        await socket.send("turn.switch", turn_id=turn_id, model="openai:0-6-0")
    await socket.until_end()
    late = Call(uuid.uuid4(), profile, 10, 100, later(3600))
    async with asyncio.timeout(10):  # it leaves after its end was told
        while True:
            answer = await get_runtime().gate.admit(late)
            assert isinstance(answer, CapacityWait)
            if answer.place == 3:  # behind the two that are left
                break
            await asyncio.sleep(0.05)
    await get_runtime().gate.leave(late.ticket, profile)


@pytest.mark.django_db(transaction=True)
async def test_a_place_of_one_that_ended_elsewhere_is_cleared_away(waiting: Waiting) -> None:
    gone = waiting[0][2]["generation_id"]
    await in_database(Generation.objects.filter(pk=gone).update, state="stopped")
    await lift_the_limit()
    profile = await in_database(get_profile, MODEL)
    await call_next(get_runtime(), profile)
    assert await due_in(waiting[1]) <= 0
    assert await due_in(waiting[2]) > 20
