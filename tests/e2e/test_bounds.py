"""Bounds of a call, over real sockets: its time as a whole, the size of its response, and what may be encoded how."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import pytest

from gigachat import (
    APIConnectionError,
    APIResponseValidationError,
    ResponseError,
    StreamInterruptedError,
    TotalTimeoutError,
)
from gigachat.server import GigaChatServer
from tests.e2e.test_hooks import hooks_of
from tests.e2e.test_limits import Opened
from tests.support.callers import Caller, Mode, options
from tests.support.payloads import DONE, chunk, chunked, completion, event, http
from tests.support.raw_servers import is_open, raw_server
from tests.support.waiting import patiently, until

COMPLETION = completion("да")
CHUNK = event("a")
BLANKS = b" " * 1000  # a drip of 20 seconds
ways = pytest.mark.parametrize("way", ["default", "hooks", "own client"])


def calling(stack: ExitStack, way: str, mode: Mode, url: str, **more: Any) -> Caller:
    """A client whose requests go one of the ways."""
    reach: dict[str, Any] = {"base_url": url, "access_token": "t", "max_retries": 0, "timeout": 20, **more}
    if way == "own client":
        if mode == "blocking":
            reach["http_client"] = stack.enter_context(httpx2.Client())
        else:
            reach["async_http_client"] = httpx2.AsyncClient()
    caller = stack.enter_context(Caller(mode, reach))
    if way == "hooks":
        hooks_of(caller)
    if way == "own client" and mode == "hybrid":
        stack.callback(lambda: asyncio.run(reach["async_http_client"].aclose()))
    return caller


# Time.


@contextmanager
def soon() -> Iterator[None]:
    """Check that what is inside ends long before the servers do."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < 15


