"""The threads for what Django runs synchronously: its middleware, pages. Each request has one at a time.

Django starts a thread for each request, and one more that joins it at its end. A start waits for the new
thread to run, on the event loop, so beside busy database threads it holds up every open stream. Here
threads are kept and nobody waits for one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, ParamSpec, Self, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import close_old_connections

P = ParamSpec("P")
R = TypeVar("R")

# More are started where more requests run something at the same time; so many stay.
KEPT = 8

_idle: list[ThreadPoolExecutor] = []


class _OneThread(Executor):
    """Takes a thread when there is something to run, and has it until it is released."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        if self._thread is None:
            try:
                self._thread = _idle.pop()
            except IndexError:
                self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="request")
        return self._thread.submit(fn, *args, **kwargs)

    def release(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        # The end of the request may come in another one.
        thread.submit(close_old_connections)
        if len(_idle) < KEPT:
            _idle.append(thread)
        else:
            thread.shutdown(wait=False)


class RequestThread(ThreadSensitiveContext):
    """What is synchronous in here runs in one thread."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()  # type: ignore[no-untyped-call]  # asgiref types it in part
        if self.token is not None:
            SyncToAsync.context_to_thread_executor[self] = _OneThread()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        thread = SyncToAsync.context_to_thread_executor.pop(self, None)
        if isinstance(thread, _OneThread):
            thread.release()
        await super().__aexit__(*exc)  # type: ignore[no-untyped-call]  # the same


def release_request_thread() -> None:
    """Give back the thread of this request; what comes later takes one again.

    A request that waits for an answer would hold it, idle, for a minute.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    thread = None if context is None else SyncToAsync.context_to_thread_executor.get(context)
    if isinstance(thread, _OneThread):
        thread.release()
