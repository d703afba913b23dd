"""What one process keeps for the answers it runs and the answers it shows.

One :class:`Runtime` per event loop: the running attempts, the live streams, the writer of the stream
log, what follows the answers of other processes, the heartbeat, and the ear for their stop requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
import uuid
import weakref
from collections.abc import Coroutine
from typing import Any

from django.utils import timezone
from redis.exceptions import RedisError

from conversations import events
from conversations.admission.gate import Gate
from conversations.admission.results import Result
from conversations.attempts import Claim, Ended
from conversations.broadcast import PROCESS_ID, conversation_topic, publish, user_topic
from conversations.cancelling import end_tasks
from conversations.database import in_database
from conversations.doorkeeper import Doorkeeper
from conversations.following import Following
from conversations.generation import run_generation
from conversations.heartbeat import Heartbeat
from conversations.hints import ended_notice, started_notice, tell_worker
from conversations.live import LiveStream
from conversations.lookout import Lookout
from conversations.models import Generation, WaitingReason
from conversations.queue_calls import leave_queue
from conversations.running import Attempt
from conversations.stream_log import LogWriter, connect, connect_to_write
from conversations.summary_runs import SummaryRun
from conversations.waiting_events import waiting_event
from llm.registry import aclose_all

logger = logging.getLogger(__name__)

CONTROL_CHANNEL = "chatsite:stop"
RECONNECT_SECONDS = 0.5
# Summaries and titles write down what they have cost.
CHORES_SECONDS = 5.0


class Runtime:
    def __init__(self) -> None:
        self.process_id = PROCESS_ID
        self.draining = False
        self.streams: dict[uuid.UUID, LiveStream] = {}
        self.attempts: dict[uuid.UUID, Attempt] = {}
        self.summaries: dict[uuid.UUID, SummaryRun] = {}
        self._runs: set[asyncio.Task[None]] = set()
        self._chores: set[asyncio.Task[Any]] = set()
        self.doorkeeper = Doorkeeper()
        self.lookout = Lookout()
        self._client = connect_to_write()
        self._ear = connect()
        self.log = LogWriter(self._client)
        self.gate = Gate()
        self.following = Following(self.streams, self.attempts, self.run_aside)

    def start(self) -> None:
        self.log.start()
        for chore in (
            Heartbeat(self.attempts).run(),
            self._control_loop(),
            self.following.run(),
            self.doorkeeper.run(),
            self.lookout.run(),
        ):
            self._keep(chore)

    # --- Running ------------------------------------------------------------

    def spawn(self, generation_id: uuid.UUID, prepared: Claim | None = None) -> asyncio.Task[None]:
        """Run the generation as a task of its own, which no socket owns."""
        if self.draining:
            run: Coroutine[Any, Any, None] = _hand_over(generation_id)
        else:
            run = run_generation(generation_id, self, prepared)
        task = asyncio.create_task(run, name=f"generation {generation_id}")
        self._runs.add(task)
        task.add_done_callback(self._run_done)
        return task

    def run_aside(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run what is no answer and belongs to no connection; it is cancelled when the process ends."""
        self._keep(coroutine)

    def _run_done(self, task: asyncio.Task[None]) -> None:
        self._runs.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease runs out and the sweeper takes over.
            logger.error("%s ended with an error", task.get_name(), exc_info=error)

    def begin(self, claim: Claim) -> Attempt:
        """Open the live stream of a claimed generation and make the attempt known to stop and heartbeat."""
        stream = self.following.expect(
            generation_id=claim.generation_id,
            conversation_id=claim.conversation_id,
            turn_id=claim.turn_id,
            model=claim.profile.model_id,
            continues=claim.continues_id,
        )
        self.following.forget(stream)
        stream.local = stream.caught_up = True
        self.log.begin(stream)
        stream.model, stream.notes = claim.profile.model_id, claim.notes
        stream.begin(claim.epoch)
        task = asyncio.current_task()
        assert task is not None
        now = time.monotonic()
        attempt = Attempt(claim=claim, stream=stream, task=task, started_at=now, last_event_at=now)
        self.attempts[claim.generation_id] = attempt
        self._keep(publish(conversation_topic(claim.conversation_id), started_notice(stream)))
        if self.draining:
            attempt.cancel("handover")  # it was being claimed when the end of the process began
        return attempt

    def heard(self, attempt: Attempt) -> None:
        """The provider answers: where a breaker waits for this, it need not wait for the end."""
        admission = attempt.admission
        if admission is not None and admission.probe:
            self._keep(self.gate.report(admission, Result("ok")))

    def forget(self, attempt: Attempt) -> None:
        generation_id = attempt.claim.generation_id
        if self.attempts.get(generation_id) is not attempt:
            return  # the next attempt has begun here already
        del self.attempts[generation_id]
        if attempt.stream.end is None:
            # It waits, or another process has it: from now on this one only follows.
            attempt.stream.local = attempt.stream.caught_up = False
            self.log.begin(attempt.stream)

    def stop(self, generation_id: uuid.UUID) -> bool:
        """Stop the answer, or the summary, if this process writes it. False: the database must be asked."""
        if generation_id in self.summaries:
            self.summaries[generation_id].stop()
            return True
        attempt = self.attempts.get(generation_id)
        if attempt is None or attempt.concluding:
            return False
        attempt.cancel("stopped")
        return attempt.cancelled == "stopped"

    async def stop_elsewhere(self, generation_id: uuid.UUID) -> None:
        """Ask the process that writes it; its heartbeat finds the request in the database anyway."""
        with contextlib.suppress(RedisError, OSError):
            await self._client.publish(CONTROL_CHANNEL, str(generation_id))

    # --- Announcing -----------------------------------------------------------

    async def announce_end(self, generation_id: uuid.UUID, ended: Ended) -> None:
        """Bring the terminal event to every socket: through the live stream here, by a notice elsewhere."""
        stream = self.streams.pop(generation_id, None)
        if stream is not None:
            stream.finish(ended.event, at=ended.finished_at)
            if stream.local:
                await self.log.end(stream)
        notice = ended_notice(generation_id, ended.conversation_id, ended.event["turn_id"])
        await publish(conversation_topic(ended.conversation_id), notice)
        over = events.conversation_updated(ended.conversation_id, "busy", busy=False)
        await publish(user_topic(ended.user_id), over, *events.budgets_changed(ended.meters))

    async def announce_stopped(self, generation: Generation) -> None:
        """The stop of an answer that no process was writing: it is over."""
        stream = self.streams.get(generation.pk)
        if stream is not None:
            await self.following.end_by_database(stream)
        if generation.place is not None:
            await leave_queue(self, generation.pk, generation.model)
        notice = ended_notice(generation.pk, generation.conversation_id, str(generation.turn.turn_id))
        await publish(conversation_topic(generation.conversation_id), notice)

    async def announce_waiting(self, generation: Generation, *, here: bool = False) -> None:
        """``here``: this process takes it up again itself, at once."""
        event = await in_database(waiting_event, generation)
        stream = self.streams.get(generation.pk)
        if stream is not None and generation.epoch >= stream.epoch:
            stream.local = False  # any process may make the next attempt
            stream.wait(event)
        await publish(conversation_topic(generation.conversation_id), event)
        if here or generation.waiting_reason == WaitingReason.CHOICE:
            return
        if generation.run_after is not None:
            delay = (generation.run_after - timezone.now()).total_seconds()
            self._keep(asyncio.to_thread(tell_worker, generation.pk, delay_seconds=max(delay, 0.0)))

    # --- Stop requests from other processes ------------------------------

    async def _control_loop(self) -> None:
        while True:
            try:
                async with self._ear.pubsub() as pubsub:
                    await pubsub.subscribe(CONTROL_CHANNEL)
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            self.stop(uuid.UUID(message["data"].decode()))
            except (RedisError, OSError):
                await asyncio.sleep(RECONNECT_SECONDS)
            except Exception:
                logger.exception("a request to stop could not be read; it goes on")
                await asyncio.sleep(RECONNECT_SECONDS)

    # --- The end of the process ----------------------------------------------------

    async def drain(self, *, seconds: float) -> None:
        """Take nothing new, hand over what has no word yet, give the others time, then keep what came."""
        self.draining = True
        for attempt in tuple(self.attempts.values()):
            if not attempt.stream.seq:
                attempt.cancel("handover")
        if self._runs:
            await asyncio.wait(tuple(self._runs), timeout=seconds)
        for attempt in tuple(self.attempts.values()):
            attempt.cancel("shutdown" if attempt.stream.seq else "handover")
        if self._runs:
            await asyncio.wait(tuple(self._runs), timeout=10)
        if self._chores:
            await asyncio.sleep(0)
        await self.close()

    async def close(self) -> None:
        await end_tasks(*self._chores, again_seconds=CHORES_SECONDS)
        await self.following.close()
        await self.log.close()
        await self._client.aclose()
        await self._ear.aclose()
        await self.gate.aclose()
        await aclose_all()

    def _keep(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(coroutine)
        self._chores.add(task)
        task.add_done_callback(self._chore_done)

    def _chore_done(self, task: asyncio.Task[Any]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a chore of the runtime failed", exc_info=error)


async def _hand_over(generation_id: uuid.UUID) -> None:
    """This process takes nothing new: another one is told."""
    await asyncio.to_thread(tell_worker, generation_id)


_runtimes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Runtime] = weakref.WeakKeyDictionary()


def get_runtime() -> Runtime:
    """The runtime of the running event loop; made and started on first use."""
    loop = asyncio.get_running_loop()
    runtime = _runtimes.get(loop)
    if runtime is None:
        runtime = _runtimes[loop] = Runtime()
        # Its chores serve everybody: their lines must not carry the ids of whoever came first.
        contextvars.Context().run(runtime.start)
    return runtime


async def shut_down(*, seconds: float) -> None:
    """Drain the runtime of the running loop, if it has one."""
    loop = asyncio.get_running_loop()
    runtime = _runtimes.get(loop)
    if runtime is None:
        return
    try:
        await runtime.drain(seconds=seconds)
    finally:
        # Not before: what arrives meanwhile must find the one that takes nothing new.
        _runtimes.pop(loop, None)
