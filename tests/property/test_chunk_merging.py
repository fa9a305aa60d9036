"""HTTP chunks that come together are merged: the body is the same as without it, wherever the bytes are cut."""

from __future__ import annotations

from typing import Any

import httpcore2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gigachat._transport.chunk_merger import ChunkMerger
from gigachat._transport.connections import BlockingConnection, _SocketStream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
END = b"0\r\n\r\n"


class Socket:
    """A socket that receives given pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def settimeout(self, timeout: float | None) -> None:
        pass

    def recv(self, size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def send(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        pass


class Connected(BlockingConnection):
    """A connection over such a socket."""

    def __init__(self, sock: Any) -> None:
        super().__init__((b"http", b"x", 80), None)
        self._sock = sock
        self.wire = httpcore2.HTTPConnection(httpcore2.Origin(b"http", b"x", 80), network_backend=self)

    def connect_tcp(self, *arguments: Any, **options: Any) -> httpcore2.NetworkStream:
        return _SocketStream(self, self._sock)


def body_of(pieces: list[bytes], *, merged: bool) -> tuple[Any, ...]:
    """Return the body of a response, how many pieces it has, how it ends, and whether its connection can be kept."""
    connection = Connected(Socket([piece for piece in pieces if piece]))
    merger = connection.merger = ChunkMerger() if merged else None
    received: list[bytes] = []
    try:
        response = connection.wire.handle_request(httpcore2.Request("GET", "http://x/", headers=[(b"host", b"x")]))
        if merger is not None:
            merger.begin_body(response)
        received.extend(response.iter_stream())
        response.close()
    except httpcore2.RemoteProtocolError:
        return b"".join(received), len(received), "error", False
    return b"".join(received), len(received), response.status, connection.is_reusable()


def chunk(data: bytes, size: str = "{:x}", after: bytes = b"\r\n") -> bytes:
    return size.format(len(data)).encode() + b"\r\n" + data + after


data = st.binary(min_size=1, max_size=40)
good = data.map(chunk)
odd = st.one_of(
    st.builds(
        chunk, data, st.sampled_from(["{:X}", "000{:x}", "{:x};a=b", "{:x} ", "0x{:x}", "+{:x}", "{:x}_", "-1", "ffff"])
    ),
    st.builds(chunk, data, after=st.sampled_from([b"", b"\n", b"\r", b"xx", b"\r\r\n"])),
    st.binary(max_size=4),
)
ends = st.sampled_from([END, b"", b"0\r\n", b"0\r\nA: b\r\n\r\n", b"00;x\r\n\r\n", END + b"x", END + HEAD])
heads = st.sampled_from([HEAD, CONTINUE + HEAD, HEAD.replace(b"\r\n", b"\n"), HEAD.replace(b"200 OK", b"404 No")])
bodies = st.builds(
    lambda chunks, end: b"".join(chunks) + end, st.lists(st.one_of(good, good, good, odd), max_size=8), ends
)


def pieces_of(whole: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(whole) + 1) for cut in cuts})
    return [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)]


@given(heads, bodies, st.lists(st.integers(0, 1000), max_size=8))
@example(HEAD, chunk(b"a") + chunk(b"b") + END, [])
@example(HEAD, chunk(b"a", after=b"") + chunk(b"b") + END, [])
@example(HEAD, chunk(b"a", after=b"\r") + chunk(b"b") + END, [len(HEAD) + 5])
def test_the_body_is_the_same(head: bytes, body: bytes, cuts: list[int]) -> None:
    pieces = pieces_of(head + body, cuts)
    plain, merged = body_of(pieces, merged=False), body_of(pieces, merged=True)
    assert (merged[0], *merged[2:]) == (plain[0], *plain[2:])
    assert merged[1] <= max(plain[1], len(pieces))


@given(st.lists(data, min_size=1, max_size=8), st.lists(st.integers(0, 1000), max_size=4))
@example([b"a", b"b", b"c"], [1])
def test_chunks_that_come_together_are_one(parts: list[bytes], cuts: list[int]) -> None:
    whole = HEAD + b"".join(map(chunk, parts)) + END
    body, count, status, reusable = body_of(pieces_of(whole, cuts), merged=True)
    assert (body, status, reusable) == (b"".join(parts), 200, True)
    assert count <= len(cuts) + 1


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_no_byte_waits_for_a_later_one(size: int) -> None:
    """A reader gets each byte of the body with the bytes that bring it."""
    merger = ChunkMerger()
    assert merger.passed(HEAD) == HEAD
    merger.begin_body(httpcore2.Response(200, headers=[(b"Transfer-Encoding", b"chunked")]))
    whole = chunk(b"abc") + chunk(b"defgh")
    parsed = [0, 0, 0, 1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 8, 8]
    seen = 0
    for start in range(0, len(whole), size):
        passed = merger.passed(whole[start : start + size])
        if passed:
            seen += int(passed.partition(b"\r\n")[0], 16)
        assert seen == parsed[min(start + size, len(whole)) - 1]


def test_a_protocol_other_than_http_is_passed_on() -> None:
    merger = ChunkMerger()
    assert merger.passed(b"\x05\x00\n\n\x01") == b"\x05\x00\n\n\x01"
