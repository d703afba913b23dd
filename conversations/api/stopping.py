"""Stopping an answer from REST and waiting for its end."""

from __future__ import annotations

from conversations.api.watching import Watch
from conversations.launch import stop
from conversations.models import Generation, Turn
from conversations.request_threads import release_request_thread
from conversations.runtime import get_runtime

STOP_WAIT_SECONDS = 5.0


async def stop_and_wait(*, user_id: int, turn: Turn) -> Generation | None:
    """Stop the live answer of a turn and wait for its end, at most ``STOP_WAIT_SECONDS``.

    None when there is nothing to stop. The row is as it was when the stop was asked for.
    """
    runtime = get_runtime()
    generation = await stop(
        runtime, user_id=user_id, conversation_id=turn.conversation_id, turn_id=turn.turn_id
    )
    if generation is not None and generation.is_live:
        release_request_thread()
        stream = await runtime.following.stream_of(generation)
        async with Watch(runtime, stream, elsewhere=True) as watch:
            await watch.ended(seconds=STOP_WAIT_SECONDS)
    return generation
