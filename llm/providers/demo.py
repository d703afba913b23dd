"""The built-in model: no key, no network, always the same answer to the same request.

A pure function of the model's name, the text and the attempt number; the grammar of
names is in ``llm.demo_names``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NoReturn

from llm.demo_names import DemoName, parse_demo_name
from llm.demo_script import NAME, friendly_tokens, numbered_tokens, thought_tokens
from llm.errors import (
    BadCredentials,
    BadRequest,
    ConnectionFailed,
    ContentBlocked,
    DailyQuota,
    LLMError,
    ModelGone,
    OutOfCredit,
    ProviderError,
    ProviderOverloaded,
    ProviderTimedOut,
    RateLimited,
    Truncated,
    UnknownModel,
)
from llm.messages import ChatRequest
from llm.profiles import Profile
from llm.stream import Finish, FinishReason, StreamEvent, TextDelta, ThoughtDelta, UsageReport
from llm.tokens import estimate_input_tokens, is_loaded
from llm.usage import Usage

ERROR_CLASSES: dict[int, type[LLMError]] = {
    400: BadRequest,
    401: BadCredentials,
    403: BadCredentials,
    404: ModelGone,
    408: ConnectionFailed,
    429: RateLimited,
    500: ProviderError,
    502: ProviderError,
    503: ProviderOverloaded,
    504: ProviderTimedOut,
    529: ProviderOverloaded,
}


class DemoProvider:
    def __init__(self, profile: Profile, api_key: str = "") -> None:
        self.encoding = profile.encoding

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]:
        name = parse_demo_name(request.model)
        if name is None:
            raise UnknownModel(request.model)
        refuse(name, request.attempt)
        play = _Play(name, request)
        # Every token has its time from the start on, so that lateness never adds up.
        loop = asyncio.get_running_loop()
        due = loop.time() + name.first_ms / 1000
        interval_seconds = name.interval_ms / 1000
        for position, event in enumerate(play.events):
            if position == play.stall_at:
                await _for_ever()
            delay = due - loop.time()
            await asyncio.sleep(delay if delay > 0 else 0)
            if position == play.die_at:
                raise ConnectionFailed("the demo connection was lost")
            yield event
            due += interval_seconds
        if not play.events:
            await asyncio.sleep(max(0.0, due - loop.time()))
        if play.stall_at == len(play.events):
            await _for_ever()
        if play.die_at == len(play.events):
            raise ConnectionFailed("the demo connection was lost")
        if name.fault("nousage", request.attempt) is None:
            yield UsageReport(await self._usage(name, request, play))
        if play.declined:
            raise ContentBlocked("the demo model declined")
        if play.reason is None:
            raise Truncated("the demo stream ended")
        yield Finish(play.reason)

    async def _usage(self, name: DemoName, request: ChatRequest, play: _Play) -> Usage:
        if is_loaded(self.encoding):
            input_tokens = estimate_input_tokens(request, self.encoding)
        else:
            input_tokens = await asyncio.to_thread(estimate_input_tokens, request, self.encoding)
        cached = name.fault("cached", request.attempt)
        percent = 0 if cached is None else 50 if cached.number is None else min(100, int(cached.number))
        output_tokens = len(play.events)
        return Usage(
            input_tokens=input_tokens,
            cached_tokens=input_tokens * percent // 100,
            output_tokens=output_tokens,
            thinking_tokens=play.thoughts,
            raw={"total_tokens": input_tokens + output_tokens},
        )

    async def aclose(self) -> None:
        pass


class _Play:
    """What one call will do: its events in order, one per token, and how it ends."""

    def __init__(self, name: DemoName, request: ChatRequest) -> None:
        attempt = request.attempt
        question = request.messages[-1].text
        tokens = (
            friendly_tokens(question)
            if name.tokens is None or question.startswith(NAME)
            else numbered_tokens(name.tokens)
        )
        self.reason: FinishReason | None = "stop"
        self.declined = False
        end = len(tokens)
        if request.max_output_tokens < end:
            end, self.reason = request.max_output_tokens, "length"
        cut = name.fault("cut", attempt)
        if cut is not None:
            end, self.reason = _position(cut.number, end), "length"
        block = name.fault("block", attempt)
        if block is not None:
            self.declined = block.number is None
            end, self.reason = (0 if block.number is None else _position(block.number, end)), "safety"
        ended = name.fault("end", attempt)
        if ended is not None:
            end, self.reason = _position(ended.number, end), None
        think = name.fault("think", attempt)
        self.thoughts = 0
        if think is not None and end:
            self.thoughts = _position(think.number, end) if think.number is not None else max(1, end // 4)
        thoughts = thought_tokens(self.thoughts)
        self.events: list[StreamEvent] = [ThoughtDelta(text) for text in thoughts]
        self.events += [TextDelta(text) for text in tokens[: end - self.thoughts]]
        stall, die = name.fault("stall", attempt), name.fault("die", attempt)
        self.stall_at = None if stall is None else _position(stall.number or 0, end)
        self.die_at = None if die is None else _position(die.number or 0, end)


def refuse(name: DemoName, attempt: int) -> None:
    """Raise what the provider would answer instead of a stream, if anything."""
    fault = name.status(attempt)
    if fault is not None:
        status = int(fault.word)
        _raise(ERROR_CLASSES[status], fault.number, status)
    if name.fault("daily", attempt):
        _raise(DailyQuota, None, 429)
    if name.fault("credit", attempt):
        _raise(OutOfCredit, None, 429)


def _raise(error_class: type[LLMError], hint_seconds: float | None, status: int) -> NoReturn:
    raise error_class("the demo model was told to fail", retry_after_seconds=hint_seconds, status=status)


def _position(number: float | None, end: int) -> int:
    return end if number is None else min(int(number), end)


async def _for_ever() -> NoReturn:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")
