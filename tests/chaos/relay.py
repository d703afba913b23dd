"""What stands between a browser and the site: passes bytes on to a web server that is there, and breaks.

The page keeps one address while web servers come and go behind it, as behind a proxy.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

CHUNK_BYTES = 65_536
KEPT = 20


class Relay:
    """``async with Relay(address) as relay``: listens on ``relay.port``.

    ``address`` is asked for a server before each connection.
    """

    def __init__(self, address: Callable[[], str]) -> None:
        self._address = address
        self._links: set[_Link] = set()
        self.port = 0
        # The last connections: when they came to their end, and how.
        self.log: deque[tuple[float, str]] = deque(maxlen=KEPT)

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection, as a lost network does."""
        for link in tuple(self._links):
            link.abort()

    def mute(self) -> None:
        """Pass nothing on any more and say nothing either; new connections are not concerned."""
        for link in self._links:
            link.mute = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._address().rpartition(":")
        try:
            upstream, back = await asyncio.open_connection(host, int(port))
        except OSError as error:
            self.log.append((time.monotonic(), f"no server at {host}:{port}: {error}"))
            writer.transport.abort()
            return
        link = _Link(writer, back)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(link.pump(reader, back))
                group.create_task(link.pump(upstream, writer))
        except* OSError:
            link.abort()
        finally:
            self._links.discard(link)
            told = ", muted" if link.mute else ""
            self.log.append((time.monotonic(), f"a connection to {host}:{port} has ended{told}"))


class _Link:
    """One connection and its continuation."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self.mute = False

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if not self.mute:
                writer.write(data)
                await writer.drain()
        # Whoever closes one half ends the whole: nobody here sends on after that.
        for end in self._writers:
            end.close()
