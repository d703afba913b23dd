"""OpenAI's chat completions and the many servers that speak like them.

No vendor SDK: one aiohttp session, an event-stream parser and orjson, because this is
the path that every token of every answer takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from llm.errors import ConnectionFailed, LLMError, ProviderError
from llm.messages import ChatRequest
from llm.profiles import Profile
from llm.providers.base import CONNECT_TIMEOUT_SECONDS, asks_environment
from llm.providers.openai_chunks import CompletionReader
from llm.providers.openai_errors import error_from_response
from llm.providers.sse import EventStreamParser, EventTooLarge
from llm.stream import StreamEvent, TextDelta

DEFAULT_BASE_URL = "https://api.openai.com/v1"
ERROR_BODY_BYTES = 65_536
ANSWER_BODY_BYTES = 16 * 1024 * 1024
END_OF_STREAM_SECONDS = 0.05
KEEPALIVE_SECONDS = 30.0


class OpenAICompatibleProvider:
    def __init__(self, profile: Profile, api_key: str = "") -> None:
        self.profile = profile
        self.api_key = api_key
        base_url = (profile.provider.base_url or DEFAULT_BASE_URL).rstrip("/")
        self.url = f"{base_url}/chat/completions"
        self._session: aiohttp.ClientSession | None = None

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]:
        reader = CompletionReader()
        async with self._post(request) as response:
            streamed = self.profile.streams and response.content_type != "application/json"
            pieces = _events(response) if streamed else _whole(response)
            async for payloads in pieces:
                if len(payloads) == 1:
                    for event in reader.read(payloads[0]):
                        yield event
                    continue
                # What arrived together goes on together: neighbouring pieces are one delta.
                text, failure = "", None
                for payload in payloads:
                    try:
                        events = reader.read(payload)
                    except LLMError as error:
                        failure = error
                        break
                    for event in events:
                        if type(event) is TextDelta:
                            text += event.text
                            continue
                        if text:
                            yield TextDelta(text)
                            text = ""
                        yield event
                if text:
                    yield TextDelta(text)
                if failure is not None:
                    raise failure
            for event in reader.finish():
                yield event

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def body(self, request: ChatRequest) -> dict[str, Any]:
        messages = [{"role": message.role, "content": message.text} for message in request.messages]
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        body: dict[str, Any] = {
            "model": request.model,
            "messages": messages,
            self.profile.max_tokens_parameter: request.max_output_tokens,
        }
        if request.temperature is not None and self.profile.takes_temperature:
            body["temperature"] = request.temperature
        if request.think_less and self.profile.thinking:
            body["reasoning_effort"] = "low"
        if self.profile.streams:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return body

    @asynccontextmanager
    async def _post(self, request: ChatRequest) -> AsyncIterator[aiohttp.ClientResponse]:
        """The open answer to a request; every failure leaves as an LLMError.

        The connection is closed unless the answer was read to its end, so leaving
        early, by cancellation too, stops the provider.
        """
        try:
            async with self._open_session().post(
                self.url, data=orjson.dumps(self.body(request)), allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise await self._refusal(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectionFailed(f"{type(error).__name__}: {error}") from error

    async def _refusal(self, response: aiohttp.ClientResponse) -> LLMError:
        body = await response.content.read(ERROR_BODY_BYTES)
        if self.api_key:
            body = body.replace(self.api_key.encode(), b"[key]")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return error_from_response(response.status, headers, body)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {
                "Content-Type": "application/json",
                "Accept": "text/event-stream, application/json",
                # A compressed stream would come in bursts.
                "Accept-Encoding": "identity",
                "User-Agent": "chatsite",
            }
            if self.api_key:
                headers["Authorization"] = f"Bearer {self.api_key}"
            self._session = aiohttp.ClientSession(
                headers=headers,
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=60
                ),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=asks_environment(),
            )
        return self._session


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[list[bytes]]:
    """The data of events, as many together as arrived together, up to ``[DONE]``."""
    parser = EventStreamParser()
    try:
        while chunk := await response.content.readany():
            payloads = parser.feed(chunk)
            if b"[DONE]" in payloads:
                yield payloads[: payloads.index(b"[DONE]")]
                await _drain(response)
                return
            if payloads:
                yield payloads
    except EventTooLarge as error:
        raise ProviderError("an event of the stream is too large") from error
    except aiohttp.ClientError:
        payloads = parser.feed(_left_behind(response.content))
        if payloads:
            yield payloads
        raise
    last = parser.close()
    if last and last != [b"[DONE]"]:
        yield last


def _left_behind(content: aiohttp.StreamReader) -> bytes:
    """What arrived before the connection was lost: aiohttp raises without handing it out."""
    return b"".join(getattr(content, "_buffer", ()))


async def _whole(response: aiohttp.ClientResponse) -> AsyncIterator[list[bytes]]:
    """The body of an answer that is not streamed, as if it were one event."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BODY_BYTES:
            raise ProviderError("the answer is too large")
    yield [bytes(body)]


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read the end of the body, due at once, so that the connection can serve again."""
    try:
        async with asyncio.timeout(END_OF_STREAM_SECONDS):
            await response.content.read()
    except TimeoutError:
        response.close()
