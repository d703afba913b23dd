"""A small HTTP/1.1 server whose answers are scripts: which bytes, when, and how it ends."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass(eq=False)
class RecordedRequest:
    """A request as it arrived; ``closed`` is set when the client's connection is gone."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    arrived_at: float  # of the event loop's clock
    arrived_unix: float = field(default_factory=time.time)
    status: int = 0  # of the reply; 0 while there is none
    reply_headers: dict[str, str] = field(default_factory=dict)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    closed_at: float | None = None
    finished: bool = False  # the answer was sent to its end

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


# --- What an answer may do, step by step ---------------------------------------


@dataclass(frozen=True)
class Send:
    data: bytes


@dataclass(frozen=True)
class At:
    """Wait until so many seconds after the request arrived."""

    seconds: float


@dataclass(frozen=True)
class WaitFor:
    event: asyncio.Event


@dataclass(frozen=True)
class Stall:
    """Nothing more, until the client goes."""


@dataclass(frozen=True)
class Reset:
    """The connection is lost: a TCP reset."""


@dataclass(frozen=True)
class Close:
    """The connection is closed in order, but before the body's end."""


Step = Send | At | WaitFor | Stall | Reset | Close


@dataclass(frozen=True)
class Reply:
    steps: Iterable[Step] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})
    before_headers: Iterable[Step] = ()


Handler = Callable[[RecordedRequest], Awaitable[Reply]]

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


class HttpServer:
    """Listens on a free port of the loopback; ``handler`` chooses the reply."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[RecordedRequest] = []
        self.arrived = asyncio.Condition()
        self.connections: set[_Connection] = set()
        self.connection_count = 0
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, backlog=1024)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = [connection.task for connection in self.connections if connection.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_for_request(self, count: int = 1) -> RecordedRequest:
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def record(self, request: RecordedRequest) -> None:
        self.requests.append(request)
        async with self.arrived:
            self.arrived.notify_all()


class _Connection(asyncio.Protocol):
    """One client. What it sends is kept, so that its going is seen while an answer is played."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.task: asyncio.Task[None] | None = None
        self._received = bytearray()
        self._more = asyncio.Event()
        self._gone = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._request: RecordedRequest | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.connections.add(self)
        self.server.connection_count += 1
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._more.set()

    def eof_received(self) -> None:
        self._leave()

    def connection_lost(self, error: Exception | None) -> None:
        self.server.connections.discard(self)
        self._leave()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _leave(self) -> None:
        self._gone = True
        self._more.set()
        self._writable.set()
        if self._request is not None and self._request.closed_at is None:
            self._request.closed_at = time.time()
            self._request.closed.set()

    async def _serve(self) -> None:
        try:
            while not self._gone:
                request = await self._read_request()
                if request is None:
                    return
                self._request = request
                await self.server.record(request)
                if not await self._play(request):
                    return
        finally:
            self.transport.close()

    async def _play(self, request: RecordedRequest) -> bool:
        """Whether the whole answer was sent and the connection may serve again."""
        reply = await self.server.handler(request)
        request.status, request.reply_headers = reply.status, reply.headers
        if not await self._run(reply.before_headers, request, chunked=False):
            return False
        head = [f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Status')}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        head += ["Transfer-Encoding: chunked", "", ""]
        self.transport.write("\r\n".join(head).encode("latin-1"))
        if not await self._run(reply.steps, request, chunked=True):
            return False
        self.transport.write(b"0\r\n\r\n")
        request.finished = True
        return True

    async def _run(self, steps: Iterable[Step], request: RecordedRequest, *, chunked: bool) -> bool:
        """Whether all steps were played and the body may go on."""
        for step in steps:
            if self._gone:
                return False
            match step:
                case Send(data):
                    self.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
                    await self._writable.wait()
                case At(seconds):
                    delay = request.arrived_at + seconds - asyncio.get_running_loop().time()
                    await asyncio.sleep(max(0.0, delay))
                case WaitFor(event):
                    await event.wait()
                case Stall():
                    await request.closed.wait()
                case Reset():
                    linger = struct.pack("ii", 1, 0)
                    self.transport.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, linger
                    )
                    self.transport.abort()
                case Close():
                    self._gone = True
        return not self._gone

    async def _read_request(self) -> RecordedRequest | None:
        while b"\r\n\r\n" not in self._received:
            if not await self._receive():
                return None
        head, _, _ = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        start, length = len(head) + 4, int(headers.get("content-length", "0"))
        while len(self._received) < start + length:
            if not await self._receive():
                return None
        body = bytes(self._received[start : start + length])
        del self._received[: start + length]
        return RecordedRequest(method, target, headers, body, asyncio.get_running_loop().time())

    async def _receive(self) -> bool:
        """Wait for more bytes; False once the client is gone."""
        if self._gone:
            return False
        self._more.clear()
        await self._more.wait()
        return not self._gone
