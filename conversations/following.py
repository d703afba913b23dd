"""The live streams of answers that other processes write.

Whoever shows such an answer follows it: its words come from the stream log into a live stream like
those of this process's own answers, its end from the database. Notices through the channel layer only
nudge; what they miss is found by comparing with the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Container, Coroutine
from typing import Any

from conversations import endings
from conversations.database import in_database
from conversations.events import Event
from conversations.live import LiveStream
from conversations.models import CLAIMED_STATES, Generation
from conversations.notes import Note, notes_of
from conversations.stream_log import LogReader, connect_to_read
from conversations.waiting_events import untold_wait

logger = logging.getLogger(__name__)

# A stream that is followed and silent for this long is compared with the database.
RECONCILE_SECONDS = 2.0
# After the end was announced, the log may still bring the last words for this long.
LAST_WORDS_SECONDS = 1.0


class Following:
    """Which of a process's live streams are followed, and by what they are fed.

    ``streams`` are all live streams of the process, ``attempts`` what it runs itself; ``run_aside`` runs
    a coroutine until the process ends.
    """

    def __init__(
        self,
        streams: dict[uuid.UUID, LiveStream],
        attempts: Container[uuid.UUID],
        run_aside: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._streams = streams
        self._attempts = attempts
        self._run_aside = run_aside
        self._reader = LogReader(connect_to_read(), self._on_log_end)

    async def run(self) -> None:
        """Read the log; starts, waits and ends whose notice was lost are found in the database."""
        self._reader.start()
        while True:
            await asyncio.sleep(RECONCILE_SECONDS)
            try:
                await self.reconcile()
            except Exception:
                logger.exception("followed answers could not be compared; they are compared again")

    async def close(self) -> None:
        await self._reader.close()
        await self._reader.client.aclose()

    async def stream_of(self, generation: Generation) -> LiveStream:
        """The live stream of a generation that has not ended; followed by the log if it runs elsewhere."""
        notes = await in_database(notes_of, generation)
        stream = self.expect(
            generation_id=generation.pk,
            conversation_id=generation.conversation_id,
            turn_id=generation.turn.turn_id,
            model=generation.model,
            continues=generation.continues_id,
        )
        if not stream.local:
            stream.model, stream.notes = generation.model, notes
            if generation.state in CLAIMED_STATES:
                self._follow(stream, generation.epoch)
        return stream

    def expect(
        self,
        *,
        generation_id: uuid.UUID,
        conversation_id: uuid.UUID,
        turn_id: uuid.UUID,
        model: str,
        continues: uuid.UUID | None = None,
    ) -> LiveStream:
        """The live stream of a generation that this process is about to run."""
        stream = self._streams.get(generation_id)
        if stream is None:
            stream = self._streams[generation_id] = LiveStream(
                generation_id=generation_id,
                conversation_id=conversation_id,
                turn_id=turn_id,
                model=model,
                continues=continues,
                local=False,
            )
        return stream

    def forget(self, stream: LiveStream) -> None:
        """Take no more words from the log."""
        self._reader.forget(stream)

    def heed(self, stream: LiveStream, notice: dict[str, Any]) -> None:
        """A notice from another process: an answer started or ended there."""
        if stream.generation_id in self._attempts or stream.end is not None:
            return
        if notice["type"] == "notice.started":
            stream.local = False
            if notice["epoch"] > stream.epoch:
                stream.model, stream.notes = notice["model"], notice.get("notes", [])
            self._follow(stream, notice["epoch"])
        elif notice["type"] == "notice.ended":
            self._run_aside(self.end_by_database(stream))

    async def end_by_database(self, stream: LiveStream) -> None:
        """Finish a followed stream with the terminal event, which only the database knows."""
        event = await in_database(endings.ended_event, stream.generation_id)
        if event is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stream.reach(event["seq"]), LAST_WORDS_SECONDS)
        self._reader.forget(stream)
        if self._streams.get(stream.generation_id) is stream:
            del self._streams[stream.generation_id]
        stream.finish(event)

    async def reconcile(self) -> None:
        """Compare what is followed with the database, and give up what nobody watches."""
        followed = [stream for stream in self._streams.values() if not stream.local]
        for stream in followed:
            if not stream.watchers and stream.generation_id not in self._attempts:
                self._reader.forget(stream)
                self._streams.pop(stream.generation_id, None)
        watched = {stream.generation_id: stream.waiting for stream in followed if stream.watchers}
        if not watched:
            return
        rows = await in_database(_states, watched)
        for row, notes, wait in rows:
            found = self._streams.get(row.pk)
            if found is None or found.local:
                continue
            if not row.is_live:
                self._run_aside(self.end_by_database(found))
            elif row.epoch > found.epoch and row.state in CLAIMED_STATES:
                found.model, found.notes = row.model, notes
                self._follow(found, row.epoch)
            elif wait is not None:
                found.wait(wait)

    def _follow(self, stream: LiveStream, epoch: int) -> None:
        """Take the words of this epoch from the log; another process writes them."""
        is_over = stream.waiting is not None and stream.waiting["epoch"] >= epoch
        if epoch > stream.epoch and not stream.local and not is_over:
            stream.begin(epoch)
            self._reader.follow(stream)

    async def _on_log_end(self, stream: LiveStream) -> None:
        self._run_aside(self.end_by_database(stream))


def _states(told: dict[uuid.UUID, Event | None]) -> list[tuple[Generation, list[Note], Event | None]]:
    """How the generations stand, and the waits that differ from those that were ``told``."""
    rows = Generation.objects.filter(pk__in=told).defer("text", "html")
    return [(row, notes_of(row), untold_wait(row, told[row.pk])) for row in rows]
