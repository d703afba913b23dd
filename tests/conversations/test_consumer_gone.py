"""A client that is gone while its frame is handled: its answer runs, and nothing of the socket is left."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import orjson
import pytest

from conversations import broadcast
from conversations.consumers import ConversationConsumer
from conversations.database import in_database
from conversations.models import Conversation, Generation, State
from conversations.runtime import get_runtime
from tests.conversations.conftest import OpenSocket

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_runs_the_answer_and_leaves_nothing_behind(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    accepted = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] != "websocket.accept":
            raise OSError("the client is gone")
        accepted.set()

    scope = {
        "type": "websocket",
        "headers": [(b"authorization", f"Bearer {alice_key}".encode())],
        "url_route": {"kwargs": {"conversation_id": conversation.pk}},
    }
    socket = asyncio.create_task(ConversationConsumer.as_asgi()(scope, inbox.get, send))
    inbox.put_nowait({"type": "websocket.connect"})
    await asyncio.wait_for(accepted.wait(), 10)
    frame = {"type": "turn.create", "turn_id": str(uuid.uuid4()), "text": "Hello", "model": "demo:0-5-0"}
    inbox.put_nowait({"type": "websocket.receive", "text": orjson.dumps(frame).decode()})
    inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await asyncio.wait_for(socket, 10)

    async with asyncio.timeout(10):
        while not await in_database(Generation.objects.filter(state=State.COMPLETED).exists):
            await asyncio.sleep(0.02)
    assert broadcast.conversation_topic(conversation.pk) not in broadcast._listeners
    assert not get_runtime().doorkeeper._watched
