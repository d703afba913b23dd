"""A scripted provider in a process of its own: chat completions and Gemini's stream, over plain HTTP/1.1.

``python -m tests.bench.upstream --port 0`` prints its base address and serves until it is ended.
Every stream keeps an absolute schedule, so a late chunk does not delay the ones after it.
``GET /bench/requests`` lists what was asked and when each stream ended or was closed by its client.

Written on bare asyncio protocols: on few cores a framework here would take from what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import re
from dataclasses import asdict, dataclass
from typing import Any, cast

import orjson
import uvloop

from tests.bench.script import Script, now_us
from tests.bench.wire import SSE_HEAD, Asked, Dialect, GeminiAnswer, OpenAIAnswer, read_gemini, read_openai

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_GEMINI = re.compile(r"^/v1(?:beta|alpha)?/models/([^:/]+):streamGenerateContent\b")


@dataclass(slots=True)
class Request:
    """One generation asked of the upstream; times in microseconds of the shared clock."""

    stream: int
    model: str
    max_tokens: int | None
    arrived_us: int
    sent_tokens: int = 0
    finished_us: int | None = None
    closed_us: int | None = None  # the client went away before the end


class Playing:
    """One answer being played on one connection."""

    def __init__(self, http: Http, asked: Asked, dialect: Dialect, request: Request) -> None:
        self._http, self._asked, self._dialect, self.request = http, asked, dialect, request
        limit = asked.max_tokens if asked.max_tokens is not None else asked.script.tokens
        self._total = min(asked.script.tokens, limit)
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + asked.script.first_us / 1e6
        self._timer = self._loop.call_at(self._due, self._play)

    def _play(self) -> None:
        script, request = self._asked.script, self.request
        count = min(script.group, self._total - request.sent_tokens)
        text = script.chunk(request.sent_tokens + 1, count, now_us(), request.arrived_us)
        request.sent_tokens += count
        last = request.sent_tokens >= self._total
        data = self._dialect.chunk(text, last=last, sent=request.sent_tokens)
        if not last:
            self._http.transport.write(data)
            self._due += script.interval_us / 1e6
            self._timer = self._loop.call_at(self._due, self._play)
            return
        cut = self._total < script.tokens
        self._http.transport.write(data + self._dialect.ending(cut=cut, sent=request.sent_tokens))
        request.finished_us = now_us()
        self._http.playing = None
        self._http.next_request()

    def closed(self) -> None:
        self._timer.cancel()
        self.request.closed_us = now_us()


class Http(asyncio.Protocol):
    """As much of HTTP/1.1 as a client needs: keep-alive, bodies with a length, one request at a time."""

    transport: asyncio.Transport

    def __init__(self, requests: list[Request], default: Script) -> None:
        self._requests, self._default = requests, default
        self._buffer = b""
        self.playing: Playing | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.playing is not None:
            self.playing.closed()
            self.playing = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self.playing is None:
            self.next_request()

    def next_request(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[: end + 2]
        found = _LENGTH.search(head)
        length = int(found.group(1)) if found else 0
        if len(self._buffer) < end + 4 + length:
            return
        body = self._buffer[end + 4 : end + 4 + length]
        self._buffer = self._buffer[end + 4 + length :]
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        self._answer(method, target, body)

    def _answer(self, method: str, target: str, body: bytes) -> None:
        path = target.partition("?")[0]
        if method == "GET" and path == "/bench/requests":
            self._json(200, [asdict(request) for request in self._requests])
        elif method == "POST" and path.endswith("/chat/completions"):
            asked = read_openai(orjson.loads(body), self._default)
            if asked.stream:
                self._start(asked, OpenAIAnswer(asked))
            else:
                self._whole(asked)
        elif method == "POST" and (found := _GEMINI.match(path)):
            asked = read_gemini(orjson.loads(body), self._default, found.group(1))
            self._start(asked, GeminiAnswer(asked))
        else:
            self._json(404, {"error": {"message": f"no {method} {path} here", "code": 404}})

    def _start(self, asked: Asked, dialect: Dialect) -> None:
        request = Request(asked.script.stream, asked.model, asked.max_tokens, now_us())
        self._requests.append(request)
        self.transport.write(SSE_HEAD)
        self.playing = Playing(self, asked, dialect, request)

    def _whole(self, asked: Asked) -> None:
        given = asked.input_tokens
        message = {"role": "assistant", "content": "Counting"}
        self._json(
            200,
            {
                "id": "chatcmpl-whole",
                "object": "chat.completion",
                "model": asked.model,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": given, "completion_tokens": 1, "total_tokens": given + 1},
            },
        )

    def _json(self, status: int, value: Any) -> None:
        body = orjson.dumps(value)
        self.transport.write(
            b"HTTP/1.1 %d Answer\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % (status, len(body))
            + body
        )


async def serve(port: int, default: Script) -> None:
    requests: list[Request] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Http(requests, default), "127.0.0.1", port, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    gc.freeze()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=200, help="for questions without a script")
    parser.add_argument("--interval-ms", type=float, default=20.0)
    parser.add_argument("--first-ms", type=float, default=50.0)
    given = parser.parse_args()
    default = Script(0, given.tokens, int(given.interval_ms * 1000), int(given.first_ms * 1000))
    uvloop.run(serve(given.port, default))


if __name__ == "__main__":
    main()
