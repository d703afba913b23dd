"""A program that talks to a real server over a real WebSocket, with an API key."""

from __future__ import annotations

import asyncio
import uuid
from types import TracebackType
from typing import Any, Self

import orjson
from websockets.asyncio.client import ClientConnection, connect

TIMEOUT_SECONDS = 30.0
ENDS = tuple(f"generation.{end}" for end in ("completed", "stopped", "interrupted", "failed"))


class Client:
    """``async with Client(address, conversation_id, secret) as client``; keeps every event it receives."""

    def __init__(self, address: str, conversation_id: uuid.UUID, secret: str) -> None:
        self._url = f"ws://{address}/ws/conversations/{conversation_id}/"
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._socket: ClientConnection | None = None
        self.events: list[dict[str, Any]] = []

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
        frame = {key: str(value) if isinstance(value, uuid.UUID) else value for key, value in fields.items()}
        await self._socket.send(orjson.dumps({"type": type_, **frame}).decode())

    async def receive(self, timeout_seconds: float = TIMEOUT_SECONDS) -> dict[str, Any]:
        assert self._socket is not None
        async with asyncio.timeout(timeout_seconds):
            event: dict[str, Any] = orjson.loads(await self._socket.recv())
        self.events.append(event)
        return event

    async def until(self, *types: str) -> dict[str, Any]:
        while True:
            event = await self.receive()
            if event["type"] in types:
                return event

    async def until_seq(self, seq: int) -> dict[str, Any]:
        while True:
            event = await self.until("delta")
            if event["seq"] >= seq:
                return event

    async def until_change(self, change: str) -> dict[str, Any]:
        """Receive up to ``conversation.updated`` of this kind."""
        while True:
            event = await self.until("conversation.updated")
            if event["change"] == change:
                return event

    async def until_end(self) -> dict[str, Any]:
        return await self.until(*ENDS)

    def deltas(self, generation_id: str) -> list[tuple[int, str]]:
        return [
            (event["seq"], event["text"])
            for event in self.events
            if event["type"] == "delta" and event["generation_id"] == generation_id
        ]

    def text(self, generation_id: str) -> str:
        return "".join(text for _, text in self.deltas(generation_id))
