"""Live streams: what this process knows of the answers being written now.

A :class:`LiveStream` holds the deltas of one generation, numbered from 1 without gaps. It is fed by
``run_generation`` in the process that runs it, and by the stream log everywhere else; sockets attach
to it in both cases alike and send from it at their own speed. So the text is in memory once, however
many tabs watch, and a slow client delays nobody.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

Wake = Callable[[], None]


def expected() -> None:
    """A watcher in place of one that is about to come."""


class LiveStream:
    """The deltas of one generation in its current epoch.

    ``deltas[n - 1]`` is the text with seq ``n``. ``epoch`` 0 means that no attempt has started yet.
    ``end`` is the terminal event once there is one; nothing is added after it.
    """

    __slots__ = (
        "caught_up",
        "continues",
        "conversation_id",
        "deltas",
        "end",
        "ended",
        "epoch",
        "finished_at",
        "generation_id",
        "local",
        "model",
        "notes",
        "turn_id",
        "waiting",
        "watchers",
    )

    def __init__(
        self,
        *,
        generation_id: uuid.UUID,
        conversation_id: uuid.UUID,
        turn_id: uuid.UUID,
        model: str,
        continues: uuid.UUID | None = None,
        local: bool,
    ) -> None:
        self.generation_id = generation_id
        self.conversation_id = conversation_id
        self.turn_id = turn_id
        self.model = model
        self.notes: list[dict[str, Any]] = []  # what a person should know: see conversations.notes
        self.continues = continues
        self.local = local  # run by this process: what it holds is all there is
        self.caught_up = local  # a follower that has read the log to its end
        self.epoch = 0
        self.deltas: list[str] = []
        self.end: dict[str, Any] | None = None
        self.finished_at: datetime | None = None  # known where this process has ended it
        self.waiting: dict[str, Any] | None = None  # the event of the wait for the next attempt
        self.ended = asyncio.Event()
        self.watchers: set[Wake] = set()

    @property
    def seq(self) -> int:
        return len(self.deltas)

    def begin(self, epoch: int) -> None:
        """A new attempt starts: whatever an earlier epoch had written is void."""
        self.epoch = epoch
        self.deltas = []
        self.waiting = None
        self._wake()

    def wait(self, event: dict[str, Any]) -> None:
        """The attempt of the event's epoch was put off. Nothing, when the next one has begun already."""
        if self.end is None and event["epoch"] >= self.epoch:
            self.waiting = event
            self._wake()

    def append(self, text: str) -> None:
        self.deltas.append(text)
        for wake in self.watchers:
            wake()

    def extend(self, first_seq: int, texts: list[str]) -> bool:
        """Add a record of the log, skipping what is known. False: there is a gap before it."""
        known = len(self.deltas)
        if first_seq > known + 1:
            return False
        fresh = texts[known + 1 - first_seq :]
        if fresh:
            self.deltas.extend(fresh)
            self._wake()
        return True

    def finish(self, event: dict[str, Any], *, at: datetime | None = None) -> None:
        if self.end is None:
            self.end, self.finished_at = event, at
            self.ended.set()
            self._wake()

    async def reach(self, seq: int) -> None:
        """Wait until the delta with this number is here, or the end."""
        changed = asyncio.Event()
        self.watchers.add(changed.set)
        try:
            while self.seq < seq and self.end is None:
                changed.clear()
                await changed.wait()
        finally:
            self.watchers.discard(changed.set)

    def text(self) -> str:
        return "".join(self.deltas)

    def started_event(self) -> dict[str, Any]:
        event: dict[str, Any] = {
            "type": "generation.started",
            "generation_id": str(self.generation_id),
            "turn_id": str(self.turn_id),
            "model": self.model,
            "epoch": self.epoch,
            "seq": self.seq,
        }
        if self.notes:
            event["notes"] = self.notes
        if self.continues is not None:
            event["continues"] = str(self.continues)
        return event

    def _wake(self) -> None:
        for wake in self.watchers:
            wake()


class Attachment:
    """One reader's place in a live stream: which epoch it has announced and the last seq it has sent."""

    __slots__ = ("_delta_prefix", "cursor", "epoch", "held", "is_over", "stream", "waiting")

    def __init__(self, stream: LiveStream, *, held: bool = False) -> None:
        self.stream = stream
        self.epoch = 0
        self.cursor = 0
        self.waiting: dict[str, Any] | None = None  # the wait that it has announced
        # The terminal event was handed out. It may come to the stream while the frames before it are sent.
        self.is_over = False
        # Held back until the reader has said from where to resume.
        self.held = held
        self._delta_prefix = f'{{"type":"delta","generation_id":"{stream.generation_id}","seq":'

    def resume(self, after_seq: int, epoch: int | None = None) -> None:
        """Continue after ``after_seq`` of the epoch; None = the stream's present one.

        A place that the answer has not reached starts it over, and so does one in an epoch that is gone.
        """
        stream = self.stream
        known = stream.epoch if epoch is None else epoch
        is_beyond = stream.caught_up and (known, after_seq) > (stream.epoch, stream.seq)
        if after_seq == 0 or is_beyond:
            known, after_seq = 0, 0  # announced anew, so that the reader starts with nothing
            self.waiting = None
        self.epoch, self.cursor = known, after_seq
        self.held = False

    def pending(self) -> list[str]:
        """The frames that are due now, as JSON, in order; moves the place behind them."""
        stream = self.stream
        frames: list[str] = []
        if stream.epoch > self.epoch or (stream.epoch < self.epoch and stream.caught_up):
            self.epoch, self.cursor = stream.epoch, 0
            frames.append(orjson.dumps(stream.started_event()).decode())
        # The terminal event carries the whole text: who has not said where to resume needs no deltas.
        may_send = not self.held and self.epoch == stream.epoch
        while may_send and self.cursor < len(stream.deltas):
            text = stream.deltas[self.cursor]
            self.cursor += 1
            frames.append(f'{self._delta_prefix}{self.cursor},"text":{orjson.dumps(text).decode()}}}')
        if stream.waiting is not None and stream.waiting is not self.waiting:
            self.waiting = stream.waiting
            frames.append(orjson.dumps(stream.waiting).decode())
        if stream.end is not None:
            frames.append(orjson.dumps(stream.end).decode())
            self.is_over = True
        return frames
