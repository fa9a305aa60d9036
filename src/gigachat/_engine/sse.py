"""Server-sent events out of bytes. Only an unfinished event is kept, of 16 MiB at most.

State rules: a line ends at LF, CR or CRLF only (U+2028 and its like are text). An empty line ends an event. Lines of
`data` are joined by LF. Comments, unknown fields and events without data are ignored.
"""

from __future__ import annotations

from typing import NamedTuple

from gigachat.exceptions import APIResponseValidationError

END = b"[DONE]"
"""Data of the event that marks the end of a stream."""
_MOST_BYTES = 16 * 1024 * 1024  # of an unfinished event
_MOST_PLAIN = 8  # runs of a piece: each copies the rest of it


class Event(NamedTuple):
    """One event."""

    name: str | None
    data: bytes


class Run(NamedTuple):
    """Successive events of one name."""

    name: str | None
    data: list[bytes]


class EventSplitter:
    """Turns pieces of a body, cut anywhere, into events."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._after_cr = False
        self._first = True
        self._between = True  # whether nothing is left over: no line, no field, no CR
        self._name: str | None = None
        self._data: list[bytes] = []
        self._held = 0  # bytes since the last event
        self._like = _like(None)

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that this piece completes; raises as `runs`."""
        return [Event(name, one) for name, data in self.runs(piece) for one in data]

    def runs(self, piece: bytes) -> list[Run]:
        """Return the events that this piece completes, those of one name together.

        Raises:
            APIResponseValidationError: The event before it is too long.
        """
        if not self._between:
            # Up to the first empty line, the lines belong to what is left over.
            end = piece.find(b"\n\n") + 2
            if 1 < end < len(piece):
                return [*self._runs_of_lines(piece[:end]), *self.runs(piece[end:])]
            return self._runs_of_lines(piece)
        if b"\r" in piece:
            return self._runs_of_lines(piece)
        name, begin, lines = self._like
        if piece.startswith(begin) and piece.endswith(b"\n\n") and piece.count(b"\n") == lines:
            # The fastest path: one event like the one before it.
            self._first = False
            return [Run(name, [piece[len(begin) : -2]])]
        end = piece.rfind(b"\n\n")
        runs = _plain_runs(piece[:end]) if end > 0 else None
        if runs is None:
            return self._runs_of_lines(piece)
        self._first = False
        self._like = _like(runs[-1].name)
        rest = piece[end + 2 :]
        return [*runs, *self._runs_of_lines(rest)] if rest else runs

    def _runs_of_lines(self, piece: bytes) -> list[Run]:
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
        runs = self._runs(lines)
        if runs or not (self._data or self._unfinished):
            self._held = sum(map(len, (*self._unfinished, *self._data)))
        self._between = not (self._data or self._unfinished or self._after_cr or self._name)
        return runs

    def finish(self) -> list[Event]:
        """Return the event that the end of the body completes, if any."""
        return [Event(name, one) for name, data in self.last_runs() for one in data]

    def last_runs(self) -> list[Run]:
        """Return the event that the end of the body completes, if any."""
        lines = [b"".join(self._unfinished), b""]
        self._unfinished = []
        return self._runs(lines)

    def _runs(self, lines: list[bytes]) -> list[Run]:
        if self._first:
            self._first = False
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        runs: list[Run] = []
        for line in lines:
            if not line:
                if self._data:
                    _add(runs, self._name, b"\n".join(self._data))
                    self._data = []
                self._name = None
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
                if self._data == [END]:
                    # Not kept until the empty line after it, which may never come.
                    _add(runs, self._name, END)
                    self._data = []
            elif line.startswith(b"event:"):
                self._name = line[6:].decode("utf-8", "replace").removeprefix(" ") or None
            elif line == b"event":
                self._name = None
            elif line == b"data":
                self._data.append(b"")
        return runs


def _like(name: str | None) -> tuple[str | None, bytes, int]:
    """Return the name of an event, how it begins before its data, and how many lines it has."""
    if name is None:
        return name, b"data: ", 2
    return name, b"event: %b\ndata: " % name.encode(), 3


def _add(runs: list[Run], name: str | None, data: bytes) -> None:
    if runs and runs[-1].name == name:
        runs[-1].data.append(data)
    else:
        runs.append(Run(name, [data]))


def _plain_runs(text: bytes) -> list[Run] | None:
    """Return the events of a text that ends before the empty line of its last event, without a look at each of them.

    This takes events with one line of `data`, and perhaps the name before it, as most streams have them, and few names.
    For others, return None.
    """
    runs: list[Run] = []
    while len(runs) < _MOST_PLAIN:
        begin, name = b"data: ", None
        if text.startswith(b"event: "):
            line = text[: text.find(b"\n") + 1]
            begin, name = line + begin, line[7:-1].decode("utf-8", "replace") or None
        if not text.startswith(begin):
            break
        between = b"\n\n" + begin
        data = text[len(begin) :].split(between)
        if text.count(b"\n") + 2 == between.count(b"\n") * len(data):
            runs.append(Run(name, data))
            return runs
        # One of them is followed by events with another name.
        index = next(index for index, one in enumerate(data) if b"\n" in one)
        last, _, rest = data[index].partition(b"\n\n")
        if b"\n" in last:
            break
        runs.append(Run(name, [*data[:index], last]))
        text = between.join([rest, *data[index + 1 :]])
    return None
