"""The HTTP chunks of a stream that are received together, merged into one.

Servers send each event of a stream in an HTTP chunk of its own. The parser of httpcore2 takes longer for a chunk than
the SDK takes for an event. So a connection passes chunks that arrive together to the parser as one chunk. Only an
incomplete chunk size is held back. The last chunk, and chunks with an extension, are passed on unchanged, with all
bytes behind them.
"""

from __future__ import annotations

import re
from enum import Enum, auto

import httpcore2

STREAM = "text/event-stream"
"""The header `accept` of requests for a stream."""
_OK = 200
_HEAD_END = re.compile(rb"\n\r?\n")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_PART_OF_SIZE = re.compile(rb"[0-9A-Fa-f]{0,8}\r?")


class _Step(Enum):
    HEAD = auto()  # it hands on each head apart from what follows, so that the parser holds no byte of the body
    CHUNKS = auto()
    REST = auto()  # it hands on all bytes
    BROKEN = auto()


class ChunkMerger:
    """Merges the chunks of one response.

    Attributes:
        held: Bytes that are received and not handed on.
    """

    def __init__(self) -> None:
        self.held = b""
        self._step = _Step.HEAD
        self._tail = b""  # the last bytes of a head that is incomplete
        self._left = 0  # bytes of a chunk that are still to come
        self._in_chunk = False  # whether the end of a chunk is still to come

    def begin_body(self, response: httpcore2.Response) -> None:
        """Note the headers of the response: the body follows."""
        framing = [value.lower() for name, value in response.headers if name.lower() == b"transfer-encoding"]
        chunked = response.status == _OK and framing == [b"chunked"] and self._step is _Step.HEAD
        self._step = _Step.CHUNKS if chunked else _Step.REST

    def passed(self, data: bytes = b"") -> bytes:
        """Take received bytes and return bytes for the parser; none if more must be received first.

        Raises:
            httpcore2.RemoteProtocolError: A chunk has another length than its size.
        """
        if self.held:
            data, self.held = self.held + data, b""
        if self._step is _Step.BROKEN:
            raise httpcore2.RemoteProtocolError("a chunk of the response does not end with its size")
        if self._step is _Step.HEAD:
            return self._head(data)
        return self._merged(data) if self._step is _Step.CHUNKS else data

    def end(self) -> bytes:
        """Return what is left when no more bytes will be received."""
        data, self.held = self.held, b""
        return data

    def _head(self, data: bytes) -> bytes:
        if not self._tail and not b"HTTP/".startswith(data[:5]):
            self._step = _Step.REST  # of another protocol
            return data
        found = _HEAD_END.search(self._tail + data)
        if found is None:
            self._tail = (self._tail + data)[-2:]
            return data
        end = found.end() - len(self._tail)
        self._tail = b""
        self.held = data[end:]
        return data[:end]

    def _merged(self, data: bytes) -> bytes:
        parts = [data[: self._left]] if self._left and data else []
        at = len(parts[0]) if parts else 0
        self._left -= at
        rest = b""
        while not self._left:
            if self._in_chunk:
                mark = data[at : at + 2]
                if mark != b"\r\n":
                    if not b"\r\n".startswith(mark):
                        self._step = _Step.BROKEN
                    break
                at += 2
                self._in_chunk = False
            found = _SIZE.match(data, at)
            size = int(found[1], 16) if found else 0
            if not found or not size:
                if found or not _PART_OF_SIZE.fullmatch(data, at):
                    self._step = _Step.REST
                    rest = data[at:]
                    at = len(data)
                break
            begin = found.end()
            part = data[begin : begin + size]
            parts.append(part)
            self._left = size - len(part)
            self._in_chunk = True
            at = begin + len(part)
        self.held = data[at:]
        if not parts:
            return self.passed() if self._step is _Step.BROKEN else rest
        merged = b"".join(parts)
        return b"%x\r\n%b\r\n%b" % (len(merged), merged, rest) if merged else rest
