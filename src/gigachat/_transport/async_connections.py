"""Async connections, over sockets of asyncio and of trio. `connections` has what they share with blocking ones."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

import httpcore2

from gigachat._transport import event_loops
from gigachat._transport.connections import ABORTED, PIECE, TOO_LONG_HEAD, Connection, connect_errors, is_readable
from gigachat._transport.deadlines import end_of, left_until, shares
from gigachat._transport.tls_stream import TLS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    import trio

    from gigachat._transport.event_loops import Loop
from gigachat._transport.tls_stream import ByteStream

_HIGH_WATER = 256 * 1024  # unread bytes at which the loop stops receiving


class AsyncioSocket(asyncio.Protocol):
    """A TCP connection of an asyncio loop. What the loop has received is here and nowhere else."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []  # few; an empty deque takes ten times the memory
        self._size = 0
        self._ended = False  # whether no more bytes will be received
        self._lost = False
        self._error: Exception | None = None
        self._full = False  # whether the transport wants no more to send
        self._waiters: list[asyncio.Future[None]] = []
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, host: str, port: int, timeout: float | None) -> AsyncioSocket:
        """Open a connection."""
        loop = asyncio.get_running_loop()
        until = end_of(timeout)
        try:
            addresses = [str(ip_address(host))]  # the loop would look it up in a thread
        except ValueError:
            async with asyncio.timeout(timeout):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(address[0]) for *_, address in found]
        error = OSError("the host name has no address")
        # One after another: asyncio loses sockets when its happy eyeballs are cancelled.
        for address, share in shares(addresses, until):
            try:
                async with asyncio.timeout(share):
                    _, stream = await loop.create_connection(cls, address, port)
                return stream
            except OSError as failed:
                error = failed
        raise error

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has its own class, which is not a subclass

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return True  # the transport stays open until it is aborted

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._lost = True
        self._error = self._error or exc
        self._wake()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _wait(self, until: float | None) -> None:
        left = left_until(until)
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        timer = None if left is None else self._loop.call_later(left, _time_out, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()

    async def read(self, size: int, timeout: float | None) -> bytes:
        until = end_of(timeout)
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            await self._wait(until)
        received = b"".join(self._pieces)  # all, although it may be more: the parser takes any number
        self._pieces.clear()
        if self._size > _HIGH_WATER and self._transport is not None and not self._ended:
            self._transport.resume_reading()
        self._size = 0
        return received

    async def write(self, data: bytes, timeout: float | None) -> None:
        if self._transport is None or self._transport.is_closing():
            raise self._error or ConnectionResetError("the connection is closed")
        until = end_of(timeout)
        self._transport.write(data)
        while self._full and not self._lost:
            await self._wait(until)
        if self._error is not None:
            raise self._error

    def unread(self) -> bool:
        if self._pieces or self._ended or self._transport is None:
            return True
        sock: socket.socket | None = self._transport.get_extra_info("socket")
        return sock is None or is_readable(sock)

    def abort(self) -> None:
        if self._transport is not None:
            if not self._ended:
                self._error = ConnectionAbortedError(ABORTED)
            self._transport.abort()


def _time_out(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class TrioSocket:
    """A TCP connection of trio."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    @classmethod
    async def connect(cls, host: str, port: int, timeout: float | None) -> TrioSocket:
        """Open a connection."""
        import trio

        with trio.move_on_after(float("inf") if timeout is None else timeout) as scope:
            return cls(await trio.open_tcp_stream(host, port))
        assert scope.cancelled_caught
        raise TimeoutError

    async def read(self, size: int, timeout: float | None) -> bytes:
        import trio

        with trio.move_on_after(float("inf") if timeout is None else timeout):
            try:
                return bytes(await self._stream.receive_some(size))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionResetError(str(error.__cause__ or error)) from error
        raise TimeoutError

    async def write(self, data: bytes, timeout: float | None) -> None:
        import trio

        with trio.move_on_after(float("inf") if timeout is None else timeout) as scope:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionResetError(str(error.__cause__ or error)) from error
        if scope.cancelled_caught:
            raise TimeoutError

    def unread(self) -> bool:
        return self._stream.socket.is_readable()

    def abort(self) -> None:
        self._stream.socket.close()


class AsyncConnection(Connection, httpcore2.AsyncNetworkBackend):
    """A connection of the running loop."""

    _loop: Loop | None = None
    _socket: AsyncioSocket | TrioSocket | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Open the connection."""
        self._loop = event_loops.running_loop()
        kind = TrioSocket if event_loops.in_trio() else AsyncioSocket
        with connect_errors():
            self._socket = await kind.connect(host, port, self.remaining(timeout))
        self.close_when_collected(event_loops.call_soon, self._loop, self._socket.abort)
        return _AsyncStream(self, self._socket)

    def close(self) -> None:
        """Close the connection: at once from its loop, soon from any other."""
        if self._socket is not None and self._loop is not None:
            if event_loops.is_running(self._loop):
                self._socket.abort()
            else:
                self.abort()

    def abort(self) -> None:
        """Close the connection from any thread or finalizer."""
        if self._socket is not None and self._loop is not None:
            event_loops.call_soon(self._loop, self._socket.abort)

    interrupt = abort
    """Closing wakes the task that reads."""

    def drop(self) -> None:
        """Leave the connection to the parent: its event loop shares the state of the parent's."""


class _AsyncStream(httpcore2.AsyncNetworkStream):
    """A connection, or TLS on it."""

    def __init__(self, connection: AsyncConnection, stream: ByteStream) -> None:
        self._connection = connection
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        connection = self._connection
        if connection.head:
            await self.write(b"", timeout)
        merger = None if connection.handshakes else connection.merger
        data = merger.passed() if merger is not None and merger.held else b""
        while not data:
            if connection.head_bytes < 0:  # and the headers have not ended
                raise httpcore2.RemoteProtocolError(TOO_LONG_HEAD)
            left = timeout
            try:
                if connection.deadline is not None or connection.draining:
                    left = connection.remaining(timeout)
                data = await self._stream.read(max_bytes, left)
            except TimeoutError as error:
                raise httpcore2.ReadTimeout(str(error)) from error
            except OSError as error:
                raise httpcore2.ReadError(str(error)) from error
            connection.head_bytes -= len(data)
            if not data:
                return b"" if merger is None else merger.end()
            if merger is not None:
                data = merger.passed(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        connection = self._connection
        if connection.joins:
            connection.joins, connection.head = False, buffer
            return
        if connection.head:
            buffer, connection.head = connection.head + buffer, b""
        try:
            # The timeout is for each piece, so that a slow peer gets a long request.
            for begin in range(0, len(buffer), PIECE):
                await self._stream.write(buffer[begin : begin + PIECE], connection.remaining(timeout))
        except TimeoutError as error:
            raise httpcore2.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._connection.close()
        if not event_loops.in_trio():
            await asyncio.sleep(0)  # in which the transport closes its socket

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        with connect_errors():
            stream = TLS(self._stream, ssl_context, server_hostname)
            await stream.handshake(self._connection.remaining(timeout))
        self._connection.handshakes -= 1
        return _AsyncStream(self._connection, stream)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.unread() if info == "is_readable" else None
