"""Sending over REST: start the answer, then wait for its end or stream it.

A client that goes away changes nothing: the answer belongs to no connection. It finds the answer again
by sending the same id once more.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import endings, events, turns
from conversations.api.history import Message, read_answer, told_answer
from conversations.api.message_serializers import MessageSerializer
from conversations.api.problems import Problem
from conversations.api.watching import Watch
from conversations.counting import in_database_counted
from conversations.database import in_database
from conversations.events import Event
from conversations.exceptions import Refusal
from conversations.launch import announce_start, launch
from conversations.live import LiveStream, expected
from conversations.models import Generation, State, WaitingReason
from conversations.queueing import Order, Started
from conversations.request_threads import release_request_thread
from conversations.runtime import Runtime, get_runtime
from conversations.waiting_events import waiting_event

EVENT_STREAM = "text/event-stream"
HEARTBEAT = b": still here\n\n"

# A failed answer has nothing to read. What of it lies with the request is no fault of the service.
FAILED_CODES = {
    "content_blocked": "content_blocked",
    "context_too_long": "context_too_long",
    "budget_exceeded": "budget_exceeded",
    "internal_error": "internal_error",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted send. ``stream`` is None when its answer, sent before, has already ended."""

    started: Started
    runtime: Runtime
    stream: LiveStream | None
    generation: Generation | None  # of a repeated send, as it is now

    def __post_init__(self) -> None:
        # Until somebody waits: a stream without a watcher is tidied away, and its end would reach nobody.
        if self.stream is not None:
            self.stream.watchers.add(expected)


def order_of(request: Request, fields: dict[str, Any]) -> Order:
    """What is asked for. Only a page is asked to confirm: a program has its budgets for that."""
    confirmed = fields.pop("confirm") or request.auth is not None
    return Order(**fields, confirmed=confirmed)


async def send(verb: Callable[[], Started], *, user_id: int) -> Sent:
    """Run the verb and its answer. Raises what the verb raises; a refusal by a budget is recorded.

    What has begun here is brought to an end even if the client leaves meanwhile.
    """
    return await asyncio.shield(asyncio.ensure_future(_send(verb, user_id)))


async def _send(verb: Callable[[], Started], user_id: int) -> Sent:
    try:
        started = await in_database_counted(verb)
    except Refusal as refusal:
        await in_database(turns.record_refused, refusal)
        raise
    runtime = get_runtime()
    if not started.replayed:
        sent = Sent(started, runtime, launch(runtime, started), None)
        await announce_start(started, user_id=user_id)
        return sent
    generation = await in_database(Generation.objects.select_related("turn").get, pk=started.generation_id)
    stream_or_none = await runtime.following.stream_of(generation) if generation.is_live else None
    return Sent(started, runtime, stream_or_none, generation)


async def answer(request: Request, sent: Sent, *, html: bool) -> HttpResponseBase:
    """The answer in the form that the client accepts: a stream of events, or JSON at the end."""
    if wants_events(request):
        response = StreamingHttpResponse(
            event_stream(sent, after_seq=_last_event_id(request)),
            content_type=f"{EVENT_STREAM}; charset=utf-8",
        )
        response["Cache-Control"] = "no-cache"
        response["X-Accel-Buffering"] = "no"
        return response
    return Response(MessageSerializer(await wait_for_answer(sent, html=html)).data)


def wants_events(request: Request) -> bool:
    accepted = request.headers.get("Accept", "").split(",")
    return any(one.partition(";")[0].strip().lower() == EVENT_STREAM for one in accepted)


def _last_event_id(request: Request) -> int:
    """Where a client that lost its stream goes on; 0 = from the beginning."""
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


# --- JSON ---------------------------------------------------------------------


