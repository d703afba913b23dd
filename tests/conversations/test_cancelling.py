"""What swallows a cancellation is cancelled again; whoever waits for its end does not wait for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.layers import get_channel_layer

from conversations import cancelling
from conversations.cancelling import Limit, carry_out, end_tasks
from conversations.ear import Ear
from conversations.stream_log import LogReader, LogWriter, connect, connect_to_read


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "AGAIN_SECONDS", 0.02)


async def careless(deaf: int, heard: list[int]) -> None:
    """Takes so many cancellations for its own and goes on."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            heard.append(len(heard))
            if len(heard) > deaf:
                raise


async def test_it_waits_for_the_end_of_what_swallows_the_first_ones() -> None:
    heard: list[int] = []
    tasks = [asyncio.create_task(careless(deaf, heard)) for deaf in (0, 2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_tasks(*tasks)
    assert all(task.cancelled() for task in tasks)
    await end_tasks()


async def test_it_leaves_behind_what_hears_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cancelling, "TIMES", 3)
    heard: list[int] = []
    task = asyncio.create_task(careless(3, heard), name="the deaf one")
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_tasks(task)
    assert (task.done(), len(heard)) == (False, 3)
    assert "the deaf one does not hear" in caplog.text
    task.cancel()


async def test_what_is_to_be_carried_out_is_whoever_cancels_it() -> None:
    begun, done = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        begun.set()
        await asyncio.sleep(0.05)
        done.set()

    task = asyncio.create_task(carry_out(write()))
    await begun.wait()
    async with asyncio.timeout(5):
        await end_tasks(task)
    assert done.is_set()


# --- A limit of time ----------------------------------------------------------------------


async def test_a_limit_is_said_again_to_what_swallows_it() -> None:
    heard: list[int] = []
    with pytest.raises(TimeoutError):
        async with Limit(0.01):
            await careless(3, heard)
    assert len(heard) == 4
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_limit_that_is_moved_is_kept_and_one_that_is_over_stays_so() -> None:
    loop = asyncio.get_running_loop()
    async with Limit(0.01) as limit:
        limit.reschedule(loop.time() + 60)
        await asyncio.sleep(0.05)

    async def ask_for_more() -> None:
        async with Limit(60) as limit:
            limit.reschedule(loop.time() + 0.01)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                limit.reschedule(loop.time() + 60)
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await ask_for_more()


async def test_a_limit_lets_a_cancellation_by_others_through() -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with Limit(0.02):
            inside.set()
            await careless(2, [])

    for seconds in (0.0, 0.03):  # before the limit, and in the middle of it
        inside.clear()
        task = asyncio.create_task(work())
        await inside.wait()
        await asyncio.sleep(seconds)
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait([task])
        assert task.cancelled()


async def test_what_ends_in_spite_of_the_limit_has_ended() -> None:
    async with Limit(0.01):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            done = True
    assert done


# --- Those who wait for the end of a task ---------------------------------------------------


def forgetful(method: Any, times: int = 2) -> Any:
    """As the method, for clients that take a cancellation for their own."""
    left = [times]

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        while True:
            try:
                return await method(*args, **kwargs)
            except asyncio.CancelledError:
                if not left[0]:
                    raise
                left[0] -= 1

    return wrapped


async def test_a_stream_log_closes_where_its_wait_ends_at_the_same_moment(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(stream: object) -> None: ...

    writer, reader = LogWriter(connect()), LogReader(connect_to_read(), nobody)
    monkeypatch.setattr(writer._work, "wait", forgetful(writer._work.wait))
    monkeypatch.setattr(reader._changed, "wait", forgetful(reader._changed.wait))
    for one in (writer, reader):
        one.start()
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await one.close()
        await one.client.aclose()


async def test_a_socket_closes_where_the_layer_swallows_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer: Any = get_channel_layer()
    monkeypatch.setattr(layer, "receive", forgetful(layer.receive))
    ear = Ear(["a-topic"], lambda event: None)
    await ear.joined()
    async with asyncio.timeout(5):
        await ear.close()
