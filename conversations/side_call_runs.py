"""Taking the answer of a call that is made beside the answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, cast

from django.conf import settings

from conversations.cancelling import Limit
from conversations.running import UNSTORABLE
from conversations.side_calls import CallEnd, SideCall
from conversations.state_log import log_provider_error
from conversations.verdicts import InternalError
from llm.errors import FirstTokenTimeout, LLMError, Stalled, Truncated
from llm.registry import get_provider
from llm.stream import Finish, StreamEvent, TextDelta, UsageReport
from llm.usage import Usage

logger = logging.getLogger(__name__)

# The provider was asked and may have worked, though nothing of it may have come.
SENT = (FirstTokenTimeout, Stalled, Truncated, InternalError)


@dataclass(slots=True)
class Received:
    """What has come so far. Times are monotonic seconds."""

    started_at: float = field(default_factory=time.monotonic)
    pieces: list[str] = field(default_factory=list)
    usage: Usage | None = None
    first_token_at: float | None = None
    finish: Finish | None = None
    saw_event: bool = False

    def end(self, **values: Any) -> CallEnd:
        """The outcome; an output count that came before the finish lags behind, so it does not count."""
        usage = self.usage
        if usage is not None and self.finish is None:
            usage = replace(usage, output_tokens=None)
        first = None if self.first_token_at is None else round((self.first_token_at - self.started_at) * 1000)
        return CallEnd(
            text=UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", "".join(self.pieces)).strip(),
            usage=usage,
            first_token_ms=first,
            duration_ms=round((time.monotonic() - self.started_at) * 1000),
            **values,
        )

    def failed(self, error: LLMError) -> CallEnd:
        """The outcome of a call that came to nothing: if it was sent, the house bears it."""
        was_sent = self.saw_event or isinstance(error, SENT)
        return self.end(error_code=error.code, charge="house" if was_sent else "nobody")


async def receive(call: SideCall, received: Received, *, overall_seconds: float) -> LLMError | None:
    """Take the answer, as far as was held, in so many seconds at the most. Returns what went wrong."""
    try:
        await _stream(call, received, overall_seconds)
    except LLMError as failure:
        log_provider_error(failure, profile=call.profile, request=call.request, purpose=call.purpose)
        return failure
    except Exception:
        logger.exception("a %s failed", call.purpose)
        return InternalError()
    return None


async def _stream(call: SideCall, received: Received, overall_seconds: float) -> None:
    """Take the provider's events up to the end, or to as many tokens as were held. Raises LLMError."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + overall_seconds
    # Where it is left early, closing it is what ends the call.
    stream = cast("AsyncGenerator[StreamEvent]", get_provider(call.profile).stream(call.request))
    first_within = min(settings.FIRST_TOKEN_TIMEOUT_SECONDS, overall_seconds)
    try:
        async with aclosing(stream), Limit(first_within) as limit:
            async for event in stream:
                received.saw_event = True
                limit.reschedule(min(loop.time() + settings.STALL_TIMEOUT_SECONDS, deadline))
                if isinstance(event, TextDelta):
                    if received.first_token_at is None:
                        received.first_token_at = time.monotonic()
                    if len(received.pieces) >= call.request.max_output_tokens:  # a delta is at least a token
                        return
                    received.pieces.append(event.text)
                elif isinstance(event, UsageReport):
                    known = received.usage
                    received.usage = event.usage if known is None else known.merge(event.usage)
                elif isinstance(event, Finish):
                    received.finish = event
    except TimeoutError as error:
        raise (Stalled() if received.saw_event else FirstTokenTimeout()) from error
    if received.finish is None:
        raise Truncated("the stream ended without a finish reason")
