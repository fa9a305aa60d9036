"""Connections: each is a connection of httpcore2 and the network under it, blocking here, async in `async_connections`.

A connection is the network backend of its httpcore2 connection. So it knows its socket, whether bytes were received and
not read, and whether a TLS peer closed with close_notify. It bounds the time of its present request, and the bytes that
are read before the headers of the response. It belongs to one request or is idle.
"""

from __future__ import annotations

import select
import socket
import ssl
import sys
import weakref
from abc import ABC, abstractmethod
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import httpcore2

from gigachat._engine.session import run
from gigachat._engine.transport import clock
from gigachat._transport.deadlines import end_of, shares
from gigachat._transport.tls import IGNORE_UNEXPECTED_EOF
from gigachat._transport.tls_stream import TLS
from gigachat._transport.workarounds import forwarding_trailing_data, trailing_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gigachat._transport.chunk_merger import ChunkMerger
    from gigachat._transport.proxies import Proxy

    Origin: TypeAlias = tuple[bytes, bytes, int | None]

ABORTED = "this client closed the connection"
MAX_HEADER_BYTES = 256 * 1024
TOO_LONG_HEAD = f"more than {MAX_HEADER_BYTES} bytes before the headers of a response ended"
PIECE = 64 * 1024  # bytes that are sent with one timeout
UNBOUNDED = sys.maxsize
DRAIN_WAIT = 0.001  # seconds that the last bytes of a finished stream may take
_MAX_IDLE = 1000  # idle connections kept for one origin: none of them costs a request anything
_NO_CONNECTIONS: deque[Connection] = deque()


class Connection(ABC):
    """Base of the connections of both modes.

    Attributes:
        origin: Scheme, host and port that it leads to.
        proxy: The proxy on the way.
        wire: The connection of httpcore2 on this network.
        deadline: Time on the engine's clock at which the present call must have ended.
        draining: Whether only bytes that are already here are wanted.
        handshakes: TLS handshakes to be performed before the first request is sent.
        head_bytes: Bytes that may still be read before the headers of the response.
        joins: Whether the next bytes to be sent are the head of a request whose body follows: one call sends both.
        head: The head that waits for the body.
        merger: Merges the HTTP chunks of the present response; None if it is no stream.
    """

    wire: Any
    joins = False
    head = b""

    def __init__(self, origin: Origin, proxy: Proxy | None) -> None:
        self.origin = origin
        self.proxy = proxy
        forwards = proxy is not None and origin[0] == b"http" and not proxy.url.startswith("socks")
        self._trailing_data = forwarding_trailing_data if forwards else trailing_data
        self.handshakes = (origin[0] == b"https") + (proxy is not None and proxy.speaks_tls)
        self.deadline: float | None = None
        self.draining = False
        self.head_bytes = MAX_HEADER_BYTES
        self.merger: ChunkMerger | None = None

    def remaining(self, timeout: float | None) -> float | None:
        """Return how long the next operation may wait.

        Raises:
            TimeoutError: The total timeout has elapsed.
        """
        if self.draining:
            return DRAIN_WAIT
        if self.deadline is None:
            return timeout
        left = self.deadline - clock()
        if left <= 0:
            raise TimeoutError("the total timeout has elapsed")
        return left if timeout is None else min(timeout, left)

    def is_reusable(self) -> bool:
        """Whether the response was read whole, and no bytes came behind it, which would be taken for the next one."""
        try:
            unread = self.merger is not None and self.merger.held
            return self.wire.is_idle() and not unread and not self._trailing_data(self.wire)[0]
        except AttributeError:  # another version of httpcore2: a connection whose state is unknown is not used again
            return False

    def close_when_collected(self, close: Callable[..., object], *arguments: object) -> None:
        """Call a function when the connection is collected; it must not hold the connection.

        In a reference cycle, Python may finalize a socket, which warns, before the stream that would close it.
        """
        weakref.finalize(self, close, *arguments).atexit = False

    @abstractmethod
    def close(self) -> None:
        """Close the connection, in an event loop from one of its tasks."""

    @abstractmethod
    def abort(self) -> None:
        """Close the connection from any thread or finalizer, without waiting."""

    @abstractmethod
    def interrupt(self) -> None:
        """Wake the thread or task that reads."""

    @abstractmethod
    def drop(self) -> None:
        """Leave the connection to the parent, in a child process."""


class Connections:
    """The connections of one event loop, or of all threads: idle ones by origin, the latest used one last."""

    def __init__(self) -> None:
        self._idle: dict[Origin, deque[Connection]] = {}
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._ended = False

    def add(self, connection: Connection) -> None:
        """Remember a new connection, which a request has."""
        self._open.add(connection)

    def take(self, origin: Origin) -> Connection | None:
        """Return an idle connection that can be used, and close those that no longer can."""
        waiting = self._idle.get(origin, _NO_CONNECTIONS)
        while True:
            try:
                connection = waiting.pop()
            except IndexError:  # none is left, perhaps because another thread took it
                return None
            if not connection.wire.has_expired():
                break
            connection.close()
        with suppress(IndexError):  # none is left, or another thread took it
            while waiting[0].wire.has_expired():
                waiting.popleft().close()
        return connection

    def put(self, connection: Connection) -> bool:
        """Keep a connection for the next request; False if no request can follow."""
        if self._ended:
            return False
        connection.draining = False
        waiting = self._idle.setdefault(connection.origin, deque())
        waiting.append(connection)
        if len(waiting) > _MAX_IDLE:
            with suppress(IndexError):  # other threads took all
                waiting.popleft().close()
        if self._ended:  # another thread has ended the pool
            self.shrink(0)
        return True

    def shrink(self, most: int) -> None:
        """Close idle connections above a number, the longest unused ones first."""
        for waiting in list(self._idle.values()):
            with suppress(IndexError):  # none is left
                while sum(map(len, list(self._idle.values()))) > most:
                    waiting.popleft().abort()

    def end(self) -> None:
        """Close idle connections, and each other one after its request; from any thread or finalizer."""
        self._ended = True
        self.shrink(0)

    async def aclose(self) -> None:
        """Close all connections: their event loop shuts down."""
        self._ended = True
        self._idle.clear()
        for connection in list(self._open):
            connection.close()

    def drop(self) -> list[Connection]:
        """Leave all connections to the parent, in a child process; return them."""
        connections = list(self._open)
        for connection in connections:
            connection.drop()
        self._idle.clear()
        return connections


