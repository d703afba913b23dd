"""A line with a long round trip, in a process of its own: every byte arrives so much later, none is lost.

``python -m tests.bench.delay_proxy PORT ROUND_TRIP_MS`` prints its own port. Browsers cannot slow down a
WebSocket by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

PIECE_BYTES = 65_536


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float) -> None:
    """One direction: read at once, write ``delay_seconds`` after it was read."""
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, data = await on_the_way.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    delivery = asyncio.create_task(deliver())
    with contextlib.suppress(ConnectionError):
        while True:
            data = await reader.read(PIECE_BYTES)
            on_the_way.put_nowait((loop.time() + delay_seconds, data))
            if not data:
                break
    with contextlib.suppress(ConnectionError):
        await delivery


async def main(port: int, round_trip_ms: float) -> None:
    delay_seconds = round_trip_ms / 2000

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            _carry(reader, onward_writer, delay_seconds), _carry(onward_reader, writer, delay_seconds)
        )

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
