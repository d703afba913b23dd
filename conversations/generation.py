"""The life of an answer: claim, call the model, pass on its words, end.

``run_generation`` is the same function wherever it runs: in the event loop of a web process (the first
attempt), in a worker (retries, recovery), in a test. Cancelling it is how an answer is stopped: that
alone closes the connection to the provider.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError
from django.utils import timezone
from structlog.contextvars import bind_contextvars

from conversations import capacity, claims, endings, fallbacks, waits
from conversations.admission.gate import Admission, CapacityWait
from conversations.admission.pace import Call
from conversations.admission.results import result_of
from conversations.attempts import Claim, Ended
from conversations.cancelling import take_cancellation
from conversations.database import in_database
from conversations.markdown import to_html
from conversations.models import Generation, State
from conversations.queue_calls import call_next, leave_queue
from conversations.running import Attempt, Watchdog
from conversations.state_log import log_claim_state, log_end, log_provider_error
from conversations.title_runs import offer_title
from conversations.verdicts import InternalError, Postpone, judge
from llm.errors import LLMError, Truncated
from llm.registry import get_provider
from llm.stream import Finish, TextDelta, ThoughtDelta, UsageReport

if TYPE_CHECKING:
    from conversations.runtime import Runtime

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


# Waits for capacity up to this are not worth an appointment.
LINGER_SECONDS = 2.0
# Others may leave meanwhile, so it is asked again.
LINGER_STEP_SECONDS = 1.0
# While the database is away an end is tried again, for five minutes: the answer that was read would else be
# told to have broken off. Where the sweeper comes first, the end finds the claim lost.
INSIST_SECONDS = (0.1, 0.3, 1.0, *[2.0] * 150)


async def run_generation(generation_id: uuid.UUID, runtime: Runtime, prepared: Claim | None = None) -> None:
    """One attempt for the generation, from the claim to its end or its next appointment.

    ``prepared`` saves the process that has just queued it from reading it again. Does nothing when
    another process has it. Never raises but for its own cancellation from outside.
    """
    claimed = await _claim(generation_id, runtime, prepared)
    if claimed is None:
        return
    if isinstance(claimed, Ended):
        log_end(generation_id, claimed)
        await runtime.announce_end(generation_id, claimed)
        return
    bind_contextvars(generation_id=str(generation_id), turn_id=str(claimed.turn_id))
    log_claim_state("running", claimed)
    attempt = runtime.begin(claimed)
    error: LLMError | None = None
    wait: CapacityWait | None = None
    try:
        wait = await _pass_gate(attempt, runtime)
        if wait is None:
            await _receive(attempt, runtime)
    except asyncio.CancelledError:
        if attempt.cancelled is None:
            attempt.cancelled = "handover"
        take_cancellation(attempt.task)
    except LLMError as failure:
        error = failure
    except Exception:
        logger.exception("an attempt failed")
        error = InternalError()
    attempt.concluding = True
    is_due = False
    try:
        if wait is not None and attempt.cancelled is None:
            await _put_off(attempt, wait, runtime)
        else:
            is_due = await _conclude(attempt, error, runtime)
    finally:
        runtime.forget(attempt)
        if attempt.admission is not None:
            result = result_of(error, cancelled=attempt.cancelled, saw_event=attempt.saw_event)
            if await runtime.gate.report(attempt.admission, result, attempt.usage):
                await call_next(runtime, claimed.profile)
        elif attempt.cancelled == "stopped":
            await leave_queue(runtime, generation_id, claimed.profile.model_id)
    if is_due:
        runtime.spawn(generation_id)


async def _claim(generation_id: uuid.UUID, runtime: Runtime, prepared: Claim | None) -> Claim | Ended | None:
    """Claim it; one for which that fails by a fault of ours ends with an error, or it would wait for ever."""
    try:
        return await in_database(claims.claim, generation_id, owner=runtime.process_id, prepared=prepared)
    except (InterfaceError, OperationalError):
        raise  # the database is away: the sweeper tells again
    except Exception:
        logger.exception("an attempt could not be begun")
        return await in_database(claims.give_up, generation_id)


async def _pass_gate(attempt: Attempt, runtime: Runtime) -> CapacityWait | None:
    """Wait for the turn of this attempt. Returns the wait where it is too long to be spent here.

    Raises LLMError where no call would help now. A short wait is spent here, with the claim kept alive:
    putting the generation off and taking it up again would take as long.
    """
    call = Call.of(attempt.claim)
    until = time.monotonic() + LINGER_SECONDS
    while True:
        answer = await runtime.gate.admit(call)
        if attempt.cancelled is not None:
            # A cancellation that meets the end of a wait for Valkey can be lost in its client.
            raise asyncio.CancelledError
        if isinstance(answer, Admission):
            attempt.begin_call(answer)
            if answer.others_wait:
                runtime.run_aside(call_next(runtime, call.profile))
            return None
        if time.monotonic() + answer.seconds > until:
            return answer
        await asyncio.sleep(min(answer.seconds, LINGER_STEP_SECONDS))


async def _put_off(attempt: Attempt, wait: CapacityWait, runtime: Runtime) -> None:
    claim = attempt.claim
    result = await _insist(capacity.put_off, claim, wait)
    if isinstance(result, Generation):
        await runtime.announce_waiting(result)
    elif result is not None:
        await leave_queue(runtime, claim.generation_id, claim.profile.model_id)
        await runtime.announce_end(claim.generation_id, result)


async def _receive(attempt: Attempt, runtime: Runtime) -> None:
    """Pass the provider's events on until its stream ends. Raises LLMError, or is cancelled."""
    provider = get_provider(attempt.claim.profile)
    watchdog = Watchdog(attempt)
    try:
        async for event in provider.stream(attempt.claim.request):
            attempt.last_event_at = time.monotonic()
            if not attempt.saw_event:
                attempt.saw_event = True
                runtime.heard(attempt)
            if attempt.cancelled is not None:
                continue  # the cancellation arrives where the provider next waits
            if type(event) is TextDelta:
                if not attempt.take(event.text):
                    attempt.cancel("over_cap")
                runtime.log.note(attempt.stream)
            elif type(event) is UsageReport:
                attempt.usage = event.usage if attempt.usage is None else attempt.usage.merge(event.usage)
            elif type(event) is Finish:
                attempt.finish = event
            elif type(event) is ThoughtDelta:
                continue
        if attempt.cancelled is not None:
            await asyncio.sleep(0)  # it ended before the cancellation could arrive: take it here
    finally:
        watchdog.close()
    if attempt.finish is None:
        raise Truncated("the stream ended without a finish reason")


