"""Bounds: nothing that the other end sends without an end fills memory or is read for ever.

What is poured out here has an end, far behind the bound, and a good one: who reads on gets a good answer, and fails.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from gigachat import (
    APIResponseValidationError,
    APITimeoutError,
    AsyncGigaChat,
    ConfigurationError,
    GigaChat,
    GigaChatException,
    ResponseError,
)
from gigachat.settings import Settings
from tests.support.payloads import DONE, chunk, completion, event, head, http
from tests.support.raw_servers import raw_server
from tests.support.servers import Peer, says
from tests.support.waiting import PATIENCE
from tests.wire.modes import Giga, Mode, with_client
from tests.wire.servers import Pouring, Server

MIB = 2**20
_left_open = pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")
own = pytest.mark.parametrize("own", [False, pytest.param(True, marks=_left_open)], ids=["", "own client"])


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    """Check how much memory is taken inside, at most and at once."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[1] - before < limit
    finally:
        tracemalloc.stop()


async def chat_twice(giga: Giga) -> str:
    with pytest.raises(APIResponseValidationError, match="max_response_bytes"):
        await giga.chat()
    return await giga.chat()


def calling(method: str, *arguments: Any) -> Callable[[Giga], Any]:
    async def call(giga: Giga) -> Any:
        return await giga.do(method, *arguments)

    return call


CHUNKED = ("Transfer-Encoding", "chunked")
JSON = ("Content-Type", "application/json")
EVENTS = ("Content-Type", "text/event-stream")


@lru_cache
def packed(begin: bytes, piece: bytes, count: int, end: bytes = b"", *, wbits: int = 31) -> bytes:
    """Pack much of the same into little: as gzip, or as zlib with other bits."""
    packing = zlib.compressobj(wbits=wbits)
    pieces = [packing.compress(begin), *(packing.compress(piece) for _ in range(count)), packing.compress(end)]
    return b"".join(pieces) + packing.flush()


BLANKS = b" " * 65536
WHOLE = completion("good")


# An answer, against max_response_bytes.


@own
@pytest.mark.parametrize(
    "form", ["length", "chunks", "length and chunks", "until the end", "gzip", "deflate", "gzip of many members"]
)
def test_an_answer_longer_than_the_bound_is_refused(mode: Mode, own: bool, form: str) -> None:
    """And read no further: what comes behind it is not taken, and the next answer comes on another connection."""
    count = 512  # of 64 KiB
    if form == "length":
        length = ("Content-Length", len(BLANKS) * count + len(WHOLE))
        act = Pouring(head(200, JSON, length), BLANKS, count, WHOLE)
    elif "chunks" in form:  # which count where there is a length too
        short = [("Content-Length", 10)] if "length" in form else []
        act = Pouring(head(200, JSON, CHUNKED, *short), chunk(BLANKS), count, chunk(WHOLE) + b"0\r\n\r\n")
    elif form == "until the end":
        act = Pouring(head(200, JSON, ("Connection", "close")), BLANKS, count, WHOLE, cut=True)
    else:
        body = packed(b"", BLANKS, count, WHOLE, wbits=15 if form == "deflate" else 31)
        if form == "gzip of many members":
            body = gzip.compress(BLANKS) * count + gzip.compress(WHOLE)
        assert len(body) < MIB // 2
        act = Pouring(http(body, ("Content-Encoding", form.split()[0])), b"", 0)
    with Server() as server:
        server.script.append(act)
        with memory_below(8 * MIB):
            options = server.reach | {"max_response_bytes": MIB}
            assert with_client(mode, options, chat_twice, own=own) == "good"
        assert act.poured < 24 * MIB
        assert server.requests[0].connection != server.requests[1].connection or act.count == 0


