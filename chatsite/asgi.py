"""The ASGI application: pages and REST, WebSockets, and the end of the process."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")

from django.core.asgi import get_asgi_application

# Python's warnings are lines like all others.
logging.captureWarnings(True)
django_application: Any = get_asgi_application()  # django-stubs has other words for the same messages

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - needs the apps loaded
from django.conf import settings  # noqa: E402
from structlog.contextvars import bind_contextvars, clear_contextvars  # noqa: E402

from chatsite.middleware import request_id_of  # noqa: E402
from conversations.request_threads import RequestThread  # noqa: E402
from conversations.routing import websocket_urlpatterns  # noqa: E402
from conversations.runtime import shut_down  # noqa: E402
from llm.tokens import load  # noqa: E402
from monitoring.watchdog import keep_watch  # noqa: E402

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def http(scope: Message, receive: Receive, send: Send) -> None:
    """Pages and REST, with threads that are kept. Django, which finds one given, starts none."""
    async with RequestThread():
        await django_application(scope, receive, send)


async def lifespan(scope: Message, receive: Receive, send: Send) -> None:
    """Before the server ends, answers that are being written get time, and what came is kept."""
    chores: list[asyncio.Task[object]] = []
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            # What is loaded stays: the garbage collector need not walk it again beside the streams.
            gc.collect()
            gc.freeze()
            # The first question must not wait for the tokenizer's tables.
            chores.append(asyncio.create_task(asyncio.to_thread(load, "o200k_base")))
            chores.append(asyncio.create_task(keep_watch()))
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            for chore in chores:
                chore.cancel()
            await shut_down(seconds=settings.DRAIN_SECONDS)
            await send({"type": "lifespan.shutdown.complete"})
            return


async def refuse_unknown_socket(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close"})


_sockets = URLRouter(websocket_urlpatterns)


async def websocket(scope: Message, receive: Receive, send: Send) -> None:
    """Every line of a socket has its request id, which the answer to the handshake tells."""
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    request_id = request_id_of(given)
    clear_contextvars()
    bind_contextvars(request_id=request_id)

    try:
        await _sockets({**scope, "request_id": request_id}, receive, send)
    except ValueError as error:
        if not str(error).startswith("No route found"):
            raise
        await refuse_unknown_socket(scope, receive, send)


application = ProtocolTypeRouter({"http": http, "websocket": websocket, "lifespan": lifespan})
