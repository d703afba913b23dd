"""Cancelling a task that may swallow it.

A cancellation that meets the end of what a task awaits can get lost: a client's own time-out takes it for
its own, a careless ``except`` keeps it. The task then goes on as if nobody had asked, and so does what it
calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0  # an orderly end takes less
TIMES = 30


def _nothing() -> None: ...


def cancel_until(
    task: asyncio.Task[None], is_over: Callable[[], bool], *, on_deaf: Callable[[], None] = _nothing
) -> None:
    """Cancel, and again every second until ``is_over`` or the task has ended.

    ``on_deaf`` is called where it has not heard the last of all ``TIMES``.
    """
    _cancel(task, is_over, on_deaf, TIMES)


def _cancel(
    task: asyncio.Task[None], is_over: Callable[[], bool], on_deaf: Callable[[], None], left: int
) -> None:
    if task.done() or is_over():
        return
    if left == 0:
        logger.error("%s does not hear that it is cancelled", task.get_name())
        on_deaf()
        return
    task.cancel()
    task.get_loop().call_later(AGAIN_SECONDS, _cancel, task, is_over, on_deaf, left - 1)


def take_cancellation(task: asyncio.Task[None]) -> None:
    """The running task has heard it, and goes on to its end."""
    while task.uncancel():
        pass
