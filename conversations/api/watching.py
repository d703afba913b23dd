"""Waiting for an answer outside a socket: to its end, or event by event."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Self

import orjson

from conversations.broadcast import conversation_topic, listen, unlisten
from conversations.ear import Ear
from conversations.events import Event
from conversations.live import Attachment, LiveStream, expected
from conversations.models import WaitingReason
from conversations.runtime import Runtime

HEARTBEAT_SECONDS = 15.0


class Watch:
    """Follows one live stream while it is entered, also through attempts that other processes make.

    The channel layer is joined only when the answer is written elsewhere or starts to wait: the usual
    answer of this process costs nothing there. A notice that is lost is made up for by the runtime, which
    compares every watched stream with the database.
    """

    def __init__(self, runtime: Runtime, stream: LiveStream, *, elsewhere: bool = False) -> None:
        self._runtime = runtime
        self._stream = stream
        self._elsewhere = elsewhere
        self._wake = asyncio.Event()
        self._ear: Ear | None = None
        self._topic = conversation_topic(stream.conversation_id)
        self._choice: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        self._stream.watchers.add(self._wake.set)
        self._stream.watchers.discard(expected)
        listen(self._topic, self._on_event)
        if self._stream.waiting is not None:
            self._on_event(self._stream.waiting)  # it was announced before there was anybody to hear
        if self._elsewhere:
            self._join()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stream.watchers.discard(self._wake.set)
        unlisten(self._topic, self._on_event)
        if self._ear is not None:
            await self._ear.close()

    async def ended(self, *, seconds: float) -> bool:
        """Wait for the end of the answer, at most so long. Returns whether it came."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stream.ended.wait(), seconds)
        return self._stream.end is not None

    async def ended_or_choice(self, *, seconds: float) -> Event | None:
        """The same, but also until the answer waits for a choice of the person: returns that event then."""
        ended = asyncio.ensure_future(self._stream.ended.wait())
        try:
            await asyncio.wait((ended, self._choice), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        return self._choice.result() if self._choice.done() and self._stream.end is None else None

    async def events(self, *, after_seq: int = 0) -> AsyncIterator[list[Event]]:
        """The events as they come, in batches, up to the terminal one; an empty batch = a silence."""
        place = Attachment(self._stream)
        if after_seq:
            place.resume(after_seq)
        while True:
            self._wake.clear()
            batch: list[Event] = [orjson.loads(frame) for frame in place.pending()]
            if batch:
                yield batch
            if place.is_over:
                return
            if batch and self._wake.is_set():
                continue
            try:
                await asyncio.wait_for(self._wake.wait(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield []

    def _on_event(self, event: Event, *, from_elsewhere: bool = False) -> None:
        if event.get("generation_id") != str(self._stream.generation_id):
            return
        if event["type"] == "generation.waiting":
            self._stream.wait(event)
            if event["reason"] == WaitingReason.CHOICE and not self._choice.done():
                self._choice.set_result(event)
            self._join()
        elif event["type"] == "notice.ended" or (event["type"] == "notice.started" and from_elsewhere):
            self._runtime.following.heed(self._stream, event)

    def _join(self) -> None:
        if self._ear is None:
            self._ear = Ear([self._topic], partial(self._on_event, from_elsewhere=True))
