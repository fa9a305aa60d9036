"""Server-sent events out of bytes. Only an unfinished event is kept, of 16 MiB at most.

State rules: a line ends at LF, CR or CRLF and nowhere else (U+2028 and its like are text); an empty line ends an
event; lines of `data` are joined by LF; comments and unknown fields are ignored; an event without data is ignored.
"""

from __future__ import annotations

from typing import NamedTuple

from gigachat.exceptions import APIResponseValidationError

END = b"[DONE]"
"""Data of the event that marks the end of a stream."""
_MOST_BYTES = 16 * 1024 * 1024  # of an unfinished event


class Event(NamedTuple):
    """One event."""

    name: str | None
    data: bytes


class EventSplitter:
    """Turns pieces of a body, cut anywhere, into events."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._after_cr = False
        self._first = True
        self._between = False  # whether nothing is left over: no line, no field, no CR
        self._name: str | None = None
        self._data: list[bytes] = []
        self._held = 0  # bytes since the last event

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that this piece completes.

        Raises:
            APIResponseValidationError: The event before it is too long.
        """
        if self._between and piece[:6] == b"data: " and piece[-2:] == b"\n\n":
            # The fast path: most pieces are exactly one event.
            data = piece[6:-2]
            if b"\n" not in data and b"\r" not in data:
                return [Event(None, data)]
        if self._after_cr and piece:
            # The CR has ended its line already; the LF of a CRLF is not another line.
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        if not piece:
            return []
        self._held += len(piece)
        if self._held > _MOST_BYTES:
            raise APIResponseValidationError(f"an event of the stream is longer than {_MOST_BYTES} bytes")
        if b"\n" not in piece and b"\r" not in piece:
            self._unfinished.append(piece)
            self._between = False
            return []
        self._between = False
        lines = piece.splitlines()  # of bytes: at LF, CR and CRLF only
        if self._unfinished:
            lines[0] = b"".join((*self._unfinished, lines[0]))
            self._unfinished = []
        last = piece[-1]
        if last == 0x0D:
            self._after_cr = True
        elif last != 0x0A:
            self._unfinished.append(lines.pop())
        events = self._events(lines)
        if events or not (self._data or self._unfinished):
            self._held = sum(map(len, (*self._unfinished, *self._data)))
        self._between = not (self._data or self._unfinished or self._after_cr or self._name)
        return events

    def finish(self) -> list[Event]:
        """Return the event that the end of the body completes, if any."""
        lines = [b"".join(self._unfinished), b""]
        self._unfinished = []
        return self._events(lines)

    def _events(self, lines: list[bytes]) -> list[Event]:
        if self._first:
            self._first = False
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        events = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(Event(self._name, b"\n".join(self._data)))
                    self._data = []
                self._name = None
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
                if self._data == [END]:
                    # Not kept until the empty line after it, which may never come.
                    events.append(Event(self._name, END))
                    self._data = []
            elif line.startswith(b"event:"):
                self._name = line[6:].decode("utf-8", "replace").removeprefix(" ") or None
            elif line == b"event":
                self._name = None
            elif line == b"data":
                self._data.append(b"")
        return events
