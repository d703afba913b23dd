"""Models that fail at once, and how they are asked."""

from __future__ import annotations

import uuid
from typing import Any

from billing.prices import TierPrice, set_price
from conversations.database import in_database
from tests.conversations.conftest import Socket

DOWN = "demo:0-9-0!503"
GOOD = "demo:0-5-0"


async def ask(socket: Socket, model: str, text: str = "Hello", **fields: Any) -> uuid.UUID:
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text=text, model=model, **fields)
    return turn_id


async def price(model: str, usd: int) -> None:
    await in_database(set_price, model=model, tiers=[TierPrice(usd, usd)])
