"""Answers that wait for the pace their provider allows, through the whole engine."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from billing.models import Hold, LedgerEntry
from conversations import generation as engine
from conversations.admission.gate import PREFIX
from conversations.capacity import ASK_AGAIN_SECONDS
from conversations.database import in_database
from conversations.models import Conversation, Generation
from conversations.runtime import get_runtime
from tests.balance import assert_books_balance
from tests.conversations.conftest import OpenSocket, Socket
from tests.conversations.gates import pass_time
from tests.conversations.providers import KEY, add_models
from tests.fakes.provider_server import ProviderServer, Reply, Send
from tests.fakes.wire import OpenAIDialect

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "openai:0-5-0"


@pytest_asyncio.fixture
async def server(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> AsyncIterator[ProviderServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = ProviderServer()
    await server.start()
    await in_database(add_models, server.url, "0-5-0", requests_per_minute=1)
    yield server
    await server.stop()


@pytest.fixture
def others(alice: User) -> list[Conversation]:
    return [Conversation.objects.create(owner=alice) for _ in range(3)]


async def ask(socket: Socket) -> uuid.UUID:
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model=MODEL)
    return turn_id


@pytest_asyncio.fixture
async def waiting(
    server: ProviderServer, others: list[Conversation], alice_key: str, open_socket: OpenSocket
) -> tuple[Socket, uuid.UUID, dict[str, Any]]:
    """The second question in a minute of a model that takes one."""
    first = await open_socket(others[0].pk, alice_key)
    await ask(first)
    assert (await first.until_end())["type"] == "generation.completed"
    second = await open_socket(others[1].pk, alice_key)
    turn_id = await ask(second)
    return second, turn_id, await second.until("generation.waiting")


async def test_it_waits_for_the_pace_and_says_so(
    waiting: tuple[Socket, uuid.UUID, dict[str, Any]], server: ProviderServer
) -> None:
    _, _, event = waiting
    assert (event["reason"], event["place"], event["attempt"]) == ("capacity", 1, 0)
    assert 60 < event["wait_seconds"] < 70
    assert len(server.requests) == 1  # it was not tried
    assert await in_database(lambda: sorted(Hold.objects.values_list("state", flat=True))) == [
        "open",
        "released",
        "settled",
    ]


async def come_due(generation_id: str) -> None:
    """The wait is over, in the database and in Valkey."""
    pass_time(70)
    due = timezone.now() - timedelta(seconds=1)
    await in_database(Generation.objects.filter(pk=generation_id).update, run_after=due)


async def test_it_goes_on_when_its_time_has_come(
    waiting: tuple[Socket, uuid.UUID, dict[str, Any]],
) -> None:
    socket, _, event = waiting
    await come_due(event["generation_id"])
    get_runtime().spawn(uuid.UUID(event["generation_id"]))
    end = await socket.until_end()
    assert end["type"] == "generation.completed"
    row = await in_database(Generation.objects.get, pk=event["generation_id"])
    assert (row.attempts, row.place) == (1, None)
    assert row.paced_seconds == ASK_AGAIN_SECONDS < event["wait_seconds"]
    await assert_books_balance()


async def test_the_wait_does_not_use_up_the_patience(
    waiting: tuple[Socket, uuid.UUID, dict[str, Any]], server: ProviderServer, settings: Settings
) -> None:
    socket, _, event = waiting
    settings.RETRY_PATIENCE_SECONDS = 20
    # It was asked long ago and has waited for its turn ever since.
    created = timezone.now() - timedelta(seconds=ASK_AGAIN_SECONDS)
    await in_database(Generation.objects.filter(pk=event["generation_id"]).update, created_at=created)
    await come_due(event["generation_id"])
    server.script(_busy())
    get_runtime().spawn(uuid.UUID(event["generation_id"]))
    assert (await socket.until("generation.waiting"))["reason"] == "rate_limit"


async def test_who_stops_waiting_makes_room(
    waiting: tuple[Socket, uuid.UUID, dict[str, Any]],
    others: list[Conversation],
    alice_key: str,
    open_socket: OpenSocket,
) -> None:
    socket, turn_id, _ = waiting
    await socket.send("turn.stop", turn_id=turn_id)
    end = await socket.until_end()
    assert (end["type"], end["receipt"]["charged"]) == ("generation.stopped", False)
    next_one = await open_socket(others[2].pk, alice_key)
    await ask(next_one)
    assert (await next_one.until("generation.waiting"))["place"] == 1
    assert await in_database(LedgerEntry.objects.count) == 1


async def test_a_stop_during_a_short_wait_costs_nothing(
    waiting: tuple[Socket, uuid.UUID, dict[str, Any]],
    others: list[Conversation],
    alice_key: str,
    open_socket: OpenSocket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "LINGER_SECONDS", 200.0)
    socket = await open_socket(others[2].pk, alice_key)
    turn_id = await ask(socket)
    await socket.until("generation.started")
    await socket.send("turn.stop", turn_id=turn_id)
    end = await socket.until_end()
    assert end["type"] == "generation.stopped"
    assert await in_database(LedgerEntry.objects.count) == 1


async def test_questions_of_the_same_moment_are_told_times_in_their_order(
    server: ProviderServer,
    alice: User,
    alice_key: str,
    open_socket: OpenSocket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "LINGER_SECONDS", 0.0)
    chats = await in_database(lambda: [Conversation.objects.create(owner=alice) for _ in range(8)])
    sockets = [await open_socket(chat.pk, alice_key) for chat in chats]
    turns = [uuid.uuid4() for _ in chats]
    fields = {"text": "Hello", "model": MODEL, "max_output_tokens": 300}
    for socket, turn_id in zip(sockets, turns, strict=True):
        await socket.send("turn.create", turn_id=turn_id, **fields)
        if socket is sockets[0]:
            await socket.until_end()
    told = [await socket.until("generation.waiting") for socket in sockets[1:]]
    asked = await in_database(lambda: {str(row.pk): row.created_at for row in Generation.objects.all()})
    told.sort(key=lambda event: asked[event["generation_id"]])
    # With several database threads a later question may reach the gate first.
    assert all(event["place"] <= rank for rank, event in enumerate(told, start=1))
    if connection.vendor == "sqlite":
        assert [event["place"] for event in told] == [1, 2, 3, 4, 5, 6, 7]
        for earlier, later in itertools.pairwise(told):
            assert 60 < later["wait_seconds"] - earlier["wait_seconds"] < 70
    for socket, turn_id in zip(sockets[1:], turns[1:], strict=True):
        await socket.send("turn.stop", turn_id=turn_id)
        await socket.until_end()


async def test_a_short_wait_is_spent_in_place(
    server: ProviderServer, others: list[Conversation], alice_key: str, open_socket: OpenSocket
) -> None:
    await in_database(add_models, server.url, "0-5-0", requests_per_minute=60)
    sockets = [await open_socket(other.pk, alice_key) for other in others]
    for _ in range(2):
        for socket in sockets:
            await ask(socket)
            await socket.until_end()
    await ask(sockets[0])
    end = await sockets[0].until_end()
    assert end["type"] == "generation.completed"
    assert "generation.waiting" not in [event["type"] for event in sockets[0].events]
    assert end["receipt"]["first_token_ms"] < 1000  # the provider's time


def _busy() -> Reply:
    status, headers, body = OpenAIDialect().error("429", None)
    return Reply([Send(body)], status=status, headers=headers)


def queue_length() -> int:
    """Of all models together."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        return sum(int(client.zcard(key)) for key in client.scan_iter(f"{PREFIX}:*:queue"))


