"""A program that talks to a real server over a real WebSocket, with an API key."""

from __future__ import annotations

import asyncio
import uuid
from types import TracebackType
from typing import Any, Self

import orjson
from websockets.asyncio.client import ClientConnection, connect

from tests.listener import Listener, frame

TIMEOUT_SECONDS = 30.0


class Client(Listener):
    """``async with Client(address, conversation_id, secret) as client``; keeps every event it receives."""

    def __init__(self, address: str, conversation_id: uuid.UUID, secret: str) -> None:
        super().__init__()
        self._url = f"ws://{address}/ws/conversations/{conversation_id}/"
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        self._socket = await connect(
            self._url, additional_headers=self._headers, max_size=None, compression=None
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._socket is not None
        await self._socket.close()

    async def send(self, type_: str, **fields: Any) -> None:
        assert self._socket is not None
        await self._socket.send(frame(type_, **fields))

    async def receive(self, timeout_seconds: float = TIMEOUT_SECONDS) -> dict[str, Any]:
        assert self._socket is not None
        async with asyncio.timeout(timeout_seconds):
            event: dict[str, Any] = orjson.loads(await self._socket.recv())
        self.events.append(event)
        return event