class Slow:
    """Servers that are slow in ways of their own, until they are told to stop."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def silent(self, connection: socket.socket, _: bytes) -> None:
        self.stopped.wait(20)

    def head(self, connection: socket.socket, _: bytes) -> None:
        self._drip(connection, b"HTTP/1.1 200 OK\r\n" + b"X-Filler: x\r\n" * 100)

    def body(self, connection: socket.socket, _: bytes) -> None:
        connection.sendall(http(COMPLETION + BLANKS)[: -len(BLANKS)])
        self._drip(connection, BLANKS)

    def refusal(self, connection: socket.socket, _: bytes) -> None:
        connection.sendall(http(BLANKS, status="400 Bad")[: -len(BLANKS)])
        self._drip(connection, BLANKS)

    def _drip(self, connection: socket.socket, data: bytes) -> None:
        for index in range(len(data)):
            connection.sendall(data[index : index + 1])
            if self.stopped.wait(0.02):
                return


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("head", "default"),  # of httpx2, only the waits within a head are bounded
        *((kind, way) for kind in ("silent", "body") for way in ("default", "hooks", "own client")),
    ],
)
def test_a_call_ends_with_its_total_timeout(kind: str, way: str, mode: Mode) -> None:
    slow = Slow()
    with raw_server(getattr(slow, kind)) as (url, _), ExitStack() as stack:
        caller = calling(stack, way, mode, url, total_timeout=0.3)
        with soon(), pytest.raises(TotalTimeoutError, match=r"longer than total_timeout=0\.3 s: .*127\.0\.0\.1"):
            caller.chat("x")
        slow.stopped.set()


@ways
def test_a_refusal_that_does_not_end_is_one_all_the_same(way: str, mode: Mode) -> None:
    def check(seconds: float) -> None:
        slow = Slow()
        with raw_server(slow.refusal) as (url, _), ExitStack() as stack:
            stack.callback(slow.stopped.set)
            caller = calling(stack, way, mode, url, total_timeout=seconds)
            with soon(), pytest.raises((ResponseError, TotalTimeoutError), match="400"):
                caller.chat("x")

    patiently(check)


@ways
def test_a_stream_ends_with_the_total_timeout_whatever_it_brings(way: str, mode: Mode) -> None:
    def check(seconds: float) -> None:
        stopped = threading.Event()

        def answer(connection: socket.socket, _: bytes) -> None:
            connection.sendall(chunked([], whole=False))
            while not stopped.wait(seconds / 20):
                connection.sendall(chunk(CHUNK))

        with raw_server(answer) as (url, _), ExitStack() as stack:
            stack.callback(stopped.set)
            caller = calling(stack, way, mode, url, total_timeout=seconds)
            came: list[Any] = []
            with pytest.raises(TotalTimeoutError, match=f"total_timeout={seconds:g} s"):
                caller.read("x", into=came)
            assert came

    patiently(check)


def test_retries_end_with_the_total_timeout(mode: Mode) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(http(b'{"message":"busy"}', status="503 Busy"))

    def check(seconds: float) -> None:
        with raw_server(answer) as (url, received), ExitStack() as stack:
            retries = {"max_retries": 1000, "retry_backoff_factor": seconds / 20}
            caller = calling(stack, "default", mode, url, total_timeout=seconds, **retries)
            with soon(), pytest.raises(TotalTimeoutError, match=f"total_timeout={seconds:g} s: .*503.*busy"):
                caller.chat("x")
            assert len(received) > 1

    patiently(check)


@pytest.mark.parametrize("limit", ["max_concurrency", "max_connections"])
def test_waiting_for_others_counts(mode: Mode, limit: str, server: GigaChatServer) -> None:
    def check(seconds: float) -> None:
        with Caller(mode, options(server), **{limit: 1}, total_timeout=seconds) as caller:
            opened = Opened(caller)
            with soon(), pytest.raises(TotalTimeoutError, match=f"total_timeout={seconds:g} s: .*{limit}"):
                caller.chat("x")
            opened.close()
            assert caller.chat("x").choices

    patiently(check)


def test_a_sign_in_counts(mode: Mode) -> None:
    slow = Slow()
    with raw_server(slow.silent) as (url, _), ExitStack() as stack:
        sign_in = {"access_token": None, "credentials": "YTpi", "auth_url": f"{url}/oauth"}
        caller = calling(stack, "default", mode, url, total_timeout=0.3, **sign_in)
        with pytest.raises(TotalTimeoutError, match=r"total_timeout=0\.3 s"):
            caller.chat("x")
        # For those who wait for the sign-in of another as well.
        for error in caller.together(3, "x"):
            assert isinstance(error, TotalTimeoutError)
            assert "total_timeout=0.3 s" in str(error)
        slow.stopped.set()


@pytest.mark.parametrize("rate", [100_000, 300_000], ids=["hardly", "steadily"])
def test_a_body_that_is_taken_slowly_counts(mode: Mode, rate: int) -> None:
    stopped = threading.Event()

    def take_slowly(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while not stopped.wait(0.1):
                taken = 0
                while taken < rate:
                    piece = connection.recv(100_000)
                    if not piece:
                        return
                    taken += len(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        taking = threading.Thread(target=take_slowly, args=(listener,))
        taking.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        caller = calling(stack, "default", mode, url, total_timeout=0.7)
        with soon(), pytest.raises(TotalTimeoutError, match=r"total_timeout=0\.7 s"):
            caller.chat("x" * 50_000_000)
        stopped.set()
        # On a busy machine the time may be up before the client connects.
        socket.create_connection(listener.getsockname()).close()
        taking.join(20)
        assert not taking.is_alive()


# Size.


@ways
@pytest.mark.parametrize("form", ["length", "chunks", "gzip", "until the end"])
def test_a_response_that_is_too_long_is_refused(form: str, way: str, mode: Mode) -> None:
    body = b"[" + b" " * 10_000_000
    answers = {
        "length": http(body),
        "chunks": chunked([body], content_type="application/json"),
        "gzip": http(gzip.compress(body), ("Content-Encoding", "gzip")),
        "until the end": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body,
    }
    connections: list[socket.socket] = []

    def answer(connection: socket.socket, _: bytes) -> None:
        connections.append(connection)
        connection.sendall(answers[form])

    with raw_server(answer) as (url, _), ExitStack() as stack:
        caller = calling(stack, way, mode, url, max_response_bytes=1_000_000)
        with pytest.raises(APIResponseValidationError, match="longer than max_response_bytes=1000000"):
            caller.chat("x")
        if mode == "hybrid":
            caller.run(asyncio.sleep(0.01))
        if form != "length" or way == "default":  # it is read no further
            until(lambda: not is_open(connections[0]))


@ways
def test_a_response_of_just_the_permitted_length(way: str, mode: Mode) -> None:
    for body in (http(COMPLETION), chunked([COMPLETION], content_type="application/json")):
        with raw_server(lambda connection, _, body=body: connection.sendall(body)) as (url, _), ExitStack() as stack:  # type: ignore[misc]
            caller = calling(stack, way, mode, url, max_response_bytes=len(COMPLETION))
            assert caller.chat("x").choices
            caller = calling(stack, way, mode, url, max_response_bytes=len(COMPLETION) - 1)
            with pytest.raises(APIResponseValidationError):
                caller.chat("x")


# Encodings.


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ENCODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "gzip in two parts": ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "deflate": ("deflate", zlib.compress),
    "deflate alone": ("deflate", raw_deflate),
    "identity": ("identity", bytes),
}


@ways
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_encoded_response(encoding: str, way: str, mode: Mode) -> None:
    name, encode = ENCODINGS[encoding]
    header = ("Content-Encoding", name)
    stream = encode(CHUNK * 3 + DONE)
    connections: set[int] = set()

    def answer(connection: socket.socket, request: bytes) -> None:
        connections.add(connection.fileno())
        if b'"stream":true' in request:
            pieces = [stream[index : index + 1] for index in range(len(stream))]
            connection.sendall(chunked(pieces, header))
        else:
            connection.sendall(http(encode(COMPLETION), header))

    with raw_server(answer) as (url, received), ExitStack() as stack:
        caller = calling(stack, way, mode, url)
        for _ in range(2):
            assert caller.chat("x").choices[0].message.content == "да"
            assert len(caller.read("x")) == 3
        assert b"\r\naccept-encoding: gzip, deflate\r\n" in received[0].lower()
        if way == "default":
            assert len(connections) == 1


@ways
def test_an_encoding_that_nobody_asked_for(way: str, mode: Mode) -> None:
    answer = http(COMPLETION, ("Content-Encoding", "br"))
    with raw_server(lambda connection, _: connection.sendall(answer)) as (url, _), ExitStack() as stack:
        caller = calling(stack, way, mode, url)
        with pytest.raises(APIResponseValidationError, match="content-encoding 'br'; gzip, deflate can be decoded"):
            caller.chat("x")


@ways
def test_an_encoded_response_that_is_cut(way: str, mode: Mode) -> None:
    answer = http(gzip.compress(COMPLETION)[:-3], ("Content-Encoding", "gzip"))
    with raw_server(lambda connection, _: connection.sendall(answer)) as (url, _), ExitStack() as stack:
        caller = calling(stack, way, mode, url)
        with pytest.raises(APIConnectionError, match="the compressed response ended prematurely"):
            caller.chat("x")
    answer = chunked([gzip.compress(CHUNK * 3)[:-3]], ("Content-Encoding", "gzip"))
    with raw_server(lambda connection, _: connection.sendall(answer)) as (url, _), ExitStack() as stack:
        caller = calling(stack, way, mode, url)
        came: list[Any] = []
        with pytest.raises(StreamInterruptedError, match="the compressed response ended prematurely"):
            caller.read("x", into=came)
        assert len(came) == 3


# What is not kept.


@pytest.mark.parametrize("way", ["default", "hooks"])
def test_cookies_are_not_kept(way: str, mode: Mode) -> None:
    answer = http(COMPLETION, ("Set-Cookie", "session=1; Path=/"))
    with raw_server(lambda connection, _: connection.sendall(answer)) as (url, received), ExitStack() as stack:
        caller = calling(stack, way, mode, url)
        for _ in range(3):
            caller.chat("x")
    assert not any(b"cookie" in request.lower() for request in received)


@pytest.mark.parametrize("way", ["default", "hooks", "own client"])
def test_a_file_goes_up_every_way(way: str, mode: Mode, tmp_path: Any) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"content\n" * 10_000)
    with GigaChatServer(tls=False) as server, ExitStack() as stack:
        caller = calling(stack, way, mode, "", **{**options(server), "access_token": None})
        with path.open("rb") as file:
            for content in (path, file, ("a.txt", path.read_bytes())):
                assert caller.do("upload_file", content).bytes_ == 80_000
