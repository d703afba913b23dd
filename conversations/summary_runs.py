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
from django.utils import timezone

from conversations import events
from conversations.admission.gate import Admission, Gate
from conversations.admission.pace import Call
from conversations.admission.results import Result, result_of
from conversations.attempts import Charge
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
from conversations.verdicts import InternalError
from llm.errors import FirstTokenTimeout, LLMError, RateLimited, Stalled, Truncated
from llm.registry import get_provider
from llm.stream import Finish, StreamEvent, TextDelta, UsageReport
from llm.usage import Usage

logger = logging.getLogger(__name__)

OVERALL_SECONDS = 120.0
# Nobody needs a summary urgently enough to queue for it: well below the lease of its hold.
GATE_SECONDS = 30.0


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


async def run_summary(claim: SummaryClaim, gate: Gate) -> None:
    """Call the model and close the summary, whatever happens; a cancelled one fails.

    The house bears a call that was sent and came to nothing.
    """
    received = _Received()
    try:
        admission = await _pass_gate(claim, gate)
    except LLMError as kept_back:
        await _close(claim, received.end(error_code=kept_back.code, charge="nobody"))
        return
    except asyncio.CancelledError:
        await _close(claim, received.end(error_code="server_stopped", charge="nobody"))
        raise
    if not await in_database(claim_summary, claim):
        await gate.report(admission, Result("none"))
        return
    renewing = asyncio.create_task(_renew(claim, received))
    try:
        error = await _receive(claim, received)
    except asyncio.CancelledError:
        await _close(claim, received.end(error_code="server_stopped", charge="house"))
        raise
    finally:
        renewing.cancel()
    await _close(claim, _end_of(received, error))
    result = result_of(error, cancelled=None, saw_event=received.saw_event)
    await gate.report(admission, result, received.usage)


async def _receive(claim: SummaryClaim, received: _Received) -> LLMError | None:
    """Take the answer. Returns what went wrong."""
    try:
        await _stream(claim, received)
    except LLMError as failure:
        log_provider_error(failure, profile=claim.profile, request=claim.request, purpose="summary")
        return failure
    except Exception:
        logger.exception("a summary failed")
        return InternalError()
    return None


async def _pass_gate(claim: SummaryClaim, gate: Gate) -> Admission:
    """Wait a little for the pace that the provider allows. Raises LLMError where no call would help now."""
    call = Call(
        claim.summary_id,
        claim.profile,
        claim.input_estimate_tokens,
        claim.request.max_output_tokens,
        timezone.now(),
    )
    until = time.monotonic() + GATE_SECONDS
    while True:
        answer = await gate.admit(call)
        if isinstance(answer, Admission):
            return answer
        if time.monotonic() + answer.seconds > until:
            await gate.leave(claim.summary_id, claim.profile)
            raise RateLimited("no capacity in time", retry_after_seconds=answer.seconds)
        await asyncio.sleep(answer.seconds)


def _end_of(received: _Received, error: LLMError | None) -> SummaryEnd:
    if error is not None:
        sent = isinstance(error, (FirstTokenTimeout, Stalled, Truncated, InternalError))
        charge: Charge = "house" if received.saw_event or sent else "nobody"
        return received.end(error_code=error.code, charge=charge)
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
