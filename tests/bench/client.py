"""The load generator: many WebSockets in one process of its own, light enough not to be what is measured.

Spoken to over its standard streams, one JSON value a line: it reads a plan, opens every socket and says
``ready``; reads ``{"start_us": ...}``, plays the plan and prints the result. Nothing is analysed before the
last socket is done. The result carries the client's own CPU and the lag of its event loop.

Plan: ``{"url", "timeout_seconds", "sockets": [{"path", "key", "start_us", "turns": [{"model", "script",
"stop_after_us"?}]}], "requests": [{"rest", "key", "start_us", "turns"}]}``; ``start_us`` counts from the
common start, ``script`` holds the fields of a Script. Sockets play over ``path``, requests over ``rest``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import sys
import time
import uuid
from dataclasses import asdict
from typing import Any

import aiohttp
import orjson
import uvloop

from tests.bench.outcome import ENDS, Outcome, judge
from tests.bench.requests import Requester
from tests.bench.script import Script, now_us

Events = list[tuple[int, dict[str, Any]]]


class Socket:
    """One conversation's socket and the turns it plays, one after another."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._played: list[tuple[Script, int, list[int], Events]] = []

    async def open(self, session: aiohttp.ClientSession, url: str) -> None:
        key = self._plan.get("key")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._ws = await session.ws_connect(url + self._plan["path"], headers=headers, max_msg_size=0)

    async def play(self, start_us: int, timeout_seconds: float) -> None:
        await asyncio.sleep((start_us + self._plan["start_us"] - now_us()) / 1e6)
        for turn in self._plan["turns"]:
            if not await self._play_turn(turn, timeout_seconds):
                return

    async def _play_turn(self, turn: dict[str, Any], timeout_seconds: float) -> bool:
        assert self._ws is not None
        script = Script(**turn["script"])
        turn_id = str(uuid.uuid4())
        frame = {"type": "turn.create", "turn_id": turn_id, "text": script.question(), "model": turn["model"]}
        events: Events = []
        stops: list[int] = []
        asked_us = now_us()
        self._played.append((script, asked_us, stops, events))
        await self._ws.send_str(orjson.dumps(frame).decode())
        stopper = None
        if (stop_after_us := turn.get("stop_after_us")) is not None:
            stopper = asyncio.create_task(self._stop(turn_id, stop_after_us, stops))
        try:
            async with asyncio.timeout(script.duration_seconds + timeout_seconds):
                return await self._receive(events)
        except TimeoutError:
            events.append((now_us(), {"type": "timeout"}))
            return False
        finally:
            if stopper is not None:
                stopper.cancel()

    async def _receive(self, events: Events) -> bool:
        """Events until one ends the turn; False when the socket is gone."""
        assert self._ws is not None
        while True:
            message = await self._ws.receive()
            received_us = now_us()
            if message.type is not aiohttp.WSMsgType.TEXT:
                events.append((received_us, {"type": "closed", "detail": f"{self._ws.close_code}"}))
                return False
            event = orjson.loads(message.data)
            events.append((received_us, event))
            if event["type"] in ENDS:
                return True

    async def _stop(self, turn_id: str, after_us: int, stops: list[int]) -> None:
        assert self._ws is not None
        await asyncio.sleep(after_us / 1e6)
        stops.append(now_us())
        await self._ws.send_str(orjson.dumps({"type": "turn.stop", "turn_id": turn_id}).decode())

    def outcomes(self) -> list[Outcome]:
        return [
            judge(script.stream, script.tokens, asked_us, stops[0] if stops else None, events)
            for script, asked_us, stops, events in self._played
        ]

    async def close(self) -> None:
        if self._ws is not None:
            with contextlib.suppress(Exception):
                await self._ws.close()


async def watch_lag(lags: list[int]) -> None:
    """How late this process' own loop is, every 10 ms or so: it is in every figure."""
    while True:
        due = now_us() + 10_000
        await asyncio.sleep(0.010)
        lags.append(max(0, now_us() - due))


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    sockets = [Socket(each) for each in plan["sockets"]]
    requesters = [Requester(each) for each in plan["requests"]]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        opened = random.Random(1).sample(sockets, len(sockets))
        for i in range(0, len(opened), 10):
            await asyncio.gather(*(socket.open(session, plan["url"]) for socket in opened[i : i + 10]))
        gc.collect()
        gc.disable()
        say("ready")
        start_us = (await hear())["start_us"]
        lags: list[int] = []
        watcher = asyncio.create_task(watch_lag(lags))
        cpu_seconds = time.process_time()
        await asyncio.gather(
            *(socket.play(start_us, plan["timeout_seconds"]) for socket in sockets),
            *(
                requester.play(session, plan["http_url"], start_us, plan["timeout_seconds"])
                for requester in requesters
            ),
        )
        cpu_seconds = time.process_time() - cpu_seconds
        watcher.cancel()
        outcomes = [outcome for socket in sockets for outcome in socket.outcomes()]
        await asyncio.gather(*(socket.close() for socket in sockets))
    return {
        "cpu_seconds": cpu_seconds,
        "lags_us": lags,
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "answered": [asdict(each) for requester in requesters for each in requester.answered],
    }


def say(value: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
    sys.stdout.buffer.flush()


async def hear() -> Any:
    line = await asyncio.to_thread(sys.stdin.buffer.readline)
    if not line:
        raise SystemExit("the orchestrator went away")
    return orjson.loads(line)


async def main() -> None:
    say(await run(await hear()))


if __name__ == "__main__":
    uvloop.run(main())
