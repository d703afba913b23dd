from __future__ import annotations

import asyncio

from channels.layers import get_channel_layer

IDLE_SECONDS = 7.0


async def test_an_idle_socket_still_hears_after_seven_seconds(redis_url: str) -> None:
    """A read time-out of the Redis client (5 s in its version 8) would end the consumer here."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("idle", channel)
    hearing = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(IDLE_SECONDS)
    assert not hearing.done()
    await layer.group_send("idle", {"type": "nudge"})
    async with asyncio.timeout(5):
        assert (await hearing)["type"] == "nudge"
    await layer.flush()
