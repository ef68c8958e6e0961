"""Server-sent events, decoded incrementally from bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_EVENT_BYTES = 8 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event: `name` is "" if the stream gave none; several `data:` lines are joined with a line feed."""

    name: str
    data: str


class SseDecoder:
    """Feed bytes cut anywhere, get whole events. Comments, `id` and `retry` are dropped; CR, LF and CRLF end lines.

    Source: WHATWG HTML, "Server-sent events", with one liberty: `finish()` gives an event that lacks its blank line.
    """

    def __init__(self, *, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = b""
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0
        self._started = False

    def feed(self, piece: bytes) -> list[SseEvent]:
        """Events completed by `piece`.

        Raises:
            ValueError: an event is larger than `max_bytes` or is not UTF-8.
        """
        scan = max(0, len(self._rest) - 1)  # what was kept has no line end, but for a CR as its last byte
        buffer = self._rest + piece
        if not self._started:
            if len(buffer) < len(BOM) and BOM.startswith(buffer):
                self._rest = buffer
                return []
            buffer = buffer.removeprefix(BOM)
            self._started = True
            scan = 0
        # A CR at the very end may be half of a CRLF: it waits for the next piece.
        usable = len(buffer) - 1 if buffer.endswith(b"\r") else len(buffer)
        events: list[SseEvent] = []
        start = 0
        for match in _LINE_END.finditer(buffer, scan, usable):
            line = buffer[start : match.start()]
            start = match.end()
            if line:
                self._take(line)
            elif (event := self._dispatch()) is not None:
                events.append(event)
        self._rest = buffer[start:]
        if self._size + len(self._rest) > self._max_bytes:
            raise ValueError(f"an event is larger than {self._max_bytes} bytes")
        return events

    def finish(self) -> list[SseEvent]:
        """What is left when the stream has ended."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        if rest:
            self._take(rest)
        event = self._dispatch()
        return [event] if event is not None else []

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value)
            if self._size > self._max_bytes:
                raise ValueError(f"an event is larger than {self._max_bytes} bytes")
        elif field == b"event":
            self._name = value.decode()

    def _dispatch(self) -> SseEvent | None:
        event = SseEvent(self._name, b"\n".join(self._data).decode()) if self._data else None
        self._name, self._data, self._size = "", [], 0
        return event
