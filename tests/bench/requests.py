"""Requests for whole answers over REST, as the load generator sends them beside its sockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from tests.bench.script import Script, StampReader, now_us


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: when it was sent, how long its answer took, what was wrong with it ("": nothing)."""

    asked_us: int
    took_us: int
    fault: str = ""


class Requester:
    """A person's program: it asks, reads the whole answer and asks again."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self.answered: list[Answered] = []

    async def play(
        self, session: aiohttp.ClientSession, url: str, start_us: int, timeout_seconds: float
    ) -> None:
        await asyncio.sleep((start_us + self._plan["start_us"] - now_us()) / 1e6)
        headers = {"Authorization": f"Bearer {self._plan['key']}", "Content-Type": "application/json"}
        for turn in self._plan["turns"]:
            script = Script(**turn["script"])
            body = orjson.dumps({"text": script.question(), "model": turn["model"]})
            asked_us = now_us()
            try:
                async with (
                    asyncio.timeout(timeout_seconds),
                    session.post(url + self._plan["rest"], data=body, headers=headers) as response,
                ):
                    fault = _fault(script, response.status, await response.read())
            except (TimeoutError, aiohttp.ClientError) as error:
                fault = type(error).__name__
            self.answered.append(Answered(asked_us, now_us() - asked_us, fault))


def _fault(script: Script, status: int, body: bytes) -> str:
    if status != 200:
        return f"status {status}"
    answer = orjson.loads(body)
    if answer["state"] != "completed":
        return str(answer["state"])
    stamps = StampReader().feed(answer["text"] + " ")
    whole = [stamp.number for stamp in stamps] == list(range(1, script.tokens + 1))
    return "" if whole and {stamp.stream for stamp in stamps} == {script.stream} else "another text"
