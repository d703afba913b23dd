"""The WebSocket door: authorise, parse, call a verb, pass on what the live streams and topics bring."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer
from structlog.contextvars import bind_contextvars

from conversations import endings, events, frames, starts, turns
from conversations.broadcast import conversation_topic, listen, unlisten, user_topic
from conversations.counting import in_database_counted
from conversations.database import in_database
from conversations.ear import Ear
from conversations.exceptions import Refusal
from conversations.feed import Feed
from conversations.launch import announce_start, launch, schedule, stop, switch
from conversations.live import Attachment, LiveStream
from conversations.models import Generation, State
from conversations.runtime import Runtime, get_runtime
from conversations.socket_auth import Headers, Visitor, admit
from conversations.standings import Begun, Standing
from conversations.waiting_events import waiting_event

logger = logging.getLogger(__name__)

Event = dict[str, Any]

FRAME_LIMIT_BYTES = 65_536
CLOSE_TOO_BIG = 1009
CLOSE_SIGNED_OUT = 4401


class ConversationConsumer(AsyncConsumer):  # type: ignore[misc]  # channels ships no types
    """One socket on one conversation."""

    runtime: Runtime
    visitor: Visitor
    conversation_id: uuid.UUID
    headers: Headers

    def __init__(self) -> None:
        self.feed = Feed(self._send_text)
        self._topics: tuple[str, ...] = ()
        self._ear: Ear | None = None
        self._revision: int | None = None  # of the thread, as the client was told
        self._chores: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Not as channels does it, which asks the channel layer first: a socket opens without it too.
        self.scope, self.base_send = scope, send
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        finally:
            await self._leave()

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Channels would hop to a thread before each message to close old connections; the database
        # threads of this process look after their own.
        handler: Callable[[dict[str, Any]], Awaitable[None]] = getattr(self, get_handler_name(message))
        await handler(message)

    # --- Life of the socket -----------------------------------------------------

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        self.conversation_id = self.scope["url_route"]["kwargs"]["conversation_id"]
        self.headers = dict(self.scope["headers"])
        visitor = await in_database(admit, self.headers, self.conversation_id)
        if visitor is None:
            await self.base_send({"type": "websocket.close"})
            return
        self.visitor = visitor
        self.runtime = get_runtime()
        self._topics = (conversation_topic(self.conversation_id), user_topic(visitor.user_id))
        told = [(b"x-request-id", self.scope["request_id"].encode())] if "request_id" in self.scope else []
        await self.base_send({"type": "websocket.accept", "headers": told})
        for topic in self._topics:
            listen(topic, self.on_event)
        self._ear = Ear(self._topics, partial(self.on_event, from_elsewhere=True))
        await self._ear.joined()
        if visitor.live is not None:
            await self._attach(visitor.live, held=True)
        self._chores.append(asyncio.create_task(self.feed.run()))
        self.runtime.doorkeeper.watch(self, visitor.credential, self._on_unwelcome)
        self.runtime.lookout.watch(self.conversation_id, self)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        raise StopConsumer

    async def _leave(self) -> None:
        """However the socket ended: nothing of this process refers to it any more."""
        if self._topics:
            self.runtime.doorkeeper.forget(self)
            self.runtime.lookout.forget(self.conversation_id, self)
        self.feed.close()
        for chore in tuple(self._chores):
            chore.cancel()
        for topic in self._topics:
            unlisten(topic, self.on_event)
        if self._ear is not None:
            await self._ear.close()

    async def _on_unwelcome(self) -> None:
        """The person signed out, was deactivated or lost the key."""
        await self.base_send({"type": "websocket.close", "code": CLOSE_SIGNED_OUT})

    # --- Frames from the client ---------------------------------------------------

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        text = message.get("text")
        if text is None:
            await self.send_event(events.error("bad_frame", "Frames are JSON text, not binary."))
            return
        if len(text.encode(errors="replace")) > FRAME_LIMIT_BYTES:
            await self.base_send({"type": "websocket.close", "code": CLOSE_TOO_BIG})
            return
        try:
            frame = frames.parse_frame(text)
            bind_contextvars(turn_id=str(getattr(frame, "turn_id", "")))
            await self._handle(frame)
        except frames.BadFrame as error:
            await self.send_event(events.error(error.code, error.detail))
        except Exception:
            # Whatever it was, the socket and the answers on it go on. Sending the same ids again is safe.
            logger.exception("a frame could not be handled")
            detail = "The server could not do this now. Send it again in a moment."
            with contextlib.suppress(OSError, RuntimeError):  # the client may be gone
                await self.send_event(events.error("unavailable", detail))

    async def _handle(self, frame: frames.AnyFrame) -> None:
        match frame:
            case frames.TurnCreate() | frames.TurnEdit() | frames.TurnRetry() | frames.TurnContinue():
                await self._start(frame)
            case frames.TurnRegenerate():
                await self._start(frame)
            case frames.TurnStop():
                await self._stop(frame)
            case frames.TurnSwitch() | frames.TurnSchedule():
                await self._redirect(frame)
            case frames.StreamResume():
                await self._resume(frame)
            case frames.Ping():
                await self.send_event({"type": "pong"})

    async def _start(self, frame: frames.StartFrame) -> None:
        turn_id = frame.new_turn_id if isinstance(frame, frames.TurnEdit) else frame.turn_id
        try:
            started = await in_database_counted(
                starts.start,
                frame,
                user_id=self.visitor.user_id,
                conversation_id=self.conversation_id,
                is_asked=self.visitor.is_asked,
            )
        except Refusal as refusal:
            await self.send_event(events.turn_refused(turn_id, refusal))
            await in_database(turns.record_refused, refusal)
            return
        accepted = events.turn_accepted(started.turn_id, started.generation_id, started.estimate)
        if started.replayed:
            await self.send_event(accepted)
            await self._catch_up(started.generation_id, after_seq=0)
            return
        # Launched before anything is sent: where the client has gone by now, its answer runs all the same.
        self.feed.attach(launch(self.runtime, started))
        await self.send_event(accepted)
        await announce_start(started, user_id=self.visitor.user_id)

    async def _stop(self, frame: frames.TurnStop) -> None:
        for generation_id, attachment in self.feed.attachments.items():
            if attachment.stream.turn_id == frame.turn_id and self.runtime.stop(generation_id):
                return
        await stop(
            self.runtime,
            user_id=self.visitor.user_id,
            conversation_id=self.conversation_id,
            turn_id=frame.turn_id,
        )

    async def _redirect(self, frame: frames.TurnSwitch | frames.TurnSchedule) -> None:
        """What the person decides while the answer waits."""
        verb = partial(
            switch if isinstance(frame, frames.TurnSwitch) else schedule,
            self.runtime,
            user_id=self.visitor.user_id,
            conversation_id=self.conversation_id,
            turn_id=frame.turn_id,
        )
        try:
            if isinstance(frame, frames.TurnSwitch):
                confirmed = frame.confirm or not self.visitor.is_asked
                await verb(model=frame.model, confirmed=confirmed)
            else:
                await verb()
        except Refusal as refusal:
            await self.send_event(events.turn_refused(frame.turn_id, refusal))
            await in_database(turns.record_refused, refusal)

    async def _resume(self, frame: frames.StreamResume) -> None:
        await self._catch_up(frame.generation_id, after_seq=frame.after_seq, epoch=frame.epoch)

    # --- Live streams ---------------------------------------------------------------

    async def _attach(self, generation: Generation, *, held: bool = False) -> Attachment:
        """Show what is being written; ``held``: its words wait until the client says where it resumes."""
        stream = await self.runtime.following.stream_of(generation)
        # At once: a stream that nobody watches is forgotten, and then nothing tells of its end.
        attachment = self.feed.attach(stream, held=held)
        if generation.state == State.WAITING:
            stream.wait(await in_database(waiting_event, generation))
        return attachment

    async def _catch_up(self, generation_id: uuid.UUID, *, after_seq: int, epoch: int | None = None) -> None:
        attachment = self.feed.attachments.get(generation_id)
        if attachment is None:
            generation = await in_database(self._own_generation, generation_id)
            if generation is None:
                await self.send_event(events.error("not_found", "This generation does not exist."))
                return
            if not generation.is_live:
                await self.send_event(await in_database(endings.ended_event_of, generation))
                return
            attachment = await self._attach(generation)
        self.feed.resume(attachment, after_seq, epoch)

    def _own_generation(self, generation_id: uuid.UUID) -> Generation | None:
        return (
            Generation.objects.select_related("turn")
            .filter(pk=generation_id, conversation_id=self.conversation_id)
            .first()
        )

    # --- Events from elsewhere ----------------------------------------------------

    def on_event(self, event: Event, *, from_elsewhere: bool = False) -> None:
        if event["type"] == "generation.waiting":
            self._wait(event)
            return
        if not event["type"].startswith("notice."):
            self._send_soon(event)
            return
        generation_id = uuid.UUID(event["generation_id"])
        if self.feed.has_ended(generation_id):
            return
        stream = self._stream_of(event)
        if from_elsewhere or event["type"] == "notice.ended":
            self.runtime.following.heed(stream, event)

    def _wait(self, event: Event) -> None:
        """The wait goes the way of the words, so that it comes after the attempt that it follows."""
        if not self.feed.has_ended(uuid.UUID(event["generation_id"])):
            self._stream_of(event).wait(event)

    def _stream_of(self, event: Event) -> LiveStream:
        """The attached stream that the event is about; attached now, when it was not."""
        generation_id = uuid.UUID(event["generation_id"])
        known = self.feed.attachments.get(generation_id)
        if known is None:
            stream = self.runtime.following.expect(
                generation_id=generation_id,
                conversation_id=self.conversation_id,
                turn_id=uuid.UUID(event["turn_id"]),
                model=event["model"],
            )
            known = self.feed.attach(stream)
        return known.stream

    def on_standing(self, standing: Standing | None, begun: Begun | None) -> None:
        """What the database says, told where no notice may have come."""
        if standing is None:
            self._send_soon(events.conversation_updated(self.conversation_id, "deleted"))
            return
        is_told = begun is not None and self.feed.tells(begun.generation_id)
        is_revised, self._revision = standing.revision != self._revision, standing.revision
        if begun is None or not is_told or begun.turn_id != standing.head_turn_id or is_revised:
            self._send_soon(events.conversation_head(self.conversation_id, standing, begun))

    def _send_soon(self, event: Event) -> None:
        task = asyncio.ensure_future(self.send_event(event))
        self._chores.append(task)
        task.add_done_callback(self._chores.remove)

    async def send_event(self, event: Event) -> None:
        await self._send_text(orjson.dumps(event).decode())

    async def _send_text(self, text: str) -> None:
        # A server says by an OSError that the client has gone; that it has, comes as a message of its own.
        try:  # noqa: SIM105 - it runs for every token, and costs nothing this way
            await self.base_send({"type": "websocket.send", "text": text})
        except OSError:
            pass
