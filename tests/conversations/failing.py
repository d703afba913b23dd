"""Models that fail at once or hear no cancellation, and how they are asked."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

from billing.prices import TierPrice, set_price
from conversations.database import in_database
from llm.stream import StreamEvent, TextDelta
from tests.conversations.conftest import Socket

DOWN = "demo:0-9-0!503"
GOOD = "demo:0-5-0"


async def ask(socket: Socket, model: str, text: str = "Hello", **fields: Any) -> uuid.UUID:
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text=text, model=model, **fields)
    return turn_id


async def price(model: str, usd: int) -> None:
    await in_database(set_price, model=model, tiers=[TierPrice(usd, usd)])


class Careless:
    """A model whose client takes cancellations for its own, ``deaf`` times, and goes on."""

    def __init__(self, deaf: int) -> None:
        self.deaf, self.heard = deaf, 0
        self.is_open = asyncio.Event()

    async def stream(self, request: object) -> AsyncIterator[StreamEvent]:
        yield TextDelta("a word")
        while True:
            try:
                self.is_open.set()
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.heard += 1
                if self.heard > self.deaf:
                    raise
