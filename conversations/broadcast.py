"""Control events to every socket that shows a conversation or belongs to a person.

Sockets of this process are told directly and at once; those of other processes by the channel layer,
which may drop a message. So an event is only a nudge: what it says can be read from the database.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# Who sent a message: the sender's own sockets have it already.
PROCESS_ID = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

# Its connections have no time-out of their own, because they listen: one that accepts and does not answer
# must not hold up an answer or a socket.
CHANNEL_TIMEOUT_SECONDS = 1.0
# One that did not answer is left alone for so long, or each event would wait for it anew.
SILENCE_SECONDS = 3.0

Event = dict[str, Any]
Listener = Callable[[Event], None]

_silent_until = 0.0  # monotonic seconds
_is_asked = False  # whether it is there
_listeners: dict[str, set[Listener]] = defaultdict(set)


def conversation_topic(conversation_id: uuid.UUID) -> str:
    return f"conversation.{conversation_id.hex}"


def user_topic(user_id: int) -> str:
    return f"user.{user_id}"


def listen(topic: str, listener: Listener) -> None:
    _listeners[topic].add(listener)


def unlisten(topic: str, listener: Listener) -> None:
    listeners = _listeners.get(topic)
    if listeners is not None:
        listeners.discard(listener)
        if not listeners:
            del _listeners[topic]


async def publish(topic: str, *events: Event) -> None:
    """Tell the sockets of this process now and those of the others by the channel layer."""
    for listener in tuple(_listeners.get(topic, ())):
        for event in events:
            listener(event)
    await _send(topic, events, PROCESS_ID)


def publish_from_thread(topic: str, *events: Event) -> None:
    """The same from synchronous code: every process hears it by the channel layer, this one too."""
    async_to_sync(_send)(topic, events, "")


async def is_reachable() -> bool:
    """Whether the channel layer takes messages. Asked by one at a time, and not again at once: else no."""
    global _silent_until, _is_asked
    if _is_asked or time.monotonic() < _silent_until:
        return False
    _is_asked = True
    try:
        async with asyncio.timeout(CHANNEL_TIMEOUT_SECONDS):
            await get_channel_layer().group_send("nobody", {"type": "broadcast", "origin": "", "events": []})
    except (RedisError, OSError):
        _silent_until = time.monotonic() + SILENCE_SECONDS
        return False
    finally:
        _is_asked = False
    return True


async def _send(topic: str, events: Sequence[Event], origin: str) -> None:
    global _silent_until
    if not events or time.monotonic() < _silent_until:
        return
    layer = get_channel_layer()
    try:
        async with asyncio.timeout(CHANNEL_TIMEOUT_SECONDS):
            await layer.group_send(topic, {"type": "broadcast", "origin": origin, "events": list(events)})
    except (RedisError, OSError) as error:
        if isinstance(error, TimeoutError):
            _silent_until = time.monotonic() + SILENCE_SECONDS
        names = ", ".join(event["type"] for event in events)
        logger.warning("channel layer unavailable, not announced: %s (%s)", names, type(error).__name__)
