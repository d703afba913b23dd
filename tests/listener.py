"""What every client of a conversation's socket does with the events that it receives."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from typing import Any

import orjson

ENDS = tuple(f"generation.{end}" for end in ("completed", "stopped", "interrupted", "failed"))


def frame(type_: str, **fields: Any) -> str:
    """A frame as clients send it; ids may be given as they are."""
    sent = {key: str(value) if isinstance(value, uuid.UUID) else value for key, value in fields.items()}
    return orjson.dumps({"type": type_, **sent}).decode()


class Listener(ABC):
    """Keeps every event that ``receive`` gives."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    @abstractmethod
    async def receive(self) -> dict[str, Any]:
        """The next event, kept in ``events`` too."""

    async def until(self, *types: str) -> dict[str, Any]:
        """Receive up to the first event of one of these types."""
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
