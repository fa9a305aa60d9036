"""The default transport: requests over connections of httpcore2, in both modes.

Idle connections are kept by origin, blocking ones for all threads, async ones for each event loop; the latest used one
is used next. The pools of httpcore2 are not used: an exception of a signal handler, or a cancellation, between two of
their lines loses a connection, and each request looks at every idle one. Here a request that fails closes its
connection. A child process never uses inherited connections.
"""

from __future__ import annotations

import sys
import weakref
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpcore2

from gigachat._engine.limiter import Limiter
from gigachat._engine.transport import Stage
from gigachat._transport import event_loops, forks
from gigachat._transport.connecting import connection_to
from gigachat._transport.connections import MAX_HEADER_BYTES, UNBOUNDED, Connection, Connections
from gigachat._transport.errors import WIRE_ERRORS, failure, forget_variables
from gigachat._transport.modes import AsyncMode, BlockingMode
from gigachat._transport.requests import FIXED_HEADERS, WITHOUT_BODY, extensions, multipart, parsed_url, with_query
from gigachat._transport.responses import BodyReader
from gigachat.exceptions import ClientClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from gigachat._engine.limiter import Slot
    from gigachat._engine.transport import Request
    from gigachat._transport.event_loops import Loop
    from gigachat.settings import Settings

_DRAIN_PIECES = 16
IN_USE = "all of max_connections are in use, perhaps by streams that are not closed"


class _Transport(ABC):
    """Base of the transports of both modes.

    Args:
        settings: Settings of the client.
    """

    blocking: bool
    settle: Callable[[], Awaitable[None]]
    _response: type[_Response]
    _idle: Callable[[], Connections]
    _handle: Callable[[Any, httpcore2.Request], Awaitable[httpcore2.Response]]

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.closed = False
        self._used = False
        self._limiter = Limiter()  # of connections
        self._clients: Any = None
        forks.watch(self)

    async def send(self, request: Request) -> Any:
        """Send a request and return when the headers of the response are received."""
        if self.closed:
            raise ClientClosedError("this client is closed: make a new one")
        if self._clients is not None and not request.sign_in:
            return await self._clients.send(request)
        self._used = True
        idle = self._idle()
        slot = await self._slot(request) if self._settings.max_connections and not request.sign_in else None
        connection: Connection | None = None
        outer = sys.exception()
        try:
            message = _built(request)
            connection = self._connection(idle, message.url, request.url)
            connection.deadline, connection.head_bytes = request.deadline, MAX_HEADER_BYTES
            response = await self._handle(connection.wire, message)
            connection.head_bytes = UNBOUNDED
            return self._response(self, idle, connection, slot, request, response)
        except BaseException as error:
            forget_variables(error, outer)
            if connection is not None:
                connection.close()
            if slot is not None:
                slot.release()
            if isinstance(error, WIRE_ERRORS):
                proxy = None if connection is None else connection.proxy
                sent = connection is not None and not connection.handshakes
                stage = Stage.WAITING if sent else Stage.CONNECTING
                raise failure(error, request, stage, proxy, outer) from None
            raise

    async def _slot(self, request: Request) -> Slot:
        transport: Any = self
        limit = self._settings.max_connections or 1
        return await self._limiter.acquire_in_time(transport, limit, request.timeouts, request.deadline, lambda: IN_USE)

    def _connection(self, idle: Connections, url: httpcore2.URL, address: str) -> Connection:
        connection = idle.take((url.scheme, url.host, url.port))
        if connection is not None:
            return connection
        if self._settings.max_connections:
            idle.shrink(self._settings.max_connections - self._limiter.taken())
        connection = connection_to(url, address, self._settings, blocking=self.blocking)
        idle.add(connection)
        return connection

    def client(self, url: str) -> Any:
        """Return the httpx2 client for an address; from now on, API requests go through such clients."""
        if self.closed:
            raise ClientClosedError("this client is closed: make a new one")
        if self._clients is None:
            from gigachat._transport import httpx_clients

            kinds = httpx_clients.AsyncClientTransport, httpx_clients.BlockingClientTransport
            self._clients = kinds[self.blocking](self._settings)
        return self._clients.client(url)

    @abstractmethod
    def forked(self) -> list[object]:
        """Leave the parent's connections alone, in a child process; return what must not be collected."""