async def test_who_is_stopped_while_it_waits_in_place_keeps_no_place(
    server: ProviderServer,
    others: list[Conversation],
    alice_key: str,
    open_socket: OpenSocket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "LINGER_SECONDS", 600.0)
    first, second = [await open_socket(other.pk, alice_key) for other in others[:2]]
    await ask(first)
    await first.until_end()
    turn_id = await ask(second)
    await second.until("generation.started")
    async with asyncio.timeout(30):
        while not queue_length():
            await asyncio.sleep(0.01)
    await second.send("turn.stop", turn_id=turn_id)
    assert (await second.until_end())["type"] == "generation.stopped"
    async with asyncio.timeout(30):
        while queue_length():
            await asyncio.sleep(0.01)
    await assert_books_balance()


async def test_a_model_that_keeps_failing_is_left_alone_until_the_first_word_of_a_probe(
    server: ProviderServer,
    others: list[Conversation],
    alice_key: str,
    open_socket: OpenSocket,
    settings: Settings,
) -> None:
    settings.MAX_RETRIES, settings.FALLBACKS = 0, ["none"]
    await in_database(add_models, server.url, "0-5-0", "0-400-20", requests_per_minute=None)
    first, second, third = [await open_socket(other.pk, alice_key) for other in others]
    model = "openai:0-400-20"

    async def ask_for(socket: Socket, *ends: str) -> tuple[uuid.UUID, dict[str, Any]]:
        turn_id = uuid.uuid4()
        await socket.send("turn.create", turn_id=turn_id, text="Hello", model=model)
        return turn_id, await socket.until(*ends)

    codes: list[str] = []
    async with asyncio.timeout(30):
        # What came of a call is told after its end, so some after the tenth may still be made.
        while len(codes) < 10 or codes[-1] == "provider_error":
            server.scripts.clear()
            server.script(Reply(status=500))
            _, end = await ask_for(first, "generation.failed")
            codes.append(end["error"]["code"])
    assert codes[:10] == ["provider_error"] * 10
    assert (codes[-1], end["receipt"]["charged"]) == ("breaker_open", False)
    assert len(server.requests) == codes.count("provider_error")  # then nobody was asked
    server.scripts.clear()
    pass_time(10)
    probing, _ = await ask_for(second, "delta")
    # It is still being written, and the others may go again.
    await second.until("delta")
    other, _ = await ask_for(third, "delta")
    for socket, turn_id in ((second, probing), (third, other)):
        await socket.send("turn.stop", turn_id=turn_id)
        await socket.until_end()
    await assert_books_balance()
