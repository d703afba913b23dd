"""A client that behaves as the page does: it keeps its question until it is accepted, reconnects, resumes.

The wire between it and the server may break at any moment; what it shows must not. Each socket that it
opens after the first is a *reconnect*, and after each of them what it shows is compared with the words
that the provider really sent.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

ENDS = {f"generation.{end}": end for end in ("completed", "stopped", "interrupted", "failed")}
RECONNECT_SECONDS = 0.1
OPEN_SECONDS = 10.0
# The server could not take the question: it is sent again.
UNAVAILABLE_SECONDS = 0.5
# A line that is silent for this long is asked with a ping, and given up when it stays silent.
SILENCE_SECONDS = 5.0


@dataclass
class Shown:
    """An answer as this client shows it."""

    turn_id: uuid.UUID
    text: str = ""  # the question
    whole: str = ""  # the words that the provider sends for it
    generation_id: str = ""
    epoch: int = 0
    seq: int = 0
    answer: str = ""
    state: str = "queued"
    deltas: int = 0  # received in all
    doubled: int = 0  # deltas that it had already
    attached: bool = False
    resumed_at: int = -1
    gap_at: int = -1
    waits: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    refusal: dict[str, Any] | None = None
    streaming: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_live(self) -> bool:
        return self.end is None


class Viewer:
    """``async with Viewer(...) as viewer: shown = await viewer.ask(...)``; runs until it is left.

    ``address`` is asked for a server before each connection, as a proxy would choose one.
    """

    def __init__(
        self, conversation_id: uuid.UUID, secret: str, address: Callable[[], str], *, user_id: int = 0
    ) -> None:
        self.conversation_id, self.user_id, self.secret = conversation_id, user_id, secret
        self._open = asyncio.Event()
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._address = address
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._unanswered: dict[str, dict[str, Any]] = {}
        self.turns: dict[str, Shown] = {}
        self.sockets = 0
        self.connected_to = ""
        self.errors: list[dict[str, Any]] = []
        self.compared = 0  # how often, on a reconnect, what it shows was compared with what was sent
        self.differing: list[str] = []

    async def __aenter__(self) -> Viewer:
        self._task = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        # A wait that ends at this moment, with the server that is killed as well, swallows it.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)

    async def connected(self) -> None:
        await self._open.wait()

    @property
    def reconnects(self) -> int:
        return max(self.sockets - 1, 0)

    async def ask(self, text: str, model: str, *, whole: str = "") -> Shown:
        """``whole``: the words that the provider will send."""
        shown = Shown(uuid.uuid4(), text, whole)
        self.turns[str(shown.turn_id)] = shown
        await self._send({"type": "turn.create", "turn_id": str(shown.turn_id), "text": text, "model": model})
        return shown

    def expect(self, turn_id: uuid.UUID, text: str) -> Shown:
        """Show a turn that somebody else has asked."""
        shown = self.turns[str(turn_id)] = Shown(turn_id, text)
        return shown

    async def stop(self, shown: Shown) -> None:
        await self._send({"type": "turn.stop", "turn_id": str(shown.turn_id)})

    def cut(self) -> bool:
        """Break the connection as a lost network does. Returns whether there was one."""
        if self._socket is None:
            return False
        self._socket.transport.abort()
        return True

    # --- The line -----------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            try:
                await self._connection()
            except (OSError, TimeoutError, WebSocketException):
                pass
            finally:
                self._socket = None
                self._open.clear()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _connection(self) -> None:
        address = self._address()
        url = f"ws://{address}/ws/conversations/{self.conversation_id}/"
        async with connect(
            url,
            additional_headers=self._headers,
            max_size=None,
            compression=None,
            open_timeout=OPEN_SECONDS,
            ping_interval=None,
            close_timeout=1,
        ) as socket:
            self._socket, self.connected_to = socket, address
            self.sockets += 1
            self._open.set()
            await self._on_open()
            while True:
                await self._take(orjson.loads(await self._receive(socket)))

    async def _receive(self, socket: ClientConnection) -> str | bytes:
        try:
            return await asyncio.wait_for(socket.recv(), SILENCE_SECONDS)
        except TimeoutError:
            await self._send({"type": "ping"})
            return await asyncio.wait_for(socket.recv(), SILENCE_SECONDS * 2)

    async def _on_open(self) -> None:
        for shown in self.turns.values():
            self._compare(shown)
            if shown.generation_id and shown.is_live:
                await self._resume(shown)
        for frame in tuple(self._unanswered.values()):
            await self._transmit(frame)

    def _compare(self, shown: Shown) -> None:
        if self.sockets < 2 or not shown.whole:
            return
        self.compared += 1
        right = shown.end["text"] if shown.end is not None else shown.whole
        if not shown.whole.startswith(shown.answer) or not shown.whole.startswith(right):
            self.differing.append(f"{shown.generation_id} at {shown.seq}")

    async def _send(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "turn.create":
            self._unanswered[frame["turn_id"]] = frame
        await self._transmit(frame)

    async def _transmit(self, frame: dict[str, Any]) -> None:
        if self._socket is None:
            return
        try:
            await self._socket.send(orjson.dumps(frame).decode())
        except (OSError, WebSocketException):
            return  # the reader notices

    # --- What the server says -------------------------------------------------------

    async def _take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "error":
            self.errors.append(event)
            if event["code"] == "unavailable":
                await asyncio.sleep(UNAVAILABLE_SECONDS)
                for frame in tuple(self._unanswered.values()):
                    await self._transmit(frame)
            return
        if kind == "turn.accepted":
            self._unanswered.pop(event["turn_id"], None)
            shown = self.turns[event["turn_id"]]
            shown.generation_id, shown.attached = event["generation_id"], True
            return
        if kind == "turn.refused":
            self._unanswered.pop(event["turn_id"], None)
            self.turns[event["turn_id"]].refusal = event
            self.turns[event["turn_id"]].over.set()
            return
        shown_or_none = self._shown(event)
        if shown_or_none is None or not shown_or_none.is_live:
            return
        if kind == "generation.started":
            await self._started(shown_or_none, event)
        elif kind == "delta":
            await self._delta(shown_or_none, event)
        elif kind == "generation.waiting":
            shown_or_none.state = "waiting"
            shown_or_none.waits.append(event)
            shown_or_none.waiting.set()
        elif kind in ENDS:
            self._end(shown_or_none, event)

    def _shown(self, event: dict[str, Any]) -> Shown | None:
        generation_id = event.get("generation_id")
        if generation_id is None:
            return None
        for shown in self.turns.values():
            if shown.generation_id == generation_id:
                return shown
        shown_or_none = self.turns.get(event.get("turn_id", ""))
        if shown_or_none is not None and not shown_or_none.generation_id:
            shown_or_none.generation_id = generation_id
        return shown_or_none

    async def _started(self, shown: Shown, event: dict[str, Any]) -> None:
        lost = event["epoch"] == shown.epoch and event["seq"] < shown.seq and shown.resumed_at == shown.seq
        if event["epoch"] != shown.epoch or lost:
            shown.seq, shown.answer, shown.epoch = 0, "", event["epoch"]
        shown.state, shown.gap_at = "streaming" if shown.seq else "running", -1
        if shown.attached and shown.seq == 0:
            return
        await self._resume(shown)

    async def _resume(self, shown: Shown) -> None:
        shown.attached, shown.resumed_at = True, shown.seq
        await self._transmit(
            {
                "type": "stream.resume",
                "generation_id": shown.generation_id,
                "after_seq": shown.seq,
                "epoch": shown.epoch,
            }
        )

    async def _delta(self, shown: Shown, event: dict[str, Any]) -> None:
        shown.deltas += 1
        if event["seq"] <= shown.seq:
            shown.doubled += 1
            return
        if event["seq"] > shown.seq + 1:
            if shown.gap_at != shown.seq:
                shown.gap_at = shown.seq
                await self._resume(shown)
            return
        shown.seq, shown.answer = event["seq"], shown.answer + event["text"]
        shown.state, shown.gap_at = "streaming", -1
        shown.streaming.set()

    def _end(self, shown: Shown, event: dict[str, Any]) -> None:
        shown.state, shown.end = ENDS[event["type"]], event
        shown.over.set()