def _built(request: Request) -> httpcore2.Request:
    url, host = parsed_url(request.url)
    headers = {"host": host, **FIXED_HEADERS, **request.headers}
    content: Any = request.content
    if request.upload is not None:
        more, content = multipart(request.upload)
        headers.update(more)
    elif content is not None or request.method not in WITHOUT_BODY:
        headers["content-length"] = str(len(content or b""))
    if request.query:
        url = with_query(url, request.query)
    pairs = list(zip(map(str.encode, headers), map(str.encode, headers.values()), strict=True))
    timeouts = extensions(request.timeouts)
    return httpcore2.Request(request.method, url, headers=pairs, content=content, extensions=timeouts)


def _headers(pairs: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


class _Response(BodyReader):
    """A response over a connection of the transport."""

    __slots__ = (
        "_connection",
        "_idle",
        "_pieces",
        "_process",
        "_released",
        "_request",
        "_response",
        "_slot",
        "_transport",
    )
    _raw_piece: Callable[[], Coroutine[Any, Any, bytes]]
    _whole: Callable[[], Coroutine[Any, Any, bytes]]
    _close_response: Callable[[], Awaitable[None]]

    def __init__(
        self,
        transport: _Transport,
        idle: Connections,
        connection: Connection,
        slot: Slot | None,
        request: Request,
        response: httpcore2.Response,
    ) -> None:
        # The attributes of BodyReader are set here: this saves a call for each request.
        self.status_code = response.status
        self.headers = _headers(response.headers)
        self._encoded = "content-encoding" in self.headers
        self._decoder = None
        self._transport = transport
        self._idle = idle
        self._connection = connection
        self._slot = slot
        self._request = request
        self._response = response
        self._pieces: Any = None
        self._process = forks.process
        self._released = False

    async def read(self, limit: int, option: str = "max_response_bytes=") -> bytes:
        """Return the whole decoded body and release the connection."""
        length = self.headers.get("content-length", "")
        unknown = self._encoded or "transfer-encoding" in self.headers or not length.isdecimal()
        if unknown or int(length) > limit:
            return await super().read(limit, option)
        content = await self._checked(self._whole())  # httpcore2 checks the length
        await self._end()
        return content

    async def receive(self) -> bytes:
        """Return the next piece of the decoded body, empty at its end."""
        if self._encoded:
            return await self._decoded()
        piece = await self._checked(self._raw_piece())
        if not piece:
            await self._end()
        return piece

    async def _next_piece(self) -> bytes:
        return await self._checked(self._raw_piece())

    async def _checked(self, reading: Coroutine[Any, Any, bytes]) -> bytes:
        if self._process != forks.process:
            reading.close()
            raise forks.inherited_response()
        outer = sys.exception()
        try:
            return await reading
        except BaseException as error:
            forget_variables(error, outer)
            await self.close()
            if isinstance(error, WIRE_ERRORS):
                raise failure(error, self._request, Stage.READING, outer=outer) from None
            raise

    async def _end(self) -> None:
        reusable = False
        try:
            await self._close_response()
            self._released = True
            reusable = self._connection.is_reusable() and self._idle.put(self._connection)
        finally:  # trio may cancel, and a signal handler may raise
            self._released = True
            if self._slot is not None:
                self._slot.release()
            if not reusable:
                self._connection.close()
        if not reusable:
            await self._transport.settle()

    async def finish(self) -> None:
        """Release the connection after an end mark: bytes already received are read, so that it can be reused."""
        if self._released or self._process != forks.process:
            return
        self._connection.draining = True
        try:
            with suppress(*WIRE_ERRORS):
                for _ in range(_DRAIN_PIECES):
                    if not await self._raw_piece():
                        break
        except BaseException:
            self.abandon()
            raise
        await self._end()

    async def close(self) -> None:
        """Release the connection at once."""
        try:
            if not self._released and self._process == forks.process:
                self._connection.close()
                await self._transport.settle()
        finally:
            self.abandon()

    async def interrupt(self) -> None:
        """Wake the reader."""
        if not self._released and self._process == forks.process:
            self._connection.interrupt()

    def abandon(self) -> bool:
        """Release the connection from a finalizer; whether it was open in this process."""
        if self._released:
            return False  # the connection may already be used by another request
        self._released = True
        inherited = self._process != forks.process
        if not inherited:
            self._connection.abort()
        if self._slot is not None:
            self._slot.release()
        return not inherited


class _BlockingResponse(_Response):
    __slots__ = ()

    async def _raw_piece(self) -> bytes:
        if self._pieces is None:
            self._pieces = self._response.iter_stream()
        piece: bytes = next(self._pieces, b"")
        return piece

    async def _whole(self) -> bytes:
        return self._response.read()

    async def _close_response(self) -> None:
        self._response.close()


class BlockingTransport(BlockingMode, _Transport):
    """The transport of blocking callers: every await blocks."""

    _response = _BlockingResponse

    def __init__(self, settings: Settings) -> None:
        self._threads = Connections()
        super().__init__(settings)  # registers for forks
        finalizer = weakref.finalize(self, self._threads.end)  # for a client that is never closed
        finalizer.atexit = False

    def _idle(self) -> Connections:
        return self._threads

    async def _handle(self, wire: httpcore2.ConnectionInterface, message: httpcore2.Request) -> httpcore2.Response:
        return wire.handle_request(message)

    async def close(self) -> None:
        """Close idle connections; later requests are refused. One that was never used stays usable, as in 0.2."""
        if self._clients is not None:
            await self._clients.close()
        if self._used:
            self.closed = True
            self._threads.end()

    def forked(self) -> list[object]:
        """Leave the parent's connections alone, in a child process."""
        self._limiter.reset()
        self._threads.drop()
        return []


class _AsyncResponse(_Response):
    __slots__ = ()

    async def _raw_piece(self) -> bytes:
        if self._pieces is None:
            return await event_loops.without_asyncgen_hooks(self._first_piece())
        piece: bytes = await anext(self._pieces, b"")
        return piece

    async def _first_piece(self) -> bytes:
        stream: Any = self._response.stream
        self._pieces = aiter(stream)
        piece: bytes = await anext(self._pieces, b"")
        return piece

    async def _whole(self) -> bytes:
        return await self._response.aread()

    async def _close_response(self) -> None:
        await self._response.aclose()


class AsyncTransport(AsyncMode, _Transport):
    """The transport of async callers, in whatever event loop they run."""

    _response = _AsyncResponse

    def __init__(self, settings: Settings) -> None:
        self._loops: dict[Loop, Connections] = {}
        super().__init__(settings)  # registers for forks
        finalizer = weakref.finalize(self, _end_all, self._loops)  # for a client that is never closed
        finalizer.atexit = False

    def _idle(self) -> Connections:
        loop = event_loops.running_loop()
        known = self._loops.get(loop)
        if known is None:
            for ended in [other for other in list(self._loops) if event_loops.is_closed(other)]:
                self._loops.pop(ended, None)
            known = self._loops[loop] = Connections()
            event_loops.close_with_loop(known)
        return known

    async def _handle(self, wire: httpcore2.AsyncConnectionInterface, message: httpcore2.Request) -> httpcore2.Response:
        return await wire.handle_async_request(message)

    async def close(self) -> None:
        """Close idle connections; later requests are refused. One that was never used stays usable, as in 0.2."""
        if self._clients is not None:
            await self._clients.close()
        if not self._used:
            return
        self.closed = True
        _end_all(self._loops)

    def forked(self) -> list[object]:
        """Leave the parent's connections alone, in a child process."""
        self._limiter.reset()
        loops = self._loops.copy()
        self._loops.clear()
        return [loops, *(known.drop() for known in loops.values())]


def _end_all(loops: dict[Loop, Connections]) -> None:
    for loop in list(loops):
        if (known := loops.pop(loop, None)) is not None:  # another thread may end them too
            known.end()
