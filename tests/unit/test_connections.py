"""Connections of the transport, piece by piece: what a server alone can hardly bring about."""

from __future__ import annotations

import asyncio
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import httpcore2
import pytest
import trio

from gigachat._engine.transport import Request, Stage, Timeouts
from gigachat._transport import event_loops
from gigachat._transport.async_connections import AsyncConnection, AsyncioSocket, TrioSocket, _AsyncStream
from gigachat._transport.connections import (
    BlockingConnection,
    Connections,
    _BlockingByteStream,
    _SocketStream,
    is_readable,
)
from gigachat._transport.deadlines import left_until
from gigachat._transport.errors import failure
from gigachat._transport.tls_stream import TLS
from tests.support.growth import is_linear
from tests.support.systems import needs_trio

ORIGIN = (b"https", b"host", 443)


class Wire:
    """A connection of httpcore2 that says what a test wants."""

    def __init__(self, *, expired: bool = False) -> None:
        self.expired = expired
        self.looks = 0

    def has_expired(self) -> bool:
        self.looks += 1
        return self.expired


def blocking(wire: Wire) -> BlockingConnection:
    connection = BlockingConnection(ORIGIN, None)
    connection.wire = wire
    return connection


def test_idle_connections_are_closed_when_they_have_expired() -> None:
    connections = Connections()
    pairs = [socket.socketpair() for _ in range(2)]
    with pairs[0][1], pairs[1][1]:
        old = [blocking(Wire()) for _ in pairs]
        new = blocking(Wire())
        for connection, (ours, _) in zip(old, pairs, strict=True):
            connection._socket = ours
            assert connections.put(connection)
        assert connections.put(new)
        for connection in old:
            connection.wire.expired = True
        assert connections.take(ORIGIN) is new
        assert [ours.fileno() < 0 for ours, _ in pairs] == [True, True]
        assert connections.take(ORIGIN) is None


def test_the_number_of_idle_connections_is_bounded() -> None:
    connections = Connections()
    for _ in range(1100):
        assert connections.put(blocking(Wire()))
    assert sum(1 for _ in range(1100) if connections.take(ORIGIN)) == 1000


@pytest.mark.parametrize("idle", [1, 10, 200])
def test_a_request_looks_at_few_idle_connections(idle: int) -> None:
    connections, wires = Connections(), [Wire() for _ in range(idle)]
    for wire in wires:
        assert connections.put(blocking(wire))
    assert connections.take(ORIGIN) is not None
    assert sum(wire.looks for wire in wires) <= 2


def test_the_head_of_a_request_is_sent_with_its_body() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        connection = BlockingConnection(ORIGIN, None)
        stream = _SocketStream(connection, ours)
        connection.joins = True
        stream.write(b"head ")
        with pytest.raises(BlockingIOError):
            theirs.recv(100)
        stream.write(b"body")
        assert theirs.recv(100) == b"head body"
        stream.write(b"next")
        assert theirs.recv(100) == b"next"


def test_a_head_without_a_body_is_sent_before_the_response_is_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = BlockingConnection(ORIGIN, None)
        stream = _SocketStream(connection, ours)
        connection.joins = True
        stream.write(b"CONNECT")
        theirs.sendall(b"200")
        assert stream.read(100) == b"200"
        assert theirs.recv(100) == b"CONNECT"


class Sent:
    """A byte stream that notes what is sent on it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def read(self, size: int, timeout: float | None) -> bytes:
        return b"200"

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.pieces.append(data)

    def unread(self) -> bool:
        return False


def test_an_async_head_is_sent_with_its_body_or_before_the_response_is_read() -> None:
    async def main() -> None:
        sent = Sent()
        connection = AsyncConnection(ORIGIN, None)
        stream = _AsyncStream(connection, sent)
        connection.joins = True
        await stream.write(b"head ")
        assert sent.pieces == []
        await stream.write(b"body")
        assert sent.pieces == [b"head body"]
        connection.joins = True
        await stream.write(b"CONNECT")
        assert await stream.read(100) == b"200"
        assert sent.pieces == [b"head body", b"CONNECT"]

    asyncio.run(main())


def test_an_ip_address_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object, **__: object) -> None:
        raise AssertionError("a lookup takes a thread")

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            monkeypatch.setattr(socket, "getaddrinfo", lookup)
            connected = await AsyncioSocket.connect("127.0.0.1", server.getsockname()[1], 5)
            connected.abort()
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_closed_socket_is_readable() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    assert is_readable(ours)
    theirs.close()


def test_a_connection_without_a_socket_is_interrupted_and_closed() -> None:
    connection = BlockingConnection(ORIGIN, None)
    connection.interrupt()
    connection.abort()
    other = AsyncConnection(ORIGIN, None)
    other.abort()
    other.close()


def test_the_awaits_of_a_socket_block() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = _BlockingByteStream(ours)

        async def main() -> bytes:
            await stream.write(b"sent", 5)
            theirs.sendall(theirs.recv(10))
            return await stream.read(10, 5)

        assert asyncio.run(main()) == b"sent"
        assert not stream.unread()


class FakeTransport(asyncio.Transport):
    """A transport of asyncio that notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.closing = False

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: Any) -> None:
        self.done.append("write")

    def abort(self) -> None:
        self.done.append("abort")