@own
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_an_answer_as_long_as_the_bound_is_read(mode: Mode, own: bool, coding: str) -> None:
    bound = 5000
    for length in (bound, bound + 1):
        body = WHOLE + b" " * (length - len(WHOLE))
        answer = http(gzip.compress(body), ("Content-Encoding", "gzip")) if coding else http(body)
        with Server(answer) as server:
            options = server.reach | {"max_response_bytes": bound}
            if length == bound:
                assert with_client(mode, options, Giga.chat, own=own) == "good"
            else:
                with pytest.raises(APIResponseValidationError, match="max_response_bytes"):
                    with_client(mode, options, Giga.chat, own=own)


def test_the_bound_holds_for_every_answer_that_is_held_in_memory(mode: Mode) -> None:
    with Server(http(b"{" + b" " * 9000 + b"}")) as server:
        options = server.reach | {"max_response_bytes": 9000}
        calls: list[list[Any]] = [
            ["get_models"],
            ["get_file_content", "f"],
            ["request", "GET", "/new"],
            ["embeddings", ["x"]],
        ]
        for method, *arguments in calls:
            with pytest.raises(APIResponseValidationError, match="max_response_bytes"):
                with_client(mode, options, calling(method, *arguments))


def test_the_bound_is_an_option_of_the_environment_too(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_MAX_RESPONSE_BYTES", "60")
    with Server() as server:
        with pytest.raises(APIResponseValidationError, match="max_response_bytes"):
            with_client(mode, server.reach, Giga.chat)
        assert with_client(mode, server.reach | {"max_response_bytes": 10_000}, Giga.chat) == "good"


def test_the_bound_has_a_default() -> None:
    options: dict[str, Any] = Settings().model_dump()
    assert options["max_response_bytes"] == 256 * MIB


@pytest.mark.parametrize("value", [0, -1, "much", 1.5])
def test_a_bound_that_is_none_is_refused(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="max_response_bytes"):
        GigaChat(access_token="t", max_response_bytes=value)
    monkeypatch.setenv("GIGACHAT_MAX_RESPONSE_BYTES", str(value))
    with pytest.raises(ConfigurationError, match="MAX_RESPONSE_BYTES"):
        GigaChat(access_token="t")


def test_a_file_that_goes_to_disk_may_be_longer(mode: Mode, tmp_path: Path) -> None:
    """And takes no more memory than a piece of it."""
    count = 256  # of 64 KiB
    path = tmp_path / "file"
    binary = ("Content-Type", "application/octet-stream")
    body = packed(b"", BLANKS, count)
    acts = (
        Pouring(head(200, binary, ("Content-Length", len(BLANKS) * count)), BLANKS, count),
        Pouring(head(200, binary, CHUNKED), chunk(BLANKS), count, b"0\r\n\r\n"),
        says(head(200, binary, ("Content-Encoding", "gzip"), ("Content-Length", len(body))) + body),
    )

    async def download(giga: Giga) -> None:
        await giga.do("download_file", "f", path)

    for act in acts:
        with Server() as server:
            server.script.append(act)
            with memory_below(4 * MIB):
                with_client(mode, server.reach | {"max_response_bytes": 1000}, download)
        assert path.stat().st_size == len(BLANKS) * count


class Counted(io.BytesIO):
    """A file that counts how much of it was read."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.count += len(content)
        return content


def test_a_file_is_not_read_faster_than_it_is_sent(mode: Mode) -> None:
    """Also when the peer has closed its side of the connection and reads nothing."""

    def deaf(peer: Peer) -> None:
        peer.cut()
        given_up.wait(5)

    given_up = threading.Event()
    file = Counted(bytes(32 * MIB))
    with Server() as server:
        server.greetings.append(deaf)
        with pytest.raises(APITimeoutError, match="did not take the request"):
            with_client(mode, server.reach | {"timeout": 0.3}, calling("upload_file", ("a.txt", file)))
        given_up.set()
    assert file.count < 16 * MIB


# An error and a sign-in, against a bound of 1 MiB.


def long_answer(form: str, status: int) -> Pouring:
    """An answer that goes on for 64 MiB, and in the end is what was asked for."""
    count = 1024  # of 64 KiB
    end = b'"access_token": "t", "message": "wrong"}'
    if form == "length":
        length = ("Content-Length", 1 + len(BLANKS) * count + len(end))
        return Pouring(head(status, JSON, length) + b"{", BLANKS, count, end)
    if form == "chunks":
        begin = head(status, JSON, CHUNKED) + chunk(b"{")
        return Pouring(begin, chunk(BLANKS), count, chunk(end) + b"0\r\n\r\n")
    body = packed(b"{", BLANKS, count, end)
    return Pouring(http(body, ("Content-Encoding", "gzip"), status=status), b"", 0)


def check_long_error(error: GigaChatException) -> None:
    if isinstance(error, ResponseError):
        assert error.status_code == 500
        assert len(error.content or b"") <= MIB


@own
@pytest.mark.parametrize("form", ["length", "chunks", "gzip"])
def test_an_error_without_an_end_is_cut_off(mode: Mode, own: bool, form: str, tmp_path: Path) -> None:
    """Its status says enough, and is raised if no other error is."""
    works: list[Callable[[Giga], Any]] = [
        Giga.chat,
        Giga.read,
        calling("download_file", "f", tmp_path / "file"),
    ]
    for work in works:
        act = long_answer(form, 500)
        with Server() as server:
            server.script.append(act)
            with memory_below(8 * MIB), pytest.raises(GigaChatException) as raised:
                with_client(mode, server.reach, work, own=own)
        check_long_error(raised.value)
        assert act.poured < 24 * MIB


def test_an_error_within_the_bound_is_read_whole(mode: Mode) -> None:
    body = b'{"message": "wrong"' + b" " * 900_000 + b"}"
    with Server(http(body, status=500)) as server:
        with pytest.raises(ResponseError) as raised:
            with_client(mode, server.reach | {"max_response_bytes": 1000}, Giga.chat)
    assert raised.value.message == "wrong"


@own
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("form", ["length", "chunks", "gzip"])
def test_a_sign_in_without_an_end_is_cut_off(mode: Mode, own: bool, form: str, status: int) -> None:
    act = long_answer(form, status)
    with Server() as server:
        server.sign_in_for_ever = act
        with memory_below(8 * MIB), pytest.raises(GigaChatException) as raised:
            with_client(mode, server.options, Giga.chat, own=own)
        check_long_error(raised.value)
        assert server.requests == []
    assert act.poured < 24 * MIB


# One event, against a bound of 16 MiB.

MUCH = b"x" * 65536
ENDLESS_EVENTS = {
    "a line": (b'data: {"choices": [{"index": 0, "delta": {"content": "', MUCH),
    "a comment": (b": ", MUCH),
    "lines": (b"", b"data: " + MUCH + b"\n"),
    "short lines": (b"", b"data: %b\n" % (b"x" * 505) * 128),
    "a name": (b"event: ", MUCH),
}


@pytest.mark.parametrize("form", list(ENDLESS_EVENTS))
def test_an_event_without_an_end_is_an_error(mode: Mode, form: str) -> None:
    begin, piece = ENDLESS_EVENTS[form]
    end = chunk(b"\n\n" + event("good", last=True) + DONE) + b"0\r\n\r\n"
    act = Pouring(head(200, EVENTS, CHUNKED) + (chunk(begin) if begin else b""), chunk(piece), 1024, end)
    with Server() as server:
        server.script.append(act)
        with memory_below(64 * MIB), pytest.raises(GigaChatException):
            with_client(mode, server.reach, Giga.read)
    assert act.poured < 40 * MIB


@own
@pytest.mark.parametrize("form", ["a line", "lines"])
def test_an_event_that_is_packed_is_bounded_too(mode: Mode, own: bool, form: str) -> None:
    begin, piece = ENDLESS_EVENTS[form]
    body = packed(begin, piece, 1024, b"\n\n" + event("good", last=True) + DONE)
    with Server(http(body, ("Content-Encoding", "gzip"), content_type="text/event-stream")) as server:
        with memory_below(64 * MIB), pytest.raises(GigaChatException):
            with_client(mode, server.reach, Giga.read, own=own)


def test_an_event_within_the_bound_is_read(mode: Mode) -> None:
    """However long it is, and however long the whole stream."""
    text = "x" * (3 * MIB)
    with Server(http(event(text) * 3 + event("", last=True) + DONE, content_type="text/event-stream")) as server:
        assert with_client(mode, server.reach, Giga.read) == [text] * 3 + [""]


# What comes before an answer and around it.

GOOD_END = http(WHOLE)
HEADS = {
    "100 Continue": Pouring(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 400, GOOD_END),
    "103 Early Hints": Pouring(b"", b"HTTP/1.1 103 Hints\r\nX-More: %b\r\n\r\n" % (b"x" * 2000), 2000, GOOD_END),
    "headers": Pouring(b"HTTP/1.1 200 OK\r\n", b"X-More: of the same\r\n" * 100, 2000, b"\r\n"),
    "a header": Pouring(b"HTTP/1.1 200 OK\r\nX-More: ", b"x" * 1000, 4000, b"\r\n\r\n"),
    "a header in many lines": Pouring(b"HTTP/1.1 200 OK\r\nX-More: x", b"\r\n x" * 300, 4000, b"\r\n\r\n"),
    "a status line": Pouring(b"HTTP/1.1 200 ", b"x" * 1000, 4000, b"\r\n\r\n"),
    "blank lines": Pouring(b"", b"\r\n" * 1000, 2000, GOOD_END),
    "trailers": Pouring(
        head(200, JSON, CHUNKED) + chunk(WHOLE) + b"0\r\n", b"X-More: of the same\r\n" * 100, 2000, b"\r\n"
    ),
    "the size of a chunk": Pouring(head(200, JSON, CHUNKED), b"0" * 1000, 4000, b"0\r\n\r\n"),
    "the extension of a chunk": Pouring(
        head(200, JSON, CHUNKED) + b"%x;more=" % len(WHOLE), b"x" * 1000, 4000, b"\r\n" + WHOLE + b"\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("form", list(HEADS))
def test_what_comes_around_an_answer_without_an_end_is_an_error(mode: Mode, form: str) -> None:
    whole = HEADS[form]
    act = Pouring(whole.begin, whole.piece, whole.count, whole.end)
    with Server() as server:
        server.script.append(act)
        with pytest.raises(GigaChatException):
            with_client(mode, server.reach, Giga.chat)
    assert not server.gave_up


def test_a_few_interim_answers_are_passed_over(mode: Mode) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with Server(interim + GOOD_END) as server:
        assert with_client(mode, server.reach, Giga.chat) == "good"


def test_bytes_of_the_body_are_not_counted_as_headers() -> None:
    """An event loop that was busy receives more at once than it asks for."""
    body = b"x" * 8 * MIB
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    interim, proceed, sent = threading.Event(), threading.Event(), threading.Event()

    def serve(connection: socket.socket, request: bytes) -> None:
        if b"/two/" in request:
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            interim.set()
            proceed.wait(PATIENCE)
        connection.sendall(answer[:MIB])
        sent.set()
        connection.sendall(answer[MIB:])

    async def main(address: str) -> None:
        async with AsyncGigaChat(base_url=f"{address}/api/v1", access_token="t", max_retries=0) as giga:
            await giga.get_file_content("one")  # the system makes the buffer of the connection larger
            sent.clear()
            reading = asyncio.create_task(giga.get_file_content("two"))
            await asyncio.to_thread(interim.wait, PATIENCE)
            for _ in range(100):
                await asyncio.sleep(0)
            proceed.set()
            sent.wait(PATIENCE)
            assert len((await reading).content) > len(body)

    with raw_server(serve) as (address, _):
        asyncio.run(main(address))