async def wait_for_answer(sent: Sent, *, html: bool) -> Message:
    """The answer once it has ended. Raises Problem when it failed, or ``deadline`` when it takes too long."""
    if sent.stream is not None:
        release_request_thread()
        choice = await _open_choice(sent)
        async with Watch(sent.runtime, sent.stream, elsewhere=sent.started.replayed) as watch:
            choice = choice or await watch.ended_or_choice(seconds=settings.SEND_DEADLINE_SECONDS)
        if choice is not None:
            raise await _undecided(sent, choice, html)
        if sent.stream.end is None:
            raise await _deadline(sent, sent.stream, html)
    message = _told(sent, html)
    if message is None:
        message = await in_database(read_answer, sent.started.generation_id, html=html)
    if message.state == State.FAILED:
        raise _failed(message)
    return message


def _told(sent: Sent, html: bool) -> Message | None:
    """The answer as its end told it, where that says all that the database would."""
    started, stream = sent.started, sent.stream
    if stream is None or stream.end is None or stream.finished_at is None:
        return None
    if started.claim is None or not started.is_first:
        return None
    return told_answer(
        stream.end, created_at=started.claim.created_at, finished_at=stream.finished_at, html=html
    )


async def _open_choice(sent: Sent) -> Event | None:
    """What a repeated send finds waiting for a decision."""
    generation = sent.generation
    if generation is None or generation.waiting_reason != WaitingReason.CHOICE:
        return None
    return await in_database(waiting_event, generation)


async def _undecided(sent: Sent, event: Event, html: bool) -> Problem:
    """The provider asks for more patience than there is: the person, or the program, decides."""
    message = await in_database(read_answer, sent.started.generation_id, html=html)
    return Problem(
        "choice_required",
        f"{event['detail']} Switch the turn to another model, schedule it, or stop it.",
        options=event["options"],
        retry_after=math.ceil(event["wait_seconds"]),
        resets_at=event["retry_at"],
        message=_plain(message),
    )


async def _deadline(sent: Sent, stream: LiveStream, html: bool) -> Problem:
    message = await in_database(read_answer, sent.started.generation_id, html=html)
    if stream.seq > (message.seq or 0):  # the database is up to a second behind
        message = replace(message, text=stream.text(), seq=stream.seq)
    return Problem(
        "deadline",
        f"The answer takes longer than {settings.SEND_DEADLINE_SECONDS:g} s. It goes on: read it from the "
        "messages, or send the same turn_id again to wait for it.",
        message=_plain(message),
    )


def _failed(message: Message) -> Problem:
    error = message.error or {"code": "internal_error", "detail": "There is no answer.", "options": []}
    return Problem(
        FAILED_CODES.get(error["code"], "model_unavailable"),
        error["detail"],
        options=error["options"],
        error=error,
        message=_plain(message),
    )


def _plain(message: Message) -> dict[str, object]:
    return dict(MessageSerializer(message).data)


# --- Server-sent events ---------------------------------------------------------


async def event_stream(sent: Sent, *, after_seq: int) -> AsyncIterator[bytes]:
    """The events of the socket, as server-sent events; deltas carry their seq as id."""
    started = sent.started
    accepted = events.turn_accepted(started.turn_id, started.generation_id, started.estimate)
    if sent.stream is None:
        ended = await in_database(endings.ended_event, started.generation_id)
        yield sse(accepted) + (sse(ended) if ended is not None else b"")
        return
    release_request_thread()
    async with Watch(sent.runtime, sent.stream, elsewhere=started.replayed) as watch:
        yield sse(accepted) + (await in_database(_waiting, sent) if sent.stream.waiting is None else b"")
        async for batch in watch.events(after_seq=after_seq if started.replayed else 0):
            yield b"".join(map(sse, batch)) or HEARTBEAT


def _waiting(sent: Sent) -> bytes:
    """What a repeated send finds waiting."""
    generation = sent.generation
    if generation is None or generation.state != State.WAITING:
        return b""
    return sse(waiting_event(generation))


def sse(event: Event) -> bytes:
    seq = f"id: {event['seq']}\n" if event["type"] == "delta" else ""
    return f"event: {event['type']}\n{seq}data: ".encode() + orjson.dumps(event) + b"\n\n"
