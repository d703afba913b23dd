"""A conversation of alice's, a socket on it, and the end of the runtime after each test."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
import pytest_asyncio
import redis
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from pytest_django import Settings

from billing.books import check_books
from billing.models import Hold
from conversations.admission.gate import PREFIX
from conversations.database import close_database_threads, in_database
from conversations.models import ApiKey, Conversation, Generation, State, Turn
from conversations.runtime import shut_down
from tests.conversations.providers import KEY, KINDS, add_models
from tests.conversations.rest import Rest
from tests.fakes.provider_server import ProviderServer
from tests.listener import Listener, frame

EVENT_TIMEOUT_SECONDS = 10


@pytest.fixture(autouse=True)
def forgetful_gate() -> None:
    """What one test's faults taught the gate about a demo model must not meet the next."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        if keys := list(client.scan_iter(f"{PREFIX}:*")):
            client.delete(*keys)


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice)


@pytest.fixture
def alice_key(alice: User) -> str:
    return ApiKey.create(user=alice)[1]


class Socket(Listener):
    """A client's end of a WebSocket to the ASGI application of this process."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        super().__init__()
        self._communicator = communicator

    async def send(self, type_: str, **fields: Any) -> None:
        await self._communicator.send_to(text_data=frame(type_, **fields))

    async def send_raw(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            await self._communicator.send_to(bytes_data=data)
        else:
            await self._communicator.send_to(text_data=data)

    async def receive(self) -> dict[str, Any]:
        event: dict[str, Any] = orjson.loads(await self._communicator.receive_from(EVENT_TIMEOUT_SECONDS))
        self.events.append(event)
        return event

    async def closed_with(self) -> int:
        while True:
            output = await self._communicator.receive_output(EVENT_TIMEOUT_SECONDS)
            if output["type"] == "websocket.close":
                return int(output.get("code") or 1000)

    async def close(self) -> None:
        await self._communicator.disconnect()


OpenSocket = Callable[..., Any]


@pytest_asyncio.fixture
async def open_socket(transactional_db: None) -> AsyncIterator[OpenSocket]:
    """``await open_socket(conversation_id, secret)`` gives a connected :class:`Socket`."""
    from chatsite.asgi import application

    opened: list[Socket] = []

    async def connect(
        conversation_id: uuid.UUID, secret: str, headers: list[tuple[bytes, bytes]] | None = None
    ) -> Socket:
        bearer = [(b"authorization", f"Bearer {secret}".encode())] if secret else []
        communicator = WebsocketCommunicator(
            application, f"/ws/conversations/{conversation_id}/", headers=bearer + (headers or [])
        )
        accepted, _ = await communicator.connect(timeout=EVENT_TIMEOUT_SECONDS)
        if not accepted:
            raise ConnectionRefusedError
        opened.append(Socket(communicator))
        return opened[-1]

    yield connect
    for socket in opened:
        with contextlib.suppress(asyncio.CancelledError):  # a test that waited in vain has cancelled it
            await socket.close()
    await shut_down(seconds=0)
    close_database_threads()


@pytest_asyncio.fixture
async def rest(transactional_db: None, alice_key: str) -> AsyncIterator[Rest]:
    """REST requests of alice's program."""
    yield Rest(alice_key)
    await shut_down(seconds=0)
    # Middleware that is synchronous runs in a thread of its own.
    await sync_to_async(connections.close_all)()
    close_database_threads()


@pytest.fixture
def outsider(charlie: User) -> Rest:
    """REST requests of somebody who owns nothing here."""
    return Rest(ApiKey.create(user=charlie)[1])


async def refreshed(row: Any) -> Any:
    await in_database(row.refresh_from_db)
    return row


def written_elsewhere(conversation: Conversation) -> Turn:
    """A turn whose answer another process writes: it hears of a stop when it hears of it."""
    turn = Turn.objects.create(conversation=conversation, turn_id=uuid.uuid4(), text="Hello")
    turn.chosen = Generation.objects.create(
        conversation=conversation,
        turn=turn,
        model="demo:0-5-0",
        wanted_output_tokens=5,
        state=State.STREAMING,
        owner="elsewhere",
        epoch=1,
    )
    turn.save()
    return turn


@pytest.fixture
def no_patience(settings: Settings) -> None:
    """Retries are told elsewhere: here the first failure is the last."""
    settings.MAX_RETRIES = 0
    settings.FALLBACKS = ["model", "cached", "queue"]


@pytest_asyncio.fixture
async def books_balance(conversation: Conversation) -> AsyncIterator[None]:
    yield
    waiting = await in_database(
        lambda: set(Generation.objects.live().exclude(hold_id=None).values_list("hold_id", flat=True))
    )
    assert await in_database(lambda: set(Hold.objects.alive().values_list("pk", flat=True))) == waiting
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []


@pytest_asyncio.fixture
async def scripted_server(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None, settings: Settings
) -> AsyncIterator[ProviderServer]:
    """A provider over HTTP. Where no other model stands in, every failure is seen as it is."""
    settings.FALLBACKS = ["none"]
    for provider in KINDS:
        monkeypatch.setenv(f"{provider.upper()}_API_KEY", KEY)
    server = ProviderServer()
    await server.start()
    await in_database(add_models, server.url, "0-5-0")
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def scripted_socket(
    scripted_server: ProviderServer, conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> AsyncIterator[Socket]:
    """One on which the scripted provider is asked; at the end the books balance."""
    yield await open_socket(conversation.pk, alice_key)
    assert await in_database(Hold.objects.alive().count) == 0
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []
