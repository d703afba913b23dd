"""The way from the event loop to the database: a few threads of our own.

SQLite gets exactly one thread, so that writers of this process queue here, in order and without
locks, instead of fighting for the file. PostgreSQL gets several. Connections stay open.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection, connections

P = ParamSpec("P")
R = TypeVar("R")

POSTGRESQL_THREADS = 6


@functools.cache
def _executor() -> ThreadPoolExecutor:
    threads = 1 if connection.vendor == "sqlite" else POSTGRESQL_THREADS
    return ThreadPoolExecutor(max_workers=threads, thread_name_prefix="database")


def _run(job: Callable[[], R]) -> R:
    try:
        return job()
    except (InterfaceError, OperationalError):
        # The server went away or the connection broke: the next job gets a fresh one.
        connections.close_all()
        raise


async def in_database(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a synchronous function that uses the ORM in a database thread and await its result."""
    # Lines logged there carry the ids that are bound here.
    job = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_executor(), _run, job)


def close_database_threads() -> None:
    """Close the connections of all database threads and end the threads. A later call starts new ones."""
    executor = _executor()
    _executor.cache_clear()
    # Each thread must close its own: the barrier keeps one from doing the work of all.
    barrier = threading.Barrier(executor._max_workers)

    def close_own() -> None:
        barrier.wait(timeout=10)
        connections.close_all()

    for _ in range(executor._max_workers):
        executor.submit(close_own)
    executor.shutdown(wait=True)
