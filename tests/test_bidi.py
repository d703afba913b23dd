"""Between Playwright and Firefox: only a command that asks for nothing is answered in Firefox's place."""

from __future__ import annotations

import json
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.bidi import EMULATES, OPTIONS, PassThrough


async def ask(*commands: dict[str, Any]) -> list[dict[str, Any]]:
    """The replies to these by a Firefox that knows none of them."""

    async def firefox(line: ServerConnection) -> None:
        async for text in line:
            number = json.loads(text)["id"]
            await line.send(json.dumps({"type": "error", "id": number, "error": "unknown command"}))

    async with serve(firefox, "127.0.0.1", 0) as there:

        async def session(line: ServerConnection) -> None:
            async with connect(f"ws://127.0.0.1:{there.sockets[0].getsockname()[1]}", **OPTIONS) as to:
                await PassThrough(line, to).run()

        async with serve(session, "127.0.0.1", 0, **OPTIONS) as here:
            port = here.sockets[0].getsockname()[1]
            driver = await connect(f"ws://127.0.0.1:{port}")
            for number, command in enumerate(commands):
                await driver.send(json.dumps({"id": number, **command}))
            replies = [json.loads(await driver.recv()) for _ in commands]
            await driver.close()
            return replies


async def test_it_answers_in_the_place_of_firefox_only_where_nothing_is_asked_for() -> None:
    replies = await ask(
        {"method": EMULATES, "params": {"features": {}}},
        {"method": EMULATES, "params": {"features": {"prefers-color-scheme": None}}},
        {"method": EMULATES, "params": {"features": {"prefers-color-scheme": "dark"}}},
        {"method": "emulation.setSomethingElse", "params": {"name": EMULATES}},
    )
    assert [reply["type"] for reply in replies] == ["success", "success", "error", "error"]
    assert replies[0] == {"type": "success", "id": 0, "result": {}}
