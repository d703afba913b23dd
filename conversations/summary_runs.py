"""The life of a summary's call, in the event loop of the process that was asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.utils import timezone

from conversations import events
from conversations.admission.gate import Admission
from conversations.admission.pace import Call
from conversations.admission.results import Result, result_of
from conversations.attempts import Charge
from conversations.broadcast import conversation_topic, publish, user_topic
from conversations.database import in_database
from conversations.models import Summary
from conversations.queue_calls import call_next, leave_queue
from conversations.retries import delay_seconds
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
from conversations.summary_waits import postpone_summary
from conversations.verdicts import InternalError
from llm.errors import (
    BreakerOpen,
    FirstTokenTimeout,
    LLMError,
    ProviderTimedOut,
    RateLimited,
    Stalled,
    Truncated,
)
from llm.registry import get_provider
from llm.stream import Finish, StreamEvent, TextDelta, UsageReport
from llm.usage import Usage

if TYPE_CHECKING:
    from conversations.runtime import Runtime

logger = logging.getLogger(__name__)

OVERALL_SECONDS = 120.0
# Nobody needs a summary urgently enough to queue for it: well below the lease of its hold.
GATE_SECONDS = 30.0
GATE_STEP_SECONDS = 1.0
# A stop whose message was lost is found in the database after so long.
STOP_HEARD_SECONDS = 2.0


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


class SummaryRun:
    """A summary that this process makes: what its attempt has received, and whether it shall stop."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.received = _Received()
        self.sent = False
        self.is_stopped = False
        self.concluding = False  # the end of an attempt is being written: too late to cancel

    def stop(self) -> None:
        if not self.concluding and not self.is_stopped:
            self.is_stopped = True
            self.task.cancel()


async def run_summary(claim: SummaryClaim, runtime: Runtime) -> None:
    """Call the model, again after a fault that may pass, and close the summary, whatever happens.

    The house bears a call that was sent and came to nothing. Cancelled from outside, it fails.
    """
    run = runtime.summaries[claim.summary_id] = SummaryRun()
    following: SummaryClaim | None = claim
    try:
        while following is not None:
            claim = following
            if claim.retry_at is not None:
                await asyncio.sleep(max((claim.retry_at - timezone.now()).total_seconds(), 0.0))
            following = await _attempt(claim, run, runtime)
    except asyncio.CancelledError:
        if not run.is_stopped:
            charge: Charge = "house" if run.sent else "nobody"
            await _close(claim, run.received.end(error_code="server_stopped", charge=charge))
            raise
        run.task.uncancel()
        if not run.sent:
            await leave_queue(runtime, claim.summary_id, claim.profile.model_id)
        await _close(claim, run.received.end(is_stopped=True, charge="user" if run.sent else "nobody"))
    finally:
        del runtime.summaries[claim.summary_id]


async def _attempt(claim: SummaryClaim, run: SummaryRun, runtime: Runtime) -> SummaryClaim | None:
    """One call. Returns the claim for the next one, or None at the end."""
    received = run.received = _Received()
    run.sent = False
    try:
        admission = await _pass_gate(claim, runtime)
    except LLMError as kept_back:
        return await _conclude(claim, received.end(charge="nobody"), kept_back, run, runtime)
    claimed = False
    error: LLMError | None = None
    try:
        claimed = await in_database(claim_summary, claim)
        if claimed:
            run.sent = True
            error = await _receive(claim, run)
    finally:
        result = result_of(error, cancelled=None, saw_event=received.saw_event) if claimed else Result("none")
        if await runtime.gate.report(admission, result, received.usage):
            runtime.run_aside(call_next(runtime, claim.profile))
    if not claimed:
        return None
    return await _conclude(claim, _end_of(received, error), error, run, runtime)


async def _conclude(
    claim: SummaryClaim, end: SummaryEnd, error: LLMError | None, run: SummaryRun, runtime: Runtime
) -> SummaryClaim | None:
    run.concluding = True
    if error is not None:
        end = replace(end, error_code=error.code)
    delay = None if error is None else _delay_seconds(claim, error)
    if delay is None:
        await _close(claim, end)
        return None
    delay = max(delay, await runtime.gate.retry_delay())
    result = await in_database(postpone_summary, claim, end, delay)
    run.concluding, run.sent = False, False
    if isinstance(result, SummaryClaim):
        logger.info("summary waits id=%s code=%s seconds=%.1f", claim.summary_id, end.error_code, delay)
        summary = await in_database(Summary.objects.get, pk=claim.summary_id)
        event = await in_database(summary_event, summary)
        await publish(conversation_topic(claim.conversation_id), event)
        return result
    if result is not None:
        await announce(result)
    return None


def _delay_seconds(claim: SummaryClaim, error: LLMError) -> float | None:
    """As for answers; one that a breaker keeps back fails at once, since no answer depends on it."""
    if isinstance(error, (BreakerOpen, ProviderTimedOut)):
        return None
    return delay_seconds(
        error,
        attempt=claim.attempt,
        waited_seconds=(timezone.now() - claim.asked_at).total_seconds(),
        max_retries=settings.MAX_RETRIES,
        patience_seconds=settings.RETRY_PATIENCE_SECONDS,
        rng=random.Random(),  # noqa: S311 - jitter, not a secret
    )


async def _receive(claim: SummaryClaim, run: SummaryRun) -> LLMError | None:
    """Take the answer. Returns what went wrong."""
    renewing = asyncio.create_task(_renew(claim, run))
    try:
        await _stream(claim, run.received)
    except LLMError as failure:
        log_provider_error(failure, profile=claim.profile, request=claim.request, purpose="summary")
        return failure
    except Exception:
        logger.exception("a summary failed")
        return InternalError()
    finally:
        renewing.cancel()
    return None


async def _pass_gate(claim: SummaryClaim, runtime: Runtime) -> Admission:
    """Wait a little for the pace that the provider allows. Raises LLMError where no call would help now."""
    call = Call(
        claim.summary_id,
        claim.profile,
        claim.input_estimate_tokens,
        claim.request.max_output_tokens,
        claim.asked_at,
    )
    until = time.monotonic() + GATE_SECONDS
    while True:
        answer = await runtime.gate.admit(call)
        if isinstance(answer, Admission):
            if answer.others_wait:
                runtime.run_aside(call_next(runtime, claim.profile))
            return answer
        if time.monotonic() + answer.seconds > until:
            await leave_queue(runtime, claim.summary_id, claim.profile.model_id)
            raise RateLimited("no capacity in time", retry_after_seconds=answer.seconds)
        # Others may leave meanwhile, so it is asked again.
        await asyncio.sleep(min(answer.seconds, GATE_STEP_SECONDS))


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


async def _renew(claim: SummaryClaim, run: SummaryRun) -> None:
    while True:
        await asyncio.sleep(min(settings.LEASE_SECONDS / 3, STOP_HEARD_SECONDS))
        with contextlib.suppress(Exception):  # tried again; the lease outlives many failures
            if await in_database(renew_summary, claim, len(run.received.pieces)):
                run.stop()


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
