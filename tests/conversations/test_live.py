"""Live streams: numbering without gaps, resuming, and slow readers."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.live import Attachment, LiveStream


def make_stream(*, local: bool = True) -> LiveStream:
    return LiveStream(
        generation_id=uuid.uuid4(),
        conversation_id=uuid.uuid4(),
        turn_id=uuid.uuid4(),
        model="demo:friendly",
        local=local,
    )


def frames(attachment: Attachment) -> list[dict[str, Any]]:
    return [orjson.loads(frame) for frame in attachment.pending()]


def deltas(attachment: Attachment) -> list[tuple[int, str]]:
    return [(frame["seq"], frame["text"]) for frame in frames(attachment) if frame["type"] == "delta"]


async def test_it_numbers_deltas_from_one_without_gaps() -> None:
    stream = make_stream()
    attachment = Attachment(stream)
    stream.begin(1)
    stream.append("a")
    assert deltas(attachment) == [(1, "a")]
    stream.append('"b"\n')
    stream.append("ö")
    assert deltas(attachment) == [(2, '"b"\n'), (3, "ö")]
    assert deltas(attachment) == []


async def test_it_starts_over_when_a_new_attempt_begins() -> None:
    stream = make_stream()
    attachment = Attachment(stream)
    stream.begin(1)
    assert [frame["epoch"] for frame in frames(attachment)] == [1]
    stream.begin(2)
    stream.append("again")
    started, delta = frames(attachment)
    assert (started["type"], started["epoch"]) == ("generation.started", 2)
    assert (delta["seq"], delta["text"]) == (1, "again")


async def test_it_gives_exactly_the_rest_after_a_resume() -> None:
    stream = make_stream()
    stream.begin(1)
    for letter in "abcd":
        stream.append(letter)
    attachment = Attachment(stream)
    attachment.resume(2)
    assert deltas(attachment) == [(3, "c"), (4, "d")]


async def test_it_starts_over_when_asked_to_resume_from_the_future() -> None:
    stream = make_stream()
    stream.begin(1)
    stream.append("a")
    attachment = Attachment(stream)
    attachment.resume(10**9)
    started, delta = frames(attachment)
    assert started["type"] == "generation.started"
    assert delta["seq"] == 1


async def test_it_waits_for_the_log_before_it_judges_a_resume() -> None:
    stream = make_stream(local=False)
    stream.begin(1)
    attachment = Attachment(stream)
    attachment.resume(2)
    stream.extend(1, ["a", "b", "c"])
    assert deltas(attachment) == [(3, "c")]


async def test_it_sends_only_the_end_to_a_reader_that_did_not_say_where_to_resume() -> None:
    stream = make_stream()
    stream.begin(1)
    stream.append("a")
    attachment = Attachment(stream, held=True)
    assert [frame["type"] for frame in frames(attachment)] == ["generation.started"]
    stream.finish({"type": "generation.completed", "text": "a"})
    assert [frame["type"] for frame in frames(attachment)] == ["generation.completed"]


async def test_it_keeps_the_first_end() -> None:
    stream = make_stream()
    stream.finish({"type": "generation.completed"})
    stream.finish({"type": "generation.failed"})
    assert stream.end == {"type": "generation.completed"}
    assert stream.ended.is_set()


async def test_it_refuses_a_record_behind_a_gap() -> None:
    stream = make_stream(local=False)
    stream.begin(1)
    assert stream.extend(1, ["a"])
    assert not stream.extend(3, ["c"])
    assert stream.deltas == ["a"]


@given(
    length=st.integers(1, 30),
    cuts=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40),
)
def test_it_takes_overlapping_records_in_any_cut(length: int, cuts: list[tuple[int, int]]) -> None:
    words = [str(number) for number in range(length)]
    stream = make_stream(local=False)
    stream.begin(1)
    for start, size in cuts:
        first = 1 + start % min(stream.seq + 1, length)
        last = first + size % (length + 1 - first)
        reached = max(stream.seq, last)
        assert stream.extend(first, words[first - 1 : last])
        assert stream.deltas == words[:reached]
    assert stream.extend(1, words)
    assert stream.deltas == words


@pytest.mark.parametrize("text", ["\u2028", "\x1f", "</script>", "😀", "\\"])
async def test_it_writes_every_text_as_valid_json(text: str) -> None:
    stream = make_stream()
    stream.begin(1)
    stream.append(text)
    assert deltas(Attachment(stream)) == [(1, text)]


def waiting(epoch: int) -> dict[str, Any]:
    return {"type": "generation.waiting", "epoch": epoch}


async def test_it_tells_a_wait_after_the_attempt_that_it_follows() -> None:
    stream = make_stream()
    attachment = Attachment(stream)
    stream.begin(1)
    stream.wait(waiting(1))  # both before the reader came to look
    assert [frame["type"] for frame in frames(attachment)] == ["generation.started", "generation.waiting"]
    assert frames(attachment) == []
    stream.begin(2)
    stream.wait(waiting(1))  # late: the next attempt has begun
    assert [frame["type"] for frame in frames(attachment)] == ["generation.started"]


async def test_it_tells_the_wait_again_to_a_reader_that_starts_over() -> None:
    stream = make_stream()
    attachment = Attachment(stream)
    stream.begin(1)
    stream.wait(waiting(1))
    frames(attachment)
    attachment.resume(0)
    assert [frame["type"] for frame in frames(attachment)] == ["generation.started", "generation.waiting"]


async def test_it_does_not_continue_the_words_of_an_epoch_that_is_gone() -> None:
    stream = make_stream()
    stream.begin(2)
    for letter in "abc":
        stream.append(letter)
    attachment = Attachment(stream)
    attachment.resume(2, epoch=1)
    started, *rest = frames(attachment)
    assert (started["type"], started["epoch"]) == ("generation.started", 2)
    assert [(frame["seq"], frame["text"]) for frame in rest] == [(1, "a"), (2, "b"), (3, "c")]


async def test_it_waits_for_the_epoch_that_a_reader_has_seen_elsewhere() -> None:
    stream = make_stream(local=False)
    stream.begin(1)
    attachment = Attachment(stream)
    attachment.resume(2, epoch=2)
    stream.extend(1, ["old", "old", "old"])
    assert frames(attachment) == []
    stream.begin(2)
    stream.extend(1, ["a", "b", "c"])
    assert deltas(attachment) == [(3, "c")]


async def test_it_starts_over_for_an_epoch_that_never_was() -> None:
    stream = make_stream()
    stream.begin(1)
    stream.append("a")
    attachment = Attachment(stream)
    attachment.resume(0, epoch=9)
    assert [frame["type"] for frame in frames(attachment)] == ["generation.started", "delta"]
    attachment.resume(5, epoch=9)
    assert [frame["type"] for frame in frames(attachment)] == ["generation.started", "delta"]
