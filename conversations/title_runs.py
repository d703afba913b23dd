"""The life of a title's call: after the first answer, beside everything else, in the same event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.utils import timezone

from conversations import events
from conversations.admission.gate import Admission
from conversations.admission.pace import Call
from conversations.admission.results import result_of
from conversations.broadcast import publish, user_topic
from conversations.database import in_database
from conversations.running import UNSTORABLE
from conversations.state_log import log_provider_error
from conversations.titles import TitleClaim, TitleEnd, claim_title, end_title
from conversations.verdicts import InternalError
from llm.errors import FirstTokenTimeout, LLMError, Truncated
from llm.registry import get_provider
from llm.stream import Finish, TextDelta, UsageReport
from llm.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from conversations.attempts import Claim, Ended
    from conversations.runtime import Runtime

logger = logging.getLogger(__name__)

OVERALL_SECONDS = 30.0


def offer_title(runtime: Runtime, claim: Claim, ended: Ended) -> None:
    """After a first answer: the cheap part of the question whether its conversation gets a title."""
    is_first = len(claim.request.messages) == 1
    if settings.TITLES and is_first and ended.event["type"] == "generation.completed":
        runtime.run_aside(make_title(runtime, claim))


@dataclass(slots=True)
class _Received:
    """What has come so far. Times are monotonic seconds."""

    started_at: float = field(default_factory=time.monotonic)
    pieces: list[str] = field(default_factory=list)
    usage: Usage | None = None
    first_token_at: float | None = None
    finished: bool = False
    saw_event: bool = False

    def end(self, **values: Any) -> TitleEnd:
        first = None if self.first_token_at is None else round((self.first_token_at - self.started_at) * 1000)
        return TitleEnd(
            text=UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", "".join(self.pieces)).strip(),
            usage=self.usage,
            first_token_ms=first,
            duration_ms=round((time.monotonic() - self.started_at) * 1000),
            **values,
        )


async def make_title(runtime: Runtime, answered: Claim) -> None:
    """Nobody waits for it: a busy model is left alone. The house bears a call that came to nothing."""
    claim = await in_database(
        claim_title,
        user_id=answered.user_id,
        conversation_id=answered.conversation_id,
        generation_id=answered.generation_id,
    )
    if claim is None:
        return
    received = _Received()
    try:
        admission = await _admitted(runtime, claim)
        if admission is None:
            await _close(claim, received.end(error_code="rate_limited", charge="nobody"))
            return
        error = await _receive(claim, received)
    except asyncio.CancelledError:
        charge = "house" if received.saw_event else "nobody"
        await asyncio.shield(_close(claim, received.end(error_code="server_stopped", charge=charge)))
        raise
    if error is not None:
        sent = received.saw_event or isinstance(error, (FirstTokenTimeout, Truncated, InternalError))
        await _close(claim, received.end(error_code=error.code, charge="house" if sent else "nobody"))
    else:
        await _close(claim, received.end())
    result = result_of(error, cancelled=None, saw_event=received.saw_event)
    await runtime.gate.report(admission, result, received.usage)


async def _admitted(runtime: Runtime, claim: TitleClaim) -> Admission | None:
    call = Call(
        claim.hold_id,
        claim.profile,
        claim.input_estimate_tokens,
        claim.request.max_output_tokens,
        timezone.now(),
    )
    try:
        answer = await runtime.gate.admit(call)
    except LLMError:
        return None
    if isinstance(answer, Admission):
        return answer
    await runtime.gate.leave(claim.hold_id, claim.profile)
    return None


async def _receive(claim: TitleClaim, received: _Received) -> LLMError | None:
    """Take the answer, as far as was held. Returns what went wrong."""
    try:
        stream = cast("AsyncGenerator[Any]", get_provider(claim.profile).stream(claim.request))
        async with aclosing(stream), asyncio.timeout(OVERALL_SECONDS):
            async for event in stream:
                received.saw_event = True
                if isinstance(event, TextDelta):
                    received.first_token_at = received.first_token_at or time.monotonic()
                    if len(received.pieces) >= claim.request.max_output_tokens:  # a delta is at least a token
                        received.usage = None
                        return None
                    received.pieces.append(event.text)
                elif isinstance(event, UsageReport):
                    known = received.usage
                    received.usage = event.usage if known is None else known.merge(event.usage)
                elif isinstance(event, Finish):
                    received.finished = True
    except TimeoutError:
        return FirstTokenTimeout()
    except LLMError as failure:
        log_provider_error(failure, profile=claim.profile, request=claim.request, purpose="title")
        return failure
    except Exception:
        logger.exception("a title failed")
        return InternalError()
    return None if received.finished else Truncated("the stream ended without a finish reason")


async def _close(claim: TitleClaim, end: TitleEnd) -> None:
    titled = await in_database(end_title, claim, end)
    told = list(events.budgets_changed(titled.meters))
    if titled.title or titled.receipt:
        told.insert(
            0,
            events.conversation_updated(
                claim.conversation_id, "title", title=titled.title, receipt=titled.receipt
            ),
        )
    await publish(user_topic(claim.user_id), *told)
