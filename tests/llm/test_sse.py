from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.providers.sse import EventStreamParser, EventTooLarge

STREAM = (
    'data: {"text": "Grüße, 世界 🌍"}\n\n'
    ": a comment\n\n"
    "event: message\nid: 7\ndata: first\ndata: second\n\n"
    "data:no space\n\n"
    "data:  two spaces\n\n"
    "retry: 10\n\n"
    "data\n\n"
    "\n\n\ndata: after blank lines\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = [
    '{"text": "Grüße, 世界 🌍"}'.encode(),
    b"first\nsecond",
    b"no space",
    b" two spaces",
    b"",
    b"after blank lines",
    b"[DONE]",
]


def parse(pieces: list[bytes]) -> list[bytes]:
    parser = EventStreamParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_it_parses_alike_wherever_the_bytes_are_split(line_end: bytes) -> None:
    stream = STREAM.replace(b"\n", line_end)
    assert parse([stream]) == EVENTS
    assert parse([stream[i : i + 1] for i in range(len(stream))]) == EVENTS
    for cut in range(len(stream) + 1):
        assert parse([stream[:cut], stream[cut:]]) == EVENTS


@given(cuts=st.lists(st.integers(0, len(STREAM) * 2), max_size=12))
def test_it_parses_alike_in_any_pieces(cuts: list[int]) -> None:
    stream = STREAM.replace(b"\n", b"\r\n")
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(borders)]
    assert parse(pieces) == EVENTS


def test_it_gives_an_event_as_soon_as_it_is_complete() -> None:
    parser = EventStreamParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\ndata: b\n\nda") == [b"a", b"b"]


def test_it_ignores_a_byte_order_mark() -> None:
    mark = b"\xef\xbb\xbf"
    assert parse([mark + b"data: a\n\n"]) == [b"a"]
    assert parse([mark[:1], mark[1:2], mark[2:] + b"data: a\n\n"]) == [b"a"]


def test_it_gives_the_last_event_without_its_blank_line() -> None:
    assert parse([b"data: a\n\ndata: b"]) == [b"a", b"b"]
    assert parse([b"data: a\n\n: nothing"]) == [b"a"]


def test_it_bounds_its_buffer() -> None:
    parser = EventStreamParser(max_event_bytes=100)
    parser.feed(b"data: " + b"x" * 90)
    with pytest.raises(EventTooLarge):
        parser.feed(b"x" * 10)