@contextmanager
def connect_errors() -> Iterator[None]:
    """Raise errors of sockets and of TLS as those of httpcore2 for a connection that cannot be opened."""
    try:
        yield
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from error


def is_readable(sock: Any) -> bool:
    """Whether reading a socket would not wait; a closed one is readable."""
    descriptor = sock.fileno()
    if descriptor < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])  # pragma: no cover - Windows


class BlockingConnection(Connection, httpcore2.NetworkBackend):
    """A connection of blocking callers."""

    interrupted = False
    _socket: socket.socket | None = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Open the connection."""
        with connect_errors():
            opened = self._opened(host, port, end_of(self.remaining(timeout)))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.close_when_collected(opened.close)
        return _SocketStream(self, opened)

    def _opened(self, host: str, port: int, until: float | None) -> socket.socket:
        error = OSError("the host name has no address")
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for (family, kind, protocol, _, address), share in shares(addresses, until):
            try:
                self._socket = socket.socket(family, kind, protocol)
                self._socket.settimeout(share)
                self._socket.connect(address)
                return self._socket
            except OSError as failed:
                self.abort()
                error = failed
        raise error

    def secure(self, context: ssl.SSLContext, hostname: str | None) -> socket.socket:
        """Return the socket with TLS on it."""
        assert self._socket is not None
        deferred = type(context) is ssl.SSLContext  # truststore verifies the peer while it wraps
        # Ragged ends must not be suppressed: a connection that is cut off would look like one that was closed.
        secured = context.wrap_socket(
            self._socket, do_handshake_on_connect=not deferred, suppress_ragged_eofs=False, server_hostname=hostname
        )
        self._socket = secured
        self.close_when_collected(secured.close)
        if deferred:
            secured.do_handshake()
        return secured

    def interrupt(self) -> None:
        """Wake the thread that reads. The socket stays open: the next one opened might get its descriptor."""
        self.interrupted = True
        if self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def abort(self) -> None:
        """Close the connection; waits for nothing, and may be called from a finalizer."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()

    close = abort
    drop = abort
    """Closing the copy of the descriptor does not disturb the parent."""


class _SocketStream(httpcore2.NetworkStream):
    """A socket, or TLS inside the TLS of a proxy."""

    def __init__(self, connection: BlockingConnection, sock: socket.socket, inner: TLS | None = None) -> None:
        self._connection = connection
        self._socket = sock
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        connection = self._connection
        if connection.head:
            self.write(b"", timeout)
        merger = None if connection.handshakes else connection.merger
        data = merger.passed() if merger is not None and merger.held else b""
        while not data:
            if connection.head_bytes < 0:  # and the headers have not ended
                raise httpcore2.RemoteProtocolError(TOO_LONG_HEAD)
            left = timeout
            try:
                if connection.deadline is not None or connection.draining:
                    left = connection.remaining(timeout)
                if self._inner is None:
                    self._socket.settimeout(left)
                    data = self._socket.recv(max_bytes)
                else:
                    data = run(self._inner.read(max_bytes, left))
                if not data and connection.interrupted:
                    raise ConnectionAbortedError(ABORTED)
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

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        connection, sent = self._connection, 0
        if connection.joins:
            connection.joins, connection.head = False, buffer
            return
        if connection.head:
            buffer, connection.head = connection.head + buffer, b""
        try:
            while sent < len(buffer):
                left = timeout if connection.deadline is None else connection.remaining(timeout)
                if self._inner is None:
                    self._socket.settimeout(left)
                    sent += self._socket.send(memoryview(buffer)[sent:])
                else:
                    piece = buffer[sent : sent + PIECE]
                    run(self._inner.write(piece, left))
                    sent += len(piece)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error

    def close(self) -> None:
        self._connection.abort()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        with connect_errors():
            timeout = self._connection.remaining(timeout)
            self._socket.settimeout(timeout)
            # An SSLSocket cannot tell a cut connection from close_notify if its context ignores the difference.
            inner = None
            if not isinstance(self._socket, ssl.SSLSocket) and not ssl_context.options & IGNORE_UNEXPECTED_EOF:
                self._socket = self._connection.secure(ssl_context, server_hostname)
            else:
                inner = TLS(_BlockingByteStream(self._socket), ssl_context, server_hostname)
                run(inner.handshake(timeout))
        self._connection.handshakes -= 1
        return _SocketStream(self._connection, self._socket, inner)

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return None
        return (self._inner is not None and self._inner.unread()) or is_readable(self._socket)


class _BlockingByteStream:
    """A socket as a byte stream whose awaits block."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    async def read(self, size: int, timeout: float | None) -> bytes:
        self._socket.settimeout(timeout)
        return self._socket.recv(size)

    async def write(self, data: bytes, timeout: float | None) -> None:
        self._socket.settimeout(timeout)
        self._socket.sendall(data)

    def unread(self) -> bool:
        return False  # the socket itself is asked
