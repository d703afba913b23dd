"""The stream log between processes: complete, in order, and mended where Valkey forgot."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pytest_django import Settings
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ValkeyAway

from conversations import stream_log
from conversations.live import LiveStream
from conversations.stream_log import LogReader, LogWriter, connect, connect_to_read, log_key, read_log
from tests.chaos.relay import Relay
from tests.conversations.test_live import make_stream


@pytest_asyncio.fixture
async def writer(redis_url: str) -> AsyncIterator[LogWriter]:
    made = LogWriter(connect())
    made.start()
    yield made
    await made.close()
    await made.client.aclose()


class Follower:
    def __init__(self, client: Redis | None = None) -> None:
        self.ended: list[LiveStream] = []
        self.reader = LogReader(client or connect_to_read(), self._end)

    async def _end(self, stream: LiveStream) -> None:
        self.ended.append(stream)
        stream.ended.set()

    def follow(self, stream: LiveStream) -> LiveStream:
        copy = LiveStream(
            generation_id=stream.generation_id,
            conversation_id=stream.conversation_id,
            turn_id=stream.turn_id,
            model=stream.model,
            local=False,
        )
        copy.begin(stream.epoch)
        self.reader.follow(copy)
        return copy


@pytest_asyncio.fixture
async def follower(redis_url: str) -> AsyncIterator[Follower]:
    made = Follower()
    made.reader.start()
    yield made
    await made.reader.close()
    await made.reader.client.aclose()


def begin(writer: LogWriter) -> LiveStream:
    stream = make_stream()
    stream.begin(1)
    writer.begin(stream)
    return stream


async def until(copy: LiveStream, seq: int) -> None:
    changed = asyncio.Event()
    copy.watchers.add(changed.set)
    async with asyncio.timeout(10):
        while copy.seq < seq:
            changed.clear()
            if copy.seq < seq:
                await changed.wait()


async def say(writer: LogWriter, stream: LiveStream, *texts: str) -> None:
    for text in texts:
        stream.append(text)
        writer.note(stream)


async def test_it_brings_every_delta_to_a_follower_in_order(writer: LogWriter, follower: Follower) -> None:
    stream = begin(writer)
    await say(writer, stream, "a")
    copy = follower.follow(stream)
    await until(copy, 1)
    await say(writer, stream, *"bcdef")
    await until(copy, 6)
    assert copy.deltas == stream.deltas
    await say(writer, stream, "g")
    await writer.end(stream)
    await asyncio.wait_for(copy.ended.wait(), 10)
    assert copy.deltas == list("abcdefg")
    assert follower.ended == [copy]


async def test_it_brings_each_delta_of_a_slow_answer_without_waiting_for_others(
    writer: LogWriter, follower: Follower
) -> None:
    stream = begin(writer)
    copy: LiveStream | None = None
    for number in range(1, 5):
        await say(writer, stream, f"{number} ")
        copy = copy or follower.follow(stream)
        await until(copy, number)
        # Longer than the writer's pause: it has gone to sleep by the next delta.
        await asyncio.sleep(stream_log.FLUSH_SECONDS * 1.5)


async def test_it_keeps_nothing_of_an_answer_that_has_ended(writer: LogWriter) -> None:
    stream = begin(writer)
    await say(writer, stream, "a", "b")
    flushing = asyncio.create_task(writer._flush())
    await asyncio.sleep(0)
    stream.finish({"type": "generation.completed"})
    await writer.end(stream)
    await flushing
    assert not writer._written
    assert not writer._dirty


async def test_it_keeps_nothing_of_an_attempt_that_was_given_up(redis_url: str) -> None:
    writer = LogWriter(connect())
    stream = begin(writer)
    await say(writer, stream, "a", "b")
    flushing = asyncio.create_task(writer._flush())
    await asyncio.sleep(0)
    assert not writer._dirty  # the flush is on its way
    stream.local = False
    writer.begin(stream)
    assert await flushing
    assert not writer._written
    assert not writer._dirty
    await writer.client.aclose()


async def test_it_does_not_keep_trying_for_an_attempt_that_was_given_up(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    writer = LogWriter(connect())
    stream = begin(writer)
    await say(writer, stream, "a")
    flushing = asyncio.create_task(writer._flush())
    await asyncio.sleep(0)
    stream.local = False
    writer.begin(stream)
    assert not await flushing
    assert await writer._flush()
    assert not writer._dirty


async def test_it_brings_all_that_was_written_before_to_a_late_follower(
    writer: LogWriter, follower: Follower
) -> None:
    stream = begin(writer)
    await say(writer, stream, *(str(number) for number in range(500)))
    await writer.end(stream)
    copy = follower.follow(stream)
    await asyncio.wait_for(copy.ended.wait(), 10)
    assert copy.deltas == stream.deltas


async def test_it_follows_many_streams_at_once(writer: LogWriter, follower: Follower) -> None:
    streams = [begin(writer) for _ in range(20)]
    copies = [follower.follow(stream) for stream in streams]
    for number in range(30):
        for stream in streams:
            await say(writer, stream, f"{number} ")
        await asyncio.sleep(0)
    for stream, copy in zip(streams, copies, strict=True):
        await until(copy, 30)
        assert copy.deltas == stream.deltas


async def test_it_writes_everything_again_when_the_log_was_lost(
    writer: LogWriter, follower: Follower
) -> None:
    stream = begin(writer)
    await say(writer, stream, "a", "b")
    early = follower.follow(stream)
    await until(early, 2)
    await writer.client.flushall()
    await say(writer, stream, "c")
    await until(early, 3)
    late = follower.follow(stream)
    await until(late, 3)
    assert early.deltas == late.deltas == ["a", "b", "c"]


async def test_it_keeps_the_epochs_apart(writer: LogWriter, redis_url: str) -> None:
    stream = begin(writer)
    await say(writer, stream, "first", "try")
    await writer.end(stream)
    stream.begin(2)
    writer.begin(stream)
    await say(writer, stream, "second")
    await writer.end(stream)
    assert await asyncio.to_thread(read_log, stream.generation_id, 1) == ["first", "try"]
    assert await asyncio.to_thread(read_log, stream.generation_id, 2) == ["second"]


async def test_it_lets_the_log_run_out_after_the_end(writer: LogWriter) -> None:
    stream = begin(writer)
    await say(writer, stream, "a")
    await writer.end(stream)
    life = await writer.client.ttl(log_key(stream.generation_id, 1))
    assert 0 < life <= stream_log.KEY_LIFE_AFTER_END_SECONDS


def test_it_reads_nothing_where_there_is_no_log_or_no_valkey(redis_url: str, settings: Settings) -> None:
    assert read_log(uuid.uuid4(), 1) == []
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert read_log(uuid.uuid4(), 1) == []


async def test_it_survives_the_absence_of_valkey(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    writer = LogWriter(connect())
    writer.start()
    stream = begin(writer)
    await say(writer, stream, "a")
    await asyncio.sleep(0)
    await writer.end(stream)
    await writer.close()
    assert stream.deltas == ["a"]


@pytest.mark.parametrize(
    ("records", "known"),
    [
        ([b'[1,["a","b","c"]]', b'[1,["a","b"]]', b'[4,["d"]]'], "abcd"),
        ([b'[1,["a","b"]]', b'[4,["d"]]'], "ab"),
        ([b'[1,["a"]]', b'[3,["c"]]', b'[1,["a","b","c","d"]]'], "abcd"),
    ],
    ids=["sent twice, and late", "with a gap", "with a gap that was mended"],
)
async def test_it_reads_a_log_without_inventing_a_text(
    records: list[bytes], known: str, redis_url: str
) -> None:
    stream = make_stream()
    async with connect() as client:
        for record in records:
            await client.xadd(log_key(stream.generation_id, 1), {"d": record})
    assert "".join(await asyncio.to_thread(read_log, stream.generation_id, 1)) == known


async def test_it_writes_everything_again_after_valkey_was_away(
    writer: LogWriter, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = begin(writer)
    await say(writer, stream, "a", "b")
    await until(follower.follow(stream), 2)
    add = writer._add

    async def fail_once(**given: Any) -> Any:
        monkeypatch.setattr(writer, "_add", add)
        raise ValkeyAway

    monkeypatch.setattr(writer, "_add", fail_once)
    # What takes its place has the key, but not the last record.
    key = log_key(stream.generation_id, 1)
    (last_id, _), *_ = await writer.client.xrevrange(key, count=1)
    await writer.client.xdel(key, last_id)
    await say(writer, stream, "c")
    late = follower.follow(stream)
    await until(late, 3)
    assert late.deltas == ["a", "b", "c"]


async def test_it_reads_on_from_a_server_that_took_the_place_of_a_silent_one(
    writer: LogWriter, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_log, "READ_TIMEOUT_SECONDS", 1.2)
    address = settings.REDIS_URL.removeprefix("redis://").partition("/")[0]
    async with Relay(lambda: address) as relay:
        settings.REDIS_URL = f"redis://127.0.0.1:{relay.port}/0"
        follower = Follower(connect_to_read())
        follower.reader.start()
        stream = begin(writer)
        await say(writer, stream, "a")
        copy = follower.follow(stream)
        await until(copy, 1)
        relay.mute()  # as a host that is gone: no answer, and no end of the connection either
        await say(writer, stream, "b")
        await until(copy, 2)
        await follower.reader.close()
        await follower.reader.client.aclose()


async def test_it_writes_a_first_delta_without_a_record_of_every_other_answer(redis_url: str) -> None:
    writer = LogWriter(connect())
    begun, fresh = begin(writer), begin(writer)
    await say(writer, begun, "a")
    assert await writer._flush()
    await say(writer, begun, "b")
    await say(writer, fresh, "x")
    assert await writer._flush(only_first=True)
    assert await asyncio.to_thread(read_log, fresh.generation_id, 1) == ["x"]
    assert await asyncio.to_thread(read_log, begun.generation_id, 1) == ["a"]
    assert await writer._flush()
    assert await asyncio.to_thread(read_log, begun.generation_id, 1) == ["a", "b"]
    assert await writer.client.xlen(log_key(begun.generation_id, 1)) == 2
    await writer.client.aclose()


async def test_it_writes_the_others_when_many_answers_begin_one_after_another(writer: LogWriter) -> None:
    early = begin(writer)
    await say(writer, early, "a")
    async with asyncio.timeout(10):
        while await asyncio.to_thread(read_log, early.generation_id, 1) != ["a"]:
            await asyncio.sleep(0)
        await say(writer, early, "b")
        while await asyncio.to_thread(read_log, early.generation_id, 1) != ["a", "b"]:
            await say(writer, begin(writer), "x")  # each cuts the pause of the writer short
            await asyncio.sleep(0)


async def test_a_new_log_has_an_end_of_its_own(writer: LogWriter) -> None:
    stream = begin(writer)
    await say(writer, stream, "a")
    assert await writer._flush()
    assert 0 < await writer.client.ttl(log_key(stream.generation_id, 1)) <= stream_log.KEY_LIFE_SECONDS
