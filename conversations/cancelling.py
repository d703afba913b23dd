"""Cancelling a task that may swallow it.

A cancellation that meets the end of what a task awaits can get lost: a client's own time-out takes it for
its own, a careless ``except`` keeps it. The task then goes on as if nobody had asked, and so does what it
calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0  # an orderly end takes less
TIMES = 30


def _nothing() -> None: ...


def cancel_until(
    task: asyncio.Task[Any], is_over: Callable[[], bool], *, on_deaf: Callable[[], None] = _nothing
) -> None:
    """Cancel, and again every second until ``is_over`` or the task has ended.

    ``on_deaf`` is called where it has not heard the last of all ``TIMES``.
    """
    _cancel(task, is_over, on_deaf, TIMES)


def _cancel(
    task: asyncio.Task[Any], is_over: Callable[[], bool], on_deaf: Callable[[], None], left: int
) -> None:
    if task.done() or is_over():
        return
    if left == 0:
        logger.error("%s does not hear that it is cancelled", task.get_name())
        on_deaf()
        return
    task.cancel()
    task.get_loop().call_later(AGAIN_SECONDS, _cancel, task, is_over, on_deaf, left - 1)


async def end_tasks(*tasks: asyncio.Task[Any], again_seconds: float | None = None) -> None:
    """Cancel them, and again as above, and wait until they have ended, however they do.

    ``again_seconds`` is what an orderly end may take; what hears none of all ``TIMES`` is left behind.
    """
    pending = set(tasks)
    for _ in range(TIMES):
        for task in pending:
            task.cancel()
        if pending:
            _, pending = await asyncio.wait(pending, timeout=again_seconds or AGAIN_SECONDS)
    for task in pending:
        logger.error("%s does not hear that it is cancelled", task.get_name())


async def carry_out(coroutine: Coroutine[Any, Any, None]) -> None:
    """To its end, however often the running task is cancelled meanwhile: what was used is written down."""
    task = asyncio.ensure_future(coroutine)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    task.result()


def take_cancellation(task: asyncio.Task[None]) -> None:
    """The running task has heard it, and goes on to its end."""
    while task.uncancel():
        pass


class Limit:
    """As ``asyncio.timeout``, but where the cancellation is swallowed, it is said again as above."""

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._loop = task, task.get_loop()
        self._before = task.cancelling()
        self._said = 0
        self._handle = self._loop.call_later(seconds, self._expire)

    def reschedule(self, when: float) -> None:
        """``when`` is of the loop's clock. What has expired stays so."""
        if not self._said:
            self._handle.cancel()
            self._handle = self._loop.call_at(when, self._expire)

    def _expire(self) -> None:
        if self._said == TIMES:
            logger.error("%s does not hear that its time is over", self._task.get_name())
            return
        self._said += 1
        self._task.cancel()
        self._handle = self._loop.call_later(AGAIN_SECONDS, self._expire)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        for _ in range(self._said):
            self._task.uncancel()
        # Somebody else may have cancelled it as well.
        if self._said and kind is asyncio.CancelledError and self._task.cancelling() <= self._before:
            raise TimeoutError from error
