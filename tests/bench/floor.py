"""The floor: the least a relay can do for the same frames on the wire, with nothing kept and nobody counted.

A bare ASGI application under uvicorn, uvloop and websockets-sansio: a question comes in on a WebSocket,
goes to the upstream over aiohttp, and each token of the SSE answer leaves as one JSON ``delta`` frame.
``BENCH_UPSTREAM`` is the upstream's base address. No database, no log, no sign-in, no stop.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import orjson

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_session: aiohttp.ClientSession | None = None


async def application(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _socket(receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    global _session
    await receive()
    _session = aiohttp.ClientSession(
        os.environ["BENCH_UPSTREAM"],
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
    )
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _session.close()
    await send({"type": "lifespan.shutdown.complete"})


async def _socket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        frame = orjson.loads(message["text"])
        await _relay(frame, send)


async def _relay(frame: dict[str, Any], send: Send) -> None:
    assert _session is not None
    generation_id = frame["turn_id"]

    async def emit(event: dict[str, Any]) -> None:
        await send({"type": "websocket.send", "text": orjson.dumps(event).decode()})

    await emit({"type": "turn.accepted", "turn_id": frame["turn_id"], "generation_id": generation_id})
    body = {
        "model": frame["model"],
        "messages": [{"role": "user", "content": frame["text"]}],
        "max_tokens": 4096,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    texts: list[str] = []
    seq = 0
    async with _session.post("/v1/chat/completions", json=body) as response:
        rest = b""
        async for data in response.content.iter_any():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if not line.startswith(b"data: {"):
                    continue
                choices = orjson.loads(line[6:])["choices"]
                text = choices[0]["delta"].get("content") if choices else None
                if text:
                    seq += 1
                    texts.append(text)
                    await emit({"type": "delta", "generation_id": generation_id, "seq": seq, "text": text})
    end = {"type": "generation.completed", "generation_id": generation_id, "seq": seq, "text": "".join(texts)}
    await emit(end)
