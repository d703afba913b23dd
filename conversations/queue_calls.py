"""The first in a queue is called up where it may go earlier than it was told.

Others have used less than they took, or have left, or an admin has raised a limit. One is called at a
time, and the next when that one has gone: so nobody is woken in vain. What is due stands in the database; a
call that gets lost only means that the wait is as long as it was told.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from asgiref.sync import async_to_sync
from django.utils import timezone

from conversations import capacity
from conversations.admission.gate import First, Gate
from conversations.database import in_database
from conversations.endings import load
from conversations.hints import tell_worker
from conversations.models import Generation, State, WaitingReason
from llm.errors import UnknownModel
from llm.profiles import Profile, get_profile

if TYPE_CHECKING:
    from conversations.runtime import Runtime

# So many that ended without leaving are cleared away in one go.
GONE_LIMIT = 20
# A shorter rest of the wait is not worth telling.
WORTH_TELLING_SECONDS = 1.0


async def call_next(runtime: Runtime, profile: Profile) -> None:
    """Call up the first in the queue of the model, if it may go earlier than it was told."""
    for _ in range(GONE_LIMIT):
        first = await runtime.gate.first_in_line(profile)
        if first is None:
            return
        if await in_database(capacity.call_up, first.ticket, seconds=first.seconds):
            if first.seconds < WORTH_TELLING_SECONDS:
                await asyncio.to_thread(tell_worker, first.ticket, delay_seconds=first.seconds)
            else:
                await runtime.announce_waiting(await in_database(load, first.ticket))
            return
        if not await in_database(capacity.has_gone, first.ticket, model=profile.model_id):
            return
        await runtime.gate.leave(first.ticket, profile)


async def leave_queue(runtime: Runtime, ticket: uuid.UUID, model: str) -> None:
    """Give up the place in the queue of the model, and let the next one know."""
    with suppress(UnknownModel):
        profile = await in_database(get_profile, model)
        await runtime.gate.leave(ticket, profile)
        await call_next(runtime, profile)


def call_waiting() -> int:
    """The sweeper's pass over all queues, for what nobody has noticed. Returns how many were called."""
    waiting = Generation.objects.filter(
        state=State.WAITING, waiting_reason=WaitingReason.CAPACITY, run_after__gt=timezone.now()
    )
    called = 0
    for model in waiting.order_by("model").values_list("model", flat=True).distinct():
        with suppress(UnknownModel):
            first = async_to_sync(_ask_once)(get_profile(model))
            if first is not None and capacity.call_up(first.ticket, seconds=first.seconds):
                called += tell_worker(first.ticket, delay_seconds=first.seconds)
    return called


async def _ask_once(profile: Profile) -> First | None:
    gate = Gate()
    try:
        return await gate.first_in_line(profile)
    finally:
        await gate.aclose()
