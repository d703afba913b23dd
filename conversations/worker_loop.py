"""The event loop of a worker process: all its generations run in one loop, as in a web process.

Celery's tasks are synchronous and end at once; what they start lives here. So a few threads suffice
for any number of answers, and the sweeper never waits for a free one.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import Any

from celery.signals import worker_shutting_down
from django.conf import settings

from conversations.runtime import get_runtime, shut_down

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def worker_loop() -> asyncio.AbstractEventLoop:
    """The loop of this process, started in a thread of its own on first use."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="generations", daemon=True).start()
        return _loop


def run_in_worker(generation_id: uuid.UUID) -> None:
    """Start the generation in the loop of this process and return."""

    async def spawn() -> None:
        runtime = get_runtime()
        if not runtime.draining:
            runtime.spawn(generation_id)

    asyncio.run_coroutine_threadsafe(spawn(), worker_loop()).result(timeout=10)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]  # celery ships no types
def drain_worker(**_: Any) -> None:
    """Hand over what has not begun and give the rest time, before the worker ends."""
    if _loop is not None:
        future = asyncio.run_coroutine_threadsafe(shut_down(seconds=settings.DRAIN_SECONDS), _loop)
        future.result(timeout=settings.DRAIN_SECONDS + 15)
