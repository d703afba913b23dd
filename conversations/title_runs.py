"""The life of a title's call: after the first answer, beside everything else, in the same event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from conversations import events
from conversations.admission.gate import Admission
from conversations.admission.pace import Call
from conversations.admission.results import result_of
from conversations.broadcast import publish, user_topic
from conversations.cancelling import carry_out
from conversations.database import in_database
from conversations.side_call_runs import Received, receive
from conversations.side_calls import CallEnd
from conversations.titles import TitleClaim, claim_title, end_title
from llm.errors import LLMError

if TYPE_CHECKING:
    from conversations.attempts import Claim, Ended
    from conversations.runtime import Runtime

OVERALL_SECONDS = 30.0


def offer_title(runtime: Runtime, claim: Claim, ended: Ended) -> None:
    """After a first answer: the cheap part of the question whether its conversation gets a title."""
    is_first = len(claim.request.messages) == 1
    if settings.TITLES and is_first and ended.event["type"] == "generation.completed":
        runtime.run_aside(make_title(runtime, claim))


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
    received = Received()
    try:
        admission = await _admitted(runtime, claim)
        if admission is None:
            await _close(claim, received.end(error_code="rate_limited", charge="nobody"))
            return
        error = await receive(claim, received, overall_seconds=OVERALL_SECONDS)
    except asyncio.CancelledError:
        charge = "house" if received.saw_event else "nobody"
        await carry_out(_close(claim, received.end(error_code="server_stopped", charge=charge)))
        raise
    await _close(claim, received.end() if error is None else received.failed(error))
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


async def _close(claim: TitleClaim, end: CallEnd) -> None:
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
