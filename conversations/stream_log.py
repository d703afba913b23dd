"""The stream log: the deltas of each running generation as a Redis stream, for every other process.

One key per generation and epoch, one record per flush: the seq of its first delta and the texts. The
first delta is written at once, later ones of all generations of this process in one pipeline every
``FLUSH_SECONDS``. A record is added only while its key exists; where the key is gone (Valkey was
flushed or restarted empty) the whole text so far is written again, so the log mends itself.

The log carries words, not truth: the end of a generation is in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import redis
import redis.asyncio
from django.conf import settings
from redis.exceptions import RedisError

from conversations.cancelling import end_tasks
from conversations.live import LiveStream

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.075
KEY_LIFE_SECONDS = 3600
KEY_LIFE_AFTER_END_SECONDS = 300
READ_BLOCK_MS = 1000
READ_COUNT = 200
# Beyond the block: then the server is gone without a word, and a new connection finds what took its place.
READ_TIMEOUT_SECONDS = READ_BLOCK_MS / 1000 + 5.0
RECONNECT_SECONDS = 0.5
WRITE_TIMEOUT_SECONDS = 2.0


# One command and one reply for all streams: a command each took the client several times as long.
# ARGV: the life of a new log in seconds; then for each key whether its log is new, and the record.
# Returns for each key 1, or 0 where the log is gone.
_ADD = """
local kept = {}
for i, key in ipairs(KEYS) do
  if ARGV[2 * i] == '1' then
    redis.call('XADD', key, '*', 'd', ARGV[2 * i + 1])
    redis.call('EXPIRE', key, ARGV[1])
    kept[i] = 1
  else
    kept[i] = redis.call('XADD', key, 'NOMKSTREAM', '*', 'd', ARGV[2 * i + 1]) and 1 or 0
  end
end
return kept
"""


def log_key(generation_id: uuid.UUID, epoch: int) -> str:
    return f"chatsite:log:{generation_id}:{epoch}"


def connect() -> redis.asyncio.Redis:
    """For listening, which outlasts any time-out."""
    return redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_timeout=None)


def connect_to_read() -> redis.asyncio.Redis:
    """For the blocking reads of the log."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_timeout=READ_TIMEOUT_SECONDS, socket_connect_timeout=WRITE_TIMEOUT_SECONDS
    )


def connect_to_write() -> redis.asyncio.Redis:
    """For writing: a Valkey that accepts and does not answer must not hold up an answer."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_timeout=WRITE_TIMEOUT_SECONDS, socket_connect_timeout=WRITE_TIMEOUT_SECONDS
    )


def read_log(generation_id: uuid.UUID, epoch: int) -> list[str]:
    """All deltas of an epoch that reached the log, for the sweeper; empty when there is no log (sync)."""
    deltas: list[str] = []
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as client:
            records: Any = client.xrange(log_key(generation_id, epoch))
    except RedisError:
        return []
    for _, fields in records:
        if b"d" in fields:
            first_seq, texts = orjson.loads(fields[b"d"])
            if first_seq > len(deltas) + 1:
                continue  # behind a gap; where it was mended, a record with everything follows
            # A record that got lost on its way is sent again with more, and may come after that.
            deltas += texts[len(deltas) + 1 - first_seq :]
    return deltas


class LogWriter:
    """Writes the deltas of the generations that this process runs."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.client = client
        self._add: Any = client.register_script(_ADD)
        self._written: dict[LiveStream, int] = {}  # seq of the last delta in the log
        self._dirty: set[LiveStream] = set()
        self._work = asyncio.Event()
        self._at_once = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def note(self, stream: LiveStream) -> None:
        """The stream has a new delta. The first one is written at once."""
        self._dirty.add(stream)
        self._work.set()
        if stream.seq <= 1:
            self._at_once.set()

    def begin(self, stream: LiveStream) -> None:
        """A new epoch has a log of its own; also called when a stream is given up."""
        self._written.pop(stream, None)
        self._dirty.discard(stream)

    def start(self) -> None:
        self._task = asyncio.create_task(self._loop(), name="stream log writer")

    async def close(self) -> None:
        if self._task is not None:
            await end_tasks(self._task)
        await self._flush()

    async def end(self, stream: LiveStream) -> None:
        """Write what is left and the mark of the end. Call it after the end is in the database."""
        self._dirty.discard(stream)
        written = self._written.pop(stream, 0)
        key = log_key(stream.generation_id, stream.epoch)
        try:
            pipeline = self.client.pipeline(transaction=False)
            if stream.seq > written:
                pipeline.xadd(key, {"d": _record(stream, written)})
            pipeline.xadd(key, {"e": b"1"})
            pipeline.expire(key, KEY_LIFE_AFTER_END_SECONDS)
            await pipeline.execute()
        except (RedisError, OSError) as error:
            logger.warning("stream log unavailable at the end of a generation: %s", type(error).__name__)

    async def _loop(self) -> None:
        clock = asyncio.get_running_loop().time
        due = 0.0
        while True:
            await self._work.wait()
            self._work.clear()
            self._at_once.clear()
            # Cut short by a first delta: the others keep their pace, or a start would cost a record of each.
            is_due = clock() >= due
            if is_due:
                due = clock() + FLUSH_SECONDS
            try:
                reached = await self._flush(only_first=not is_due)
            except Exception:
                logger.exception("the stream log could not be written; it goes on")
                reached = False
            if not reached:
                await asyncio.sleep(RECONNECT_SECONDS)
            if self._dirty:
                self._work.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._at_once.wait(), max(due - clock(), 0))

    async def _flush(self, *, only_first: bool = False) -> bool:
        """Write new deltas in one round trip: all, or those of streams that have no record yet.

        False when Valkey cannot be reached.
        """
        chosen = {stream for stream in self._dirty if not (only_first and self._written.get(stream))}
        self._dirty -= chosen
        streams = [stream for stream in chosen if stream.end is None and stream.local]
        if not streams:
            return True
        keys: list[str] = []
        arguments: list[Any] = [KEY_LIFE_SECONDS]
        plan: list[tuple[LiveStream, int, int, int]] = []
        for stream in streams:
            written = self._written.get(stream, 0)
            if written == stream.seq:
                continue
            keys.append(log_key(stream.generation_id, stream.epoch))
            arguments += (int(written == 0), _record(stream, written))
            plan.append((stream, stream.epoch, written, stream.seq))
        if not plan:
            return True
        try:
            replies = await self._add(keys=keys, args=arguments)
        except (RedisError, OSError):
            # It may come back without its last records, and another one in its place without any.
            self._written.clear()
            self._dirty.update(streams)
            self._work.set()
            return False
        for (stream, epoch, _, seq), is_kept in zip(plan, replies, strict=True):
            if stream.end is not None or stream.epoch != epoch or not stream.local:
                continue  # it ended, began anew or was given up while this was on its way
            if not is_kept:
                self._written[stream] = 0  # the key is gone: write everything again
                self._dirty.add(stream)
                self._work.set()
            else:
                self._written[stream] = seq
        return True


def _record(stream: LiveStream, after_seq: int) -> bytes:
    return orjson.dumps([after_seq + 1, stream.deltas[after_seq:]])


class LogReader:
    """Feeds the live streams of generations that another process runs: one blocking read for all."""

    def __init__(self, client: redis.asyncio.Redis, on_end: Callable[[LiveStream], Awaitable[None]]) -> None:
        self.client = client
        self._on_end = on_end
        self._followed: dict[str, tuple[LiveStream, str]] = {}  # key -> stream, id of the last record
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._loop(), name="stream log reader")

    async def close(self) -> None:
        if self._task is not None:
            await end_tasks(self._task)

    def follow(self, stream: LiveStream) -> None:
        """Read the log of the stream's current epoch from its beginning."""
        self.forget(stream)
        stream.caught_up = False
        self._followed[log_key(stream.generation_id, stream.epoch)] = (stream, "0-0")
        self._changed.set()

    def forget(self, stream: LiveStream) -> None:
        for key in [key for key, (followed, _) in self._followed.items() if followed is stream]:
            del self._followed[key]

    async def _loop(self) -> None:
        while True:
            if not self._followed:
                self._changed.clear()
                await self._changed.wait()
            self._changed.clear()
            answer = await self._read_or_change()
            if answer is None:
                continue
            try:
                await self._take(answer)
            except Exception:
                logger.exception("a record of the stream log could not be read; it goes on")

    async def _read_or_change(self) -> Any:
        """The next records; None when the set of followed streams changed, or Valkey was out of reach.

        A generation that is followed from now on must not wait for the blocking read to return.
        """
        positions: Any = {key: last_id for key, (_, last_id) in self._followed.items()}
        async with asyncio.TaskGroup() as group:
            read = group.create_task(self._read(positions))
            change = group.create_task(self._changed.wait())
            await asyncio.wait({read, change}, return_when=asyncio.FIRST_COMPLETED)
            read.cancel()
            change.cancel()
        return None if read.cancelled() else read.result()

    async def _read(self, positions: Any) -> Any:
        try:
            return await self.client.xread(positions, count=READ_COUNT, block=READ_BLOCK_MS) or []
        except (RedisError, OSError):
            await asyncio.sleep(RECONNECT_SECONDS)
            return None

    async def _take(self, answer: Any) -> None:
        seen = set()
        for raw_key, records in _pairs(answer):
            key = raw_key.decode()
            seen.add(key)
            if key not in self._followed:
                continue
            stream, _ = self._followed[key]
            for record_id, fields in records:
                self._followed[key] = (stream, record_id.decode())
                if b"d" in fields:
                    first_seq, texts = orjson.loads(fields[b"d"])
                    stream.extend(first_seq, texts)
                if b"e" in fields:
                    self.forget(stream)
                    await self._on_end(stream)
                    break
            if len(records) < READ_COUNT:
                stream.caught_up = True
        for key, (stream, _) in self._followed.items():
            if key not in seen:
                stream.caught_up = True


def _pairs(answer: Any) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """The answer of XREAD: a list of pairs, or a dict under RESP3."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return [(key, [record for part in parts for record in part]) for key, parts in answer.items()]
    return list(answer)
