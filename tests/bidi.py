"""Stands between Playwright and a stock Firefox, and answers one command that a Firefox may not know.

Playwright starts this in the place of Firefox. Before each page it tells the browser which media features to
emulate, also when there are none, and gives up where the browser does not know that command. Such a command
that asks for nothing is answered with success; one that asks for something fails as it should.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
EMULATES = "emulation.setMediaFeaturesOverride"
# Bodies of answers come in one message, in base64.
OPTIONS: dict[str, Any] = {"max_size": None, "ping_interval": None, "compression": None}


class PassThrough:
    """All messages of one session, in both directions."""

    def __init__(self, driver: ServerConnection, firefox: ClientConnection) -> None:
        self._driver = driver
        self._firefox = firefox
        self._empty: set[int] = set()

    async def run(self) -> None:
        """Until either side closes."""
        both = [asyncio.ensure_future(one) for one in (self._commands(), self._replies())]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(self._driver.close(), self._firefox.close())
        await asyncio.gather(*both, return_exceptions=True)

    async def _commands(self) -> None:
        async for text in self._driver:
            if EMULATES in str(text):
                command = json.loads(text)
                if asks_for_nothing(command):
                    self._empty.add(command["id"])
            await self._firefox.send(text)

    async def _replies(self) -> None:
        async for text in self._firefox:
            if self._empty and '"unknown command"' in str(text):
                reply = json.loads(text)
                if reply.get("error") == "unknown command" and reply["id"] in self._empty:
                    text = json.dumps({"type": "success", "id": reply["id"], "result": {}})
            await self._driver.send(text)


def asks_for_nothing(command: dict[str, Any]) -> bool:
    """Whether it is about media features and names none with a value."""
    if command["method"] != EMULATES:
        return False
    return all(value is None for value in command["params"]["features"].values())


async def run(program: str, arguments: list[str]) -> int:
    """Start Firefox, say where this listens in its words, and end with it."""
    firefox = await asyncio.create_subprocess_exec(program, *arguments, stderr=asyncio.subprocess.PIPE)
    assert firefox.stderr is not None
    address = ""

    async def session(driver: ServerConnection) -> None:
        assert driver.request is not None
        async with connect(f"{address}{driver.request.path}", **OPTIONS) as there:
            await PassThrough(driver, there).run()

    async with serve(session, "127.0.0.1", 0, **OPTIONS) as server:
        port = server.sockets[0].getsockname()[1]
        async for line in firefox.stderr:
            if found := LISTENING.search(line):
                address = found[1].decode()
                line = line.replace(found[1], f"ws://127.0.0.1:{port}".encode())
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
        return await firefox.wait()


def write_starter(folder: Path, program: str) -> Path:
    """A program for Playwright that starts the Firefox at ``program`` with this between the two."""
    starter = folder / "firefox"
    starter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "{program}" "$@"\n')
    starter.chmod(0o755)
    return starter


if __name__ == "__main__":
    sys.exit(asyncio.run(run(sys.argv[1], sys.argv[2:])))
