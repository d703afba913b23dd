"""Google Gemini through the official SDK, google-genai.

The SDK chooses its HTTP client by what can be imported, and with the choice change its
time-outs, exceptions and hidden retries. So the client is made here and handed in, and
asking for exactly one attempt switches the hidden retry of failed connections off.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pydantic

from llm.errors import ConnectionFailed, ContentBlocked, LLMError, ProviderError, Truncated
from llm.messages import ChatRequest, Message
from llm.profiles import Profile
from llm.providers.base import CONNECT_TIMEOUT_SECONDS, asks_environment
from llm.providers.gemini_errors import error_from_body
from llm.stream import Finish, FinishReason, StreamEvent, TextDelta, ThoughtDelta, ToolCall, UsageReport
from llm.usage import from_gemini, merge_raw

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from google.genai import Client, types

logger = logging.getLogger(__name__)

API_VERSION = "v1beta"
KEEPALIVE_SECONDS = 30.0
# The least that every thinking model of the 2.5 family takes.
LITTLE_THINKING_TOKENS = 512

_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "safety",
    "RECITATION": "safety",
    "BLOCKLIST": "safety",
    "PROHIBITED_CONTENT": "safety",
    "SPII": "safety",
    "IMAGE_SAFETY": "safety",
    "MODEL_ARMOR": "safety",
}


class GeminiProvider:
    def __init__(self, profile: Profile, api_key: str) -> None:
        self.profile = profile
        self.api_key = api_key
        self._client: Client | None = None
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]:
        reader = _AnswerReader()
        try:
            async for chunk in self._chunks(request):
                for event in reader.read(chunk):
                    yield event
        except LLMError:
            raise
        except Exception as error:
            raise self._translate(error) from None
        for event in reader.finish():
            yield event

    async def count_tokens(self, request: ChatRequest) -> int:
        """The system prompt is counted as a message: the SDK takes none beside the contents here."""
        if request.system:
            first = Message("user", request.system)
            request = replace(request, system="", messages=(first, *request.messages))
        try:
            client = self._client or await self._open_client()
            contents, _ = self._arguments(request)
            counted = await client.aio.models.count_tokens(model=request.model, contents=contents)
        except Exception as error:
            raise self._translate(error) from None
        if not counted.total_tokens:
            raise ProviderError("no totalTokens")
        return counted.total_tokens

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _chunks(self, request: ChatRequest) -> AsyncIterator[types.GenerateContentResponse]:
        client = self._client or await self._open_client()
        contents, config = self._arguments(request)
        if not self.profile.streams:
            yield await client.aio.models.generate_content(
                model=request.model, contents=contents, config=config
            )
            return
        async for chunk in await client.aio.models.generate_content_stream(
            model=request.model, contents=contents, config=config
        ):
            yield chunk

    def _arguments(self, request: ChatRequest) -> tuple[Any, types.GenerateContentConfig]:
        from google.genai import types

        contents = [
            types.Content(
                role="model" if message.role == "assistant" else "user", parts=[types.Part(text=message.text)]
            )
            for message in request.messages
        ]
        config = types.GenerateContentConfig(
            system_instruction=request.system or None,
            temperature=request.temperature if self.profile.takes_temperature else None,
            max_output_tokens=request.max_output_tokens,
            thinking_config=self._thinking(request),
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        return contents, config

    def _thinking(self, request: ChatRequest) -> types.ThinkingConfig | None:
        from google.genai import types

        if not self.profile.thinking:
            return None
        config = types.ThinkingConfig(include_thoughts=True)
        if request.think_less and request.model.startswith("gemini-2"):
            config.thinking_budget = LITTLE_THINKING_TOKENS
        elif request.think_less:
            config.thinking_level = types.ThinkingLevel.LOW
        return config

    async def _open_client(self) -> Client:
        async with self._opening:
            if self._session is None:
                self._session = aiohttp.ClientSession(
                    connector=_Connector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=60),
                    timeout=aiohttp.ClientTimeout(total=None),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    trust_env=asks_environment(),
                )
            if self._client is None:
                base_url = self.profile.provider.base_url
                self._client = await asyncio.to_thread(_make_client, self.api_key, base_url, self._session)
            return self._client

    def _translate(self, error: Exception) -> LLMError:
        from google.genai import errors

        if isinstance(error, errors.APIError):
            headers = getattr(error.response, "headers", None) or {}
            lowered = {str(name).lower(): str(value) for name, value in headers.items()}
            status = error.code if isinstance(error.code, int) else 500
            found = error_from_body(status, lowered, error.details)
            found.provider_detail = found.provider_detail.replace(self.api_key, "[key]")
            return found
        name = type(error).__name__
        if isinstance(error, errors.UnknownApiResponseError | pydantic.ValidationError | UnicodeDecodeError):
            return ProviderError(f"unreadable chunk: {name}: {error}")
        if isinstance(error, aiohttp.ClientError | OSError | TimeoutError):
            return ConnectionFailed(f"{name}: {error}")
        # The SDK has no complete list of what it raises; the caller is promised one tree.
        logger.error("unexpected error from google-genai", exc_info=error)
        return ProviderError(f"{name}: {error}")


class _Connector(aiohttp.TCPConnector):
    """Gives up connecting in time; the SDK puts its own time-outs over the session's."""

    async def connect(
        self,
        req: ClientRequest,
        traces: Any,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the overridden method's own parameter
    ) -> Any:
        bounded = aiohttp.ClientTimeout(
            total=timeout.total, sock_read=timeout.sock_read, connect=CONNECT_TIMEOUT_SECONDS
        )
        return await super().connect(req, traces, bounded)


