"""Starting and stopping an answer from a door: what sockets and REST do alike after their verb."""

from __future__ import annotations

import asyncio
import uuid

from conversations import events, stops, summary_waits, switches
from conversations.broadcast import conversation_topic, publish, user_topic
from conversations.database import in_database
from conversations.live import LiveStream
from conversations.models import Conversation, Generation, State, Summary
from conversations.queue_calls import leave_queue
from conversations.queueing import Started
from conversations.runtime import Runtime
from conversations.state_log import log_state
from conversations.summaries import start_summary
from conversations.summary_events import summary_event
from conversations.summary_runs import announce as announce_summary
from conversations.summary_runs import run_summary


def launch(runtime: Runtime, started: Started) -> LiveStream:
    """Run a new answer in this process, as a task that no connection owns. Returns its live stream.

    Nothing has run when this returns: who attaches to the stream before the next await misses nothing.
    """
    stream = runtime.following.expect(
        generation_id=started.generation_id,
        conversation_id=started.conversation_id,
        turn_id=started.turn_id,
        model=started.model,
        continues=started.continues_id,
    )
    log_state(
        "queued", generation_id=started.generation_id, turn_id=started.turn_id, model=started.model, attempt=0
    )
    runtime.spawn(started.generation_id, started.claim)
    return stream


async def announce_start(started: Started, *, user_id: int) -> None:
    """Tell everybody who shows the conversation that it has a new question or version."""
    await publish(
        conversation_topic(started.conversation_id),
        events.conversation_updated(
            started.conversation_id,
            "turn",
            turn_id=str(started.turn_id),
            generation_id=str(started.generation_id),
            text=started.text,
            model=started.model,
            edits=None if started.edits is None else str(started.edits),
        ),
    )
    told = [events.conversation_updated(started.conversation_id, "busy", busy=True)]
    if started.title is not None:
        titled = events.conversation_updated(
            started.conversation_id, "title", title=started.title, listed=True
        )
        temporary = Conversation.objects.filter(pk=started.conversation_id, temporary=True)
        if await in_database(temporary.exists):
            # A temporary chat is listed nowhere: only those who show it hear of its title.
            await publish(conversation_topic(started.conversation_id), titled)
            return
        told.insert(0, titled)
    await publish(user_topic(user_id), *told)


async def stop(
    runtime: Runtime, *, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID
) -> Generation | None:
    """Stop the live answer of a turn, wherever it is written. None when there is nothing to stop."""
    generation = await in_database(
        stops.stop_turn, user_id=user_id, conversation_id=conversation_id, turn_id=turn_id
    )
    if generation is None:
        return None
    if generation.state == State.STOPPED:
        log_state("stopped", generation_id=generation.pk, turn_id=turn_id, model=generation.model)
        await runtime.announce_stopped(generation)
        await publish(user_topic(user_id), events.conversation_updated(conversation_id, "busy", busy=False))
    elif not runtime.stop(generation.pk):
        await runtime.stop_elsewhere(generation.pk)
    return generation


async def summarise(
    runtime: Runtime, *, user_id: int, conversation_id: uuid.UUID, summary_id: uuid.UUID, model: str = ""
) -> asyncio.Event | None:
    """Start a summary and run it here, even if the client leaves meanwhile. Raises as ``start_summary``.

    Returns what is set at its end; None where the same id was used before.
    """
    made = _summarise(runtime, user_id, conversation_id, summary_id, model)
    return await asyncio.shield(asyncio.ensure_future(made))


async def _summarise(
    runtime: Runtime, user_id: int, conversation_id: uuid.UUID, summary_id: uuid.UUID, model: str
) -> asyncio.Event | None:
    claim = await in_database(
        start_summary, user_id=user_id, conversation_id=conversation_id, summary_id=summary_id, model=model
    )
    if claim is None:
        return None
    ended = asyncio.Event()

    async def run() -> None:
        try:
            await run_summary(claim, runtime)
        finally:
            ended.set()

    runtime.run_aside(run())
    summary = await in_database(Summary.objects.get, pk=summary_id)
    await publish(conversation_topic(conversation_id), await in_database(summary_event, summary))
    return ended


async def stop_summary(runtime: Runtime, *, user_id: int, conversation_id: uuid.UUID) -> Summary | None:
    """Stop the summary that is being made, wherever that is. None when there is none."""
    found = await in_database(summary_waits.stop_summary, user_id=user_id, conversation_id=conversation_id)
    if found is None:
        return None
    summary, ended = found
    if ended is not None:
        await announce_summary(ended)
    if not runtime.stop(summary.pk):
        await runtime.stop_elsewhere(summary.pk)
    return summary


async def switch(
    runtime: Runtime,
    *,
    user_id: int,
    conversation_id: uuid.UUID,
    turn_id: uuid.UUID,
    model: str,
    confirmed: bool = True,
) -> Generation:
    """Give a waiting answer to another model and run it here, whoever was to wake it."""
    generation, left = await in_database(
        switches.switch_turn,
        user_id=user_id,
        conversation_id=conversation_id,
        turn_id=turn_id,
        model=model,
        confirmed=confirmed,
    )
    await runtime.following.stream_of(generation)
    await runtime.announce_waiting(generation, here=True)
    # Before the new attempt, which may ask for a place in the same queue.
    if left:
        await leave_queue(runtime, generation.pk, left)
    runtime.spawn(generation.pk)
    return generation


async def schedule(
    runtime: Runtime, *, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID
) -> Generation:
    """Send a waiting answer when the provider takes it."""
    generation = await in_database(
        switches.schedule_turn, user_id=user_id, conversation_id=conversation_id, turn_id=turn_id
    )
    await runtime.announce_waiting(generation)
    return generation