async def _conclude(attempt: Attempt, error: LLMError | None, runtime: Runtime) -> bool:
    """Put the attempt off, or end the generation, and tell everybody. True: another one is due at once."""
    claim = attempt.claim
    if attempt.cancelled == "lost":
        return False
    if error is not None:
        log_provider_error(error, profile=claim.profile, request=claim.request, attempt=claim.attempt)
    verdict = judge(attempt, error)
    if isinstance(verdict, Postpone):
        if error is not None and verdict.delay_seconds:
            # Many retries at once are spread out.
            verdict = verdict.not_before(await runtime.gate.retry_delay())
        duration_ms = round((time.monotonic() - attempt.started_at) * 1000)
        result = await _insist(waits.postpone, claim, verdict, duration_ms=duration_ms)
    elif error is not None and verdict.state == State.FAILED:
        hint = error.retry_after_seconds
        result = await _insist(fallbacks.fall_back, claim, verdict, hint_seconds=hint)
    else:
        if verdict.text:
            # Rendering a long answer takes tens of milliseconds: not in the loop, not in a database thread.
            verdict = replace(verdict, html=await asyncio.to_thread(to_html, verdict.text))
        result = await _insist(endings.finish, claim, verdict)
    return await _announce(attempt, error, result, runtime)


async def _announce(
    attempt: Attempt, error: LLMError | None, result: Generation | Ended | None, runtime: Runtime
) -> bool:
    claim = attempt.claim
    if isinstance(result, Generation):
        now = timezone.now()
        wait = 0.0 if result.run_after is None else max((result.run_after - now).total_seconds(), 0.0)
        code = str(result.waiting_reason) if error is None else error.code
        log_claim_state("waiting", claim, code=code, wait_seconds=wait)
        is_due = result.is_due(now) and attempt.cancelled is None
        await runtime.announce_waiting(result, here=is_due)
        return is_due
    if result is not None:
        log_end(claim.generation_id, result, attempt=claim.attempt)
        await runtime.announce_end(claim.generation_id, result)
        offer_title(runtime, claim, result)
    return False


async def _insist(verb: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a verb that is fenced by the epoch, again while the database is out of reach."""
    for pause in INSIST_SECONDS:
        try:
            return await in_database(verb, *args, **kwargs)
        except (InterfaceError, OperationalError):
            logger.warning("the database is out of reach at the end of an attempt; trying again")
            await asyncio.sleep(pause)
    return await in_database(verb, *args, **kwargs)