def test_a_socket_of_asyncio_pauses_and_goes_on() -> None:
    async def main() -> None:
        stream, transport = AsyncioSocket(), FakeTransport()
        assert stream.unread()  # not connected
        stream.abort()
        stream.connection_made(transport)
        for _ in range(3):
            stream.data_received(bytes(100_000))
        assert transport.done == ["pause"]
        assert len(await stream.read(1, None)) == 300_000
        assert transport.done == ["pause", "resume"]
        stream.pause_writing()
        writing = asyncio.create_task(stream.write(b"x", 5))
        await asyncio.sleep(0)
        stream.resume_writing()
        await writing
        stream.pause_writing()
        with pytest.raises(TimeoutError):
            await stream.write(b"x", 0.001)
        stream.connection_lost(ConnectionResetError("lost"))
        with pytest.raises(ConnectionResetError):
            await stream.write(b"x", None)
        transport.closing = True
        with pytest.raises(ConnectionResetError):
            await stream.write(b"x", None)
        stream.abort()
        assert transport.done[-1] == "abort"

    asyncio.run(main())


def test_many_small_pieces_are_read_in_linear_time() -> None:
    """A server may send each byte apart, while the loop is busy."""

    async def read(count: int) -> None:
        stream = AsyncioSocket()
        for _ in range(count):
            stream.data_received(b"x")
        stream.eof_received()
        while await stream.read(1, None):
            pass

    assert is_linear(lambda count: asyncio.run(read(count)), int, 200_000)


@needs_trio
def test_a_connection_of_trio_is_not_waited_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", never)
    with pytest.raises(TimeoutError):
        trio.run(TrioSocket.connect, "host", 1, 0.001)


@needs_trio
def test_loops_of_trio_end_and_run_what_is_spawned() -> None:
    loops: list[Any] = []
    done: list[bool] = []

    async def work() -> None:
        done.append(True)

    async def main() -> None:
        loop = event_loops.running_loop()
        loops.append(loop)
        assert not event_loops.is_closed(loop)
        event_loops.spawn(loop, work)
        for _ in range(20):
            await trio.sleep(0)

    trio.run(main)
    assert done == [True]
    assert event_loops.is_closed(loops[0])
    event_loops.spawn(loops[0], work)
    assert done == [True]


def test_a_loop_of_asyncio_runs_what_is_spawned_and_forgets_loops_that_were_only_closed() -> None:
    done: list[bool] = []

    class Resource:
        async def aclose(self) -> None:
            done.append(True)

    async def work() -> None:
        await Resource().aclose()

    loop = asyncio.new_event_loop()
    resource = Resource()

    async def register() -> None:
        event_loops.close_with_loop(resource)
        event_loops.spawn(loop, work)
        await asyncio.sleep(0.01)

    loop.run_until_complete(register())
    assert done == [True]
    ended = event_loops._ends[loop][0]
    loop.close()

    async def other() -> None:
        event_loops.close_with_loop(resource)
        assert loop not in event_loops._ends

    asyncio.run(other())
    assert done == [True, True]
    del ended


def test_a_body_that_is_not_taken_in_time_is_named() -> None:
    request = Request("POST", "https://host/x", {}, b"", Timeouts(1, 2, 3, 4))
    failed: Any = failure(httpcore2.WriteTimeout(), request, Stage.WAITING)
    assert "did not take the request within 3 s" in str(failed.error)


def test_time_that_is_over() -> None:
    assert left_until(None) is None
    with pytest.raises(TimeoutError):
        left_until(0.0)


def test_a_peer_that_goes_away_during_the_handshake() -> None:
    async def read(size: int, timeout: float | None) -> bytes:
        return b""

    async def write(data: bytes, timeout: float | None) -> None:
        """Take it."""

    stream: Any = SimpleNamespace(read=read, write=write, unread=lambda: True)
    tls = TLS(stream, ssl.create_default_context(), "host")
    with pytest.raises(ssl.SSLError):
        asyncio.run(tls.handshake(None))
    assert tls.unread()


def test_a_connection_of_another_version_of_httpcore2_is_not_used_again() -> None:
    connection = BlockingConnection(ORIGIN, None)
    connection.wire = SimpleNamespace(is_idle=lambda: True)  # no parser to look into
    assert not connection.is_reusable()


def test_a_connection_that_comes_back_while_another_thread_closes_is_closed() -> None:
    class Closing(tuple[Any, ...]):
        __slots__ = ()

        def __hash__(self) -> int:
            connections.end()  # what the other thread does between two lines
            return 1

    connections = Connections()
    connection = BlockingConnection(Closing(ORIGIN), None)
    ours, theirs = socket.socketpair()
    with theirs:
        connection._socket = ours
        connections.put(connection)
        assert ours.fileno() < 0
