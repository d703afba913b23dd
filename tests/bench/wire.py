"""The two dialects of the scripted upstream: what a request asks for, and the bytes of the answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from tests.bench.script import Script


@dataclass(frozen=True, slots=True)
class Asked:
    """A request reduced to what the upstream needs."""

    script: Script
    model: str
    max_tokens: int | None
    include_usage: bool
    stream: bool
    input_tokens: int


def _input_tokens(text: str) -> int:
    # A plain, low figure that any estimator stays above; the benchmark judges times, not this number.
    return max(1, len(text) // 8)


def read_openai(body: dict[str, Any], default: Script) -> Asked:
    texts = [_text_of(message.get("content")) for message in body["messages"]]
    options = body.get("stream_options") or {}
    return Asked(
        script=Script.find(texts[-1]) or default,
        model=str(body.get("model", "")),
        max_tokens=body.get("max_tokens") or body.get("max_completion_tokens"),
        include_usage=bool(options.get("include_usage")),
        stream=bool(body.get("stream")),
        input_tokens=_input_tokens("".join(texts)),
    )


def read_gemini(body: dict[str, Any], default: Script, model: str) -> Asked:
    texts = ["".join(str(part.get("text", "")) for part in item["parts"]) for item in body["contents"]]
    config = body.get("generationConfig") or {}
    return Asked(
        script=Script.find(texts[-1]) or default,
        model=model,
        max_tokens=config.get("maxOutputTokens"),
        include_usage=True,
        stream=True,
        input_tokens=_input_tokens("".join(texts)),
    )


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _framed(data: bytes) -> bytes:
    """``data`` as one chunk of a chunked HTTP/1.1 body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


class Dialect(Protocol):
    """Bytes of one answer; built once a stream, so that a chunk costs one format and one concatenation."""

    def chunk(self, text: str, *, last: bool, sent: int) -> bytes: ...
    def ending(self, *, cut: bool, sent: int) -> bytes: ...


class OpenAIAnswer:
    def __init__(self, asked: Asked) -> None:
        base = {
            "id": f"chatcmpl-{asked.script.stream}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": asked.model,
        }
        self._asked = asked
        self._head = b"data: " + orjson.dumps(base)[:-1]
        self._first = True

    def _event(self, rest: bytes) -> bytes:
        return _framed(self._head + b"," + rest + b"}\n\n")

    def chunk(self, text: str, *, last: bool, sent: int) -> bytes:
        role = b""
        if self._first:
            self._first = False
            role = self._event(
                b'"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]'
            )
        # The stamps are ASCII without quotes: they are JSON as they stand.
        return role + self._event(
            b'"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]' % text.encode()
        )

    def ending(self, *, cut: bool, sent: int) -> bytes:
        reason = b"length" if cut else b"stop"
        out = self._event(b'"choices":[{"index":0,"delta":{},"finish_reason":"%b"}]' % reason)
        if self._asked.include_usage:
            given = self._asked.input_tokens
            out += self._event(
                b'"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}'
                % (given, sent, given + sent)
            )
        return out + _framed(b"data: [DONE]\n\n") + LAST_CHUNK


class GeminiAnswer:
    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._tail = b'"modelVersion":%b,"responseId":"bench-%d"}\r\n\r\n' % (
            orjson.dumps(asked.model),
            asked.script.stream,
        )

    def chunk(self, text: str, *, last: bool, sent: int) -> bytes:
        given = self._asked.input_tokens
        finish = b""
        output = b""
        if last:
            cut = sent < self._asked.script.tokens
            finish = b',"finishReason":"%b"' % (b"MAX_TOKENS" if cut else b"STOP")
            output = b',"candidatesTokenCount":%d' % sent
        return _framed(
            b'data: {"candidates":[{"content":{"parts":[{"text":"%b"}],"role":"model"}%b,"index":0}],'
            b'"usageMetadata":{"promptTokenCount":%d%b,"totalTokenCount":%d,'
            b'"promptTokensDetails":[{"modality":"TEXT","tokenCount":%d}]},%b'
            % (text.encode(), finish, given, output, given + (sent if last else 0), given, self._tail)
        )

    def ending(self, *, cut: bool, sent: int) -> bytes:
        return LAST_CHUNK
