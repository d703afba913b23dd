"""The life of a summary's call, in the event loop of the process that was asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from conversations import events
from conversations.admission.gate import Admission
from conversations.admission.pace import Call
from conversations.admission.results import Result, result_of
from conversations.attempts import Charge
from conversations.broadcast import conversation_topic, publish, user_topic
from conversations.cancelling import cancel_until, carry_out, take_cancellation
from conversations.database import in_database
from conversations.models import Summary
from conversations.queue_calls import call_next, leave_queue
from conversations.retries import delay_seconds
from conversations.side_call_runs import Received, receive
from conversations.side_calls import CallEnd
from conversations.summaries import (
    SummaryClaim,
    SummaryEnded,
    claim_summary,
    end_summary,
    renew_summary,
)
from conversations.summary_events import summary_event
from conversations.summary_waits import abandon_summary, postpone_summary
from llm.errors import (
    BreakerOpen,
    LLMError,
    ProviderTimedOut,
    RateLimited,
)

if TYPE_CHECKING:
    from conversations.runtime import Runtime

logger = logging.getLogger(__name__)

OVERALL_SECONDS = 120.0
# Nobody needs a summary urgently enough to queue for it: well below the lease of its hold.
GATE_SECONDS = 30.0
GATE_STEP_SECONDS = 1.0
# A stop whose message was lost is found in the database after so long.
STOP_HEARD_SECONDS = 2.0


class SummaryRun:
    """A summary that this process makes: what its attempt has received, and whether it shall stop."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.received = Received()
        self.sent = False
        self.is_stopped = False
        self.concluding = False  # the end of an attempt is being written: too late to cancel

    def stop(self) -> None:
        if not self.concluding and not self.is_stopped:
            self.is_stopped = True
            cancel_until(self.task, lambda: self.concluding)


async def run_summary(claim: SummaryClaim, runtime: Runtime) -> None:
    """Call the model, again after a fault that may pass, and close the summary, whatever happens.

    The house bears a call that was sent and came to nothing. Cancelled from outside, it fails.
    """
    run = runtime.summaries[claim.summary_id] = SummaryRun()
    following: SummaryClaim | None = claim
    try:
        while following is not None:
            claim = following
            if claim.retry_at is not None and not await _wait(claim, claim.retry_at):
                return
            following = await _attempt(claim, run, runtime)
    except asyncio.CancelledError:
        if not run.is_stopped:
            charge: Charge = "house" if run.sent else "nobody"
            await carry_out(_close(claim, run.received.end(error_code="server_stopped", charge=charge)))
            raise
        run.concluding = True
        take_cancellation(run.task)
        if not run.sent:
            await leave_queue(runtime, claim.summary_id, claim.profile.model_id)
        await _close(claim, run.received.end(is_stopped=True, charge="user" if run.sent else "nobody"))
    finally:
        del runtime.summaries[claim.summary_id]


async def _wait(claim: SummaryClaim, until: datetime) -> bool:
    """Whether it is wanted still: whoever deletes a conversation does not know that this process waits."""
    while (rest := (until - timezone.now()).total_seconds()) > 0:
        await asyncio.sleep(min(rest, STOP_HEARD_SECONDS))
        with contextlib.suppress(Exception):  # asked again; the next attempt finds it out at the latest
            if await in_database(abandon_summary, claim):
                return False
    return True


async def _attempt(claim: SummaryClaim, run: SummaryRun, runtime: Runtime) -> SummaryClaim | None:
    """One call. Returns the claim for the next one, or None at the end."""
    received = run.received = Received()
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
        await in_database(abandon_summary, claim)
        return None
    return await _conclude(claim, _end_of(received, error), error, run, runtime)


async def _conclude(
    claim: SummaryClaim, end: CallEnd, error: LLMError | None, run: SummaryRun, runtime: Runtime
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
        return await receive(claim, run.received, overall_seconds=OVERALL_SECONDS)
    finally:
        renewing.cancel()


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


def _end_of(received: Received, error: LLMError | None) -> CallEnd:
    if error is not None:
        return received.failed(error)
    end = received.end()
    if received.finish is not None and received.finish.reason == "safety":
        return replace(end, error_code="content_blocked", charge="house")
    return end if end.text else replace(end, error_code="empty_answer", charge="house")


async def _renew(claim: SummaryClaim, run: SummaryRun) -> None:
    while True:
        await asyncio.sleep(min(settings.LEASE_SECONDS / 3, STOP_HEARD_SECONDS))
        with contextlib.suppress(Exception):  # tried again; the lease outlives many failures
            if await in_database(renew_summary, claim, len(run.received.pieces)):
                run.stop()


async def _close(claim: SummaryClaim, end: CallEnd) -> None:
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
