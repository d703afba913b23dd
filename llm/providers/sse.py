"""An incremental parser of event streams (text/event-stream), for bytes.

Bytes may be split anywhere. Only the data of events is kept: the names, ids and
comments of an event mean nothing to the providers spoken to here.
"""

from __future__ import annotations

MAX_EVENT_BYTES = 4 * 1024 * 1024


class EventTooLarge(Exception):
    """An event grew beyond the limit without ending."""


class EventStreamParser:
    """``feed`` gives the data of each event that is complete, in order."""

    __slots__ = ("_carriage_return", "_max_bytes", "_rest", "_started")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._rest = b""
        self._carriage_return = False
        self._started = False
        self._max_bytes = max_event_bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        """Raises EventTooLarge."""
        if self._carriage_return or b"\r" in chunk:
            chunk = self._with_plain_line_ends(chunk)
        text = self._rest + chunk if self._rest else chunk
        if not self._started:
            if b"\xef\xbb\xbf".startswith(text[:3]) and len(text) < 3:
                self._rest = text
                return []
            text = text.removeprefix(b"\xef\xbb\xbf")
            self._started = True
        *blocks, self._rest = text.split(b"\n\n")
        if len(self._rest) > self._max_bytes:
            raise EventTooLarge
        events = []
        for block in blocks:
            # Nearly every event is one data line.
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(block[6:])
            else:
                data = _data_of(block)
                if data is not None:
                    events.append(data)
        return events

    def close(self) -> list[bytes]:
        """The last event, where the server left out the blank line after it."""
        data = _data_of(self._rest)
        self._rest = b""
        return [] if data is None else [data]

    def _with_plain_line_ends(self, chunk: bytes) -> bytes:
        """CRLF and CR as LF; a CR at the very end waits for the next chunk."""
        if self._carriage_return:
            chunk = b"\r" + chunk
        self._carriage_return = chunk.endswith(b"\r")
        if self._carriage_return:
            chunk = chunk[:-1]
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data_of(block: bytes) -> bytes | None:
    lines = []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines) if lines else None