class _AnswerReader:
    """Turns chunks into events and keeps what the end needs."""

    def __init__(self) -> None:
        self._raw_usage: dict[str, Any] = {}
        self._reason: str | None = None
        self._calls = 0

    def read(self, chunk: types.GenerateContentResponse) -> Iterator[StreamEvent]:
        """Raises ContentBlocked for a declined question."""
        candidates = chunk.candidates
        if candidates:
            candidate = candidates[0]
            if candidate.content is not None and candidate.content.parts:
                for part in candidate.content.parts:
                    if part.text:
                        yield ThoughtDelta(part.text) if part.thought else TextDelta(part.text)
                    elif part.function_call is not None and part.function_call.name:
                        yield self._tool_call(part.function_call)
            if candidate.finish_reason is not None:
                self._reason = candidate.finish_reason.name
        if chunk.usage_metadata is not None:
            raw = chunk.usage_metadata.model_dump(mode="json", by_alias=True, exclude_none=True)
            merged = merge_raw(self._raw_usage, raw)
            if merged != self._raw_usage:
                self._raw_usage = merged
                yield UsageReport(from_gemini(merged))
        feedback = chunk.prompt_feedback
        if feedback is not None and feedback.block_reason is not None:
            raise ContentBlocked(f"blockReason {feedback.block_reason.name}")

    def finish(self) -> Iterator[StreamEvent]:
        if self._reason is None or self._reason == "FINISH_REASON_UNSPECIFIED":
            raise Truncated("the stream ended without finishReason")
        reason = _REASONS.get(self._reason, "other")
        yield Finish("tool_calls" if reason == "stop" and self._calls else reason)

    def _tool_call(self, call: types.FunctionCall) -> ToolCall:
        self._calls += 1
        return ToolCall(
            id=call.id or f"call_{self._calls}", name=call.name or "", arguments=json.dumps(call.args or {})
        )


def _make_client(api_key: str, base_url: str, session: aiohttp.ClientSession) -> Client:
    """Takes most of a second and 40 MB the first time: off the loop, and only when needed."""
    from google import genai
    from google.genai import types

    # It tells of automatic function calling at every call, even where that is off.
    logging.getLogger("google_genai").setLevel(logging.WARNING)
    options = types.HttpOptions(
        base_url=base_url or None,
        api_version=API_VERSION,
        aiohttp_client=session,
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    # The SDK builds its validators on first use, which would hold up the first answer.
    types.GenerateContentConfig(max_output_tokens=1)
    types.GenerateContentResponse.model_validate({"candidates": [{"content": {"parts": [{"text": "warm"}]}}]})
    return genai.Client(api_key=api_key, vertexai=False, http_options=options)
