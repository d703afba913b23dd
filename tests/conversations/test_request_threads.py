"""The threads of requests: kept, one for each request at a time."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connection

from conversations.request_threads import KEPT, RequestThread, release_request_thread

here = sync_to_async(threading.current_thread)


async def test_it_gives_a_request_one_thread_and_the_next_the_same() -> None:
    async with RequestThread():
        first = await here()
        async with ThreadSensitiveContext():  # as Django enters it
            assert await here() is first
        assert await here() is first
    async with RequestThread():
        assert await here() is first


async def test_it_gives_requests_at_the_same_time_threads_of_their_own_and_keeps_a_few() -> None:
    together = threading.Barrier(KEPT + 4)

    async def request() -> threading.Thread:
        async with RequestThread():
            await sync_to_async(together.wait)(10)  # nobody passes before all are in it
            return await here()

    threads = set(await asyncio.gather(*(request() for _ in range(together.parties))))

    assert len(threads) == together.parties
    async with asyncio.timeout(10):
        while sum(thread.is_alive() for thread in threads) > KEPT:
            await asyncio.sleep(0.01)
    assert sum(thread.is_alive() for thread in threads) == KEPT


async def test_it_lends_the_thread_of_a_request_that_waits() -> None:
    async with RequestThread():
        mine = await here()
        release_request_thread()
        release_request_thread()  # there is nothing left to give back

        async def other() -> tuple[threading.Thread, threading.Thread]:
            async with RequestThread():
                return await here(), await here()

        # In a context of its own, as requests are.
        assert await asyncio.create_task(other(), context=contextvars.Context()) == (mine, mine)
        assert await here() is mine


@pytest.mark.django_db(transaction=True)
async def test_it_leaves_no_connection_open_in_a_thread_that_it_lends() -> None:
    def connect() -> bool:
        connection.ensure_connection()
        return is_open()

    def is_open() -> bool:
        return connection.connection is not None

    async with RequestThread():
        thread = await here()
        assert await sync_to_async(connect)()
        release_request_thread()
        assert await here() is thread
        assert not await sync_to_async(is_open)()
