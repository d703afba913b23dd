"""Events of other processes: a socket hears them, opens without them, and hears them again."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from pytest_django import Settings

from conversations import broadcast, ear, events
from conversations.broadcast import conversation_topic
from conversations.models import Conversation
from tests.chaos.relay import Relay
from tests.conversations.conftest import OpenSocket, Socket

pytestmark = pytest.mark.django_db(transaction=True)

NOWHERE = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ear, "JOIN_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(broadcast, "SILENCE_SECONDS", 0.05)


def use_layer(settings: Settings, address: str) -> None:
    backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": backend, "CONFIG": {"hosts": [f"redis://{address}/0"]}},
    }


async def hears(socket: Socket, other: RedisPubSubChannelLayer, conversation: Conversation) -> None:
    """What another process publishes arrives, sooner or later."""
    change = str(uuid.uuid4())
    event = events.conversation_updated(conversation.pk, change)
    message = {"type": "broadcast", "origin": "another process", "events": [event]}

    async def publish() -> None:
        while True:
            await other.group_send(conversation_topic(conversation.pk), message)
            await asyncio.sleep(0.05)

    publishing = asyncio.create_task(publish())
    while (await socket.until("conversation.updated"))["change"] != change:
        pass
    publishing.cancel()


async def test_a_socket_opens_and_answers_while_valkey_is_away_and_hears_when_it_is_back(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    there, where = settings.REDIS_URL.removeprefix("redis://").partition("/")[0], [NOWHERE]
    other = RedisPubSubChannelLayer(hosts=[f"redis://{there}/0"])
    async with Relay(lambda: where[0]) as relay:
        use_layer(settings, f"127.0.0.1:{relay.port}")
        socket = await open_socket(conversation.pk, alice_key)
        await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-5-0")
        assert (await socket.until_end())["type"] == "generation.completed"
        where[0] = there
        await hears(socket, other, conversation)
        await socket.close()
        await get_channel_layer().flush()
    await other.flush()


async def test_an_event_of_another_kind_makes_no_socket_deaf(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    other = RedisPubSubChannelLayer(hosts=[settings.REDIS_URL])
    socket = await open_socket(conversation.pk, alice_key)
    # As another release may send it.
    strange = {"type": "broadcast", "origin": "another process", "events": [{"type": "notice.started"}]}
    await other.group_send(conversation_topic(conversation.pk), strange)
    await hears(socket, other, conversation)
    await other.flush()
