"""The life of a summary's call, in the event loop of the process that was asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import cast

from django.conf import settings

from conversations import events
from conversations.broadcast import conversation_topic, publish, user_topic
from conversations.database import in_database
from conversations.running import UNSTORABLE
from conversations.state_log import log_provider_error
from conversations.summaries import (
    SummaryClaim,
    SummaryEnd,
    SummaryEnded,
    claim_summary,
    end_summary,
    renew_summary,
)
from conversations.summary_events import summary_event
from llm.errors import FirstTokenTimeout, LLMError, Stalled, Truncated
from llm.registry import get_provider
from llm.stream import Finish, StreamEvent, TextDelta, UsageReport
from llm.usage import Usage

logger = logging.getLogger(__name__)

OVERALL_SECONDS = 120.0


@dataclass(slots=True)
class _Received:
    """What has come so far. Times are monotonic seconds."""

    started_at: float = field(default_factory=time.monotonic)
    pieces: list[str] = field(default_factory=list)
    usage: Usage | None = None
    first_token_at: float | None = None
    finish: Finish | None = None
    saw_event: bool = False

    def end(self, **values: object) -> SummaryEnd:
        """The outcome; an output count that came before the finish lags behind, so it does not count."""
        usage = self.usage
        if usage is not None and self.finish is None:
            usage = replace(usage, output_tokens=None)
        first = None if self.first_token_at is None else round((self.first_token_at - self.started_at) * 1000)
        base = SummaryEnd(
            text=UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", "".join(self.pieces)).strip(),
            usage=usage,
            first_token_ms=first,
            duration_ms=round((time.monotonic() - self.started_at) * 1000),
        )
        return replace(base, **values)  # type: ignore[arg-type]  # fields of SummaryEnd


async def run_summary(claim: SummaryClaim) -> None:
    """Call the model and close the summary, whatever happens; a cancelled one fails and the house pays."""
    if not await in_database(claim_summary, claim):
        return
    received = _Received()
    renewing = asyncio.create_task(_renew(claim, received))
    try:
        end = await _receive(claim, received)
    except asyncio.CancelledError:
        end = received.end(error_code="server_stopped", charge="house")
        await _close(claim, end)
        raise
    finally:
        renewing.cancel()
    await _close(claim, end)


async def _receive(claim: SummaryClaim, received: _Received) -> SummaryEnd:
    try:
        await _stream(claim, received)
    except LLMError as error:
        log_provider_error(error, profile=claim.profile, request=claim.request, purpose="summary")
        begun = received.saw_event or isinstance(error, (FirstTokenTimeout, Stalled, Truncated))
        return received.end(error_code=error.code, charge="house" if begun else "nobody")
    except Exception:
        logger.exception("summary %s failed", claim.summary_id)
        return received.end(error_code="internal_error", charge="house")
    end = received.end()
    if received.finish is not None and received.finish.reason == "safety":
        return replace(end, error_code="content_blocked", charge="house")
    return end if end.text else replace(end, error_code="empty_answer", charge="house")


async def _stream(claim: SummaryClaim, received: _Received) -> None:
    """Take the provider's events up to the end, or to as many tokens as were held. Raises LLMError."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OVERALL_SECONDS
    # Where it is left early, closing it is what ends the call.
    stream = cast("AsyncGenerator[StreamEvent]", get_provider(claim.profile).stream(claim.request))
    try:
        async with aclosing(stream), asyncio.timeout(settings.FIRST_TOKEN_TIMEOUT_SECONDS) as limit:
            async for event in stream:
                received.saw_event = True
                limit.reschedule(min(loop.time() + settings.STALL_TIMEOUT_SECONDS, deadline))
                if isinstance(event, TextDelta):
                    if received.first_token_at is None:
                        received.first_token_at = time.monotonic()
                    if len(received.pieces) >= claim.request.max_output_tokens:  # a delta is at least a token
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


async def _renew(claim: SummaryClaim, received: _Received) -> None:
    while True:
        await asyncio.sleep(settings.LEASE_SECONDS / 3)
        with contextlib.suppress(Exception):  # tried again; the lease outlives two failures
            await in_database(renew_summary, claim, len(received.pieces))


async def _close(claim: SummaryClaim, end: SummaryEnd) -> None:
    ended = await in_database(end_summary, claim, end)
    logger.info(
        "summary ended id=%s model=%s code=%s ms=%s",
        claim.summary_id,
        claim.profile.model_id,
        end.error_code,
        end.duration_ms,
    )
    if ended is not None:
        await announce(ended)


async def announce(ended: SummaryEnded) -> None:
    """Tell everybody who shows the conversation, and the person's budgets."""
    await publish(
        conversation_topic(ended.summary.conversation_id), await in_database(summary_event, ended.summary)
    )
    await publish(user_topic(ended.user_id), *events.budgets_changed(ended.meters))
