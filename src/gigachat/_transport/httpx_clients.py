"""The transport over clients of httpx2: the user's own one, or ours with the event hooks of 0.2.

Our clients have the TLS contexts, proxies and limits of the default transport, and keep no cookies. Bodies are read as
they come and decoded here, so that the same bounds hold.
"""

from __future__ import annotations

import socket
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from gigachat._engine.transport import Stage, clock
from gigachat._service import is_vendor_host
from gigachat._transport import event_loops, forks
from gigachat._transport.client_options import client_options
from gigachat._transport.decoding import ACCEPTED
from gigachat._transport.errors import WIRE_ERRORS, failure, forget_variables
from gigachat._transport.hooks import AsyncHookedClient, HookedClient, without_query_in_logs
from gigachat._transport.modes import AsyncMode, BlockingMode
from gigachat._transport.requests import form
from gigachat._transport.responses import BodyReader
from gigachat.exceptions import ClientClosedError, ConfigurationError

if TYPE_CHECKING:
    from gigachat._engine.transport import Request
    from gigachat._transport.event_loops import Loop
    from gigachat._transport.hooks import EventHooks
    from gigachat.settings import Options

_PHASES = ("connect", "read", "write")
_LIBRARY_ERRORS = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, *WIRE_ERRORS)


class _ClientTransport(ABC):
    """Base of the transports of both modes.

    Args:
        settings: Options of the client.
        own: The user's own client, used as it is and never closed.
    """

    blocking: bool
    _kind: type[httpx2.Client] | type[httpx2.AsyncClient]
    _hooked: Any
    _response: type[_ClientResponse]

    def __init__(self, settings: Options, own: httpx2.Client | httpx2.AsyncClient | None = None) -> None:
        if own is not None and not isinstance(own, self._kind):
            option = "http_client" if self.blocking else "async_http_client"
            library = type(own).__module__.partition(".")[0]
            raise ConfigurationError(
                f"{option}= takes an httpx2.{self._kind.__name__}, not {library}.{type(own).__name__}"
            )
        self._settings = settings
        self._own = own
        self._hooks: EventHooks = {"request": [], "response": []}
        self._closed = False
        self._lock = threading.Lock()
        self._clients: dict[Any, Any] = {}
        finalizer = weakref.finalize(self, self._close_clients, self._clients)  # for a client that is never closed
        finalizer.atexit = False
        forks.watch(self)

    async def send(self, request: Request) -> Any:
        """Send a request and return when the headers of the response are received."""
        client = self.client(request.url)
        if client.is_closed:
            raise ClientClosedError("the HTTP client given as http_client= or async_http_client= is closed")
        outer = sys.exception()
        try:
            response = await self._send(client, _built(client, request))
            headers = {name.lower(): value for name, value in response.headers.items()}
            # A hook may have read it, and httpx2 has decoded it then.
            return self._response(self, request, response, headers, encoded=not response.is_stream_consumed)
        except BaseException as error:
            forget_variables(error, outer)
            if isinstance(error, _LIBRARY_ERRORS):
                raise failure(_translated(error), request, Stage.WAITING, outer=outer) from None
            raise

    @abstractmethod
    async def _send(self, client: Any, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its response, whose body has not been read."""

    def client(self, url: str) -> Any:
        """Return the httpx2 client for an address: the user's own one, or ours."""
        if self._closed:
            raise ClientClosedError("this client is closed: make a new one")
        return self._client_of_ours(url) if self._own is None else self._own

    @abstractmethod
    def _client_of_ours(self, url: str) -> Any:
        """Return our client for an address."""

    @staticmethod
    @abstractmethod
    def _close_clients(clients: dict[Any, Any]) -> None:
        """Close clients from any thread or finalizer."""

    def forked(self) -> list[object]:
        """Leave the parent's clients alone, in a child process; return them, for they must not be collected."""
        clients = self._clients.copy()
        self._clients.clear()
        self._lock = threading.Lock()
        return [clients]

    def _new_client(self, url: str) -> Any:
        """Return a new client for the host of an address."""
        # Address and timeout are for requests of the user's own: `_client.get("/…")` worked so in 0.2.
        return self._hooked(self._hooks, base_url=self._settings.base_url, **client_options(self._settings, url))


def _built(client: Any, request: Request) -> httpx2.Request:
    headers = {"accept-encoding": ACCEPTED, **request.headers}
    body = {"content": request.content} if request.upload is None else form(request.upload)
    url = httpx2.URL(request.url)
    query: Any = request.query
    if url.query and (query or client.params):
        query = url.params.merge(query)  # or the library would drop those of the address
    phases = {name: getattr(request.timeouts, name) for name in _PHASES}
    if request.deadline is not None:
        left = max(0.001, request.deadline - clock())
        phases = {name: left if value is None else min(left, value) for name, value in phases.items()}
    timeout = httpx2.Timeout(request.timeouts.queue, **phases)
    built: httpx2.Request = client.build_request(
        request.method, url, headers=headers, params=query, timeout=timeout, **body
    )
    return without_query_in_logs(built)


def _translated(error: BaseException) -> BaseException:
    """Return the error of httpcore2 for one of httpx2, with the same cause."""
    kind = getattr(httpcore2, type(error).__name__, None)
    if isinstance(error, httpx2.InvalidURL):
        kind = httpcore2.UnsupportedProtocol
    elif isinstance(error, httpx2.StreamError):
        kind = httpcore2.ReadError
    if kind is None or isinstance(error, WIRE_ERRORS):
        return error
    translated: BaseException = kind(str(error))
    translated.__cause__ = error
    return translated


class _ClientResponse(BodyReader):
    """A response of an httpx2 client."""

    __slots__ = ("_pieces", "_process", "_request", "_response", "_transport")

    def __init__(
        self, transport: _ClientTransport, request: Request, response: httpx2.Response, headers: Any, *, encoded: bool
    ) -> None:
        super().__init__(response.status_code, headers, encoded=encoded)
        self._transport: Any = transport
        self._request = request
        self._response = response
        self._process = forks.process
        self._pieces: Any = None

    @abstractmethod
    async def _raw_piece(self) -> bytes:
        """Return the next piece that the HTTP library gives, empty at the end; raises its errors."""

    async def receive(self) -> bytes:
        """Return the next piece of the decoded body, empty at its end."""
        if self._encoded:
            return await self._decoded()
        piece = await self._next_piece()
        if not piece:
            await self._end()
        return piece

    async def _next_piece(self) -> bytes:
        if self._process != forks.process:
            raise forks.inherited_response()
        outer = sys.exception()
        try:
            if self._request.deadline is not None and clock() >= self._request.deadline:
                raise httpcore2.ReadTimeout
            return await self._raw_piece()
        except BaseException as error:
            forget_variables(error, outer)
            await self.close()
            if isinstance(error, _LIBRARY_ERRORS):
                raise failure(_translated(error), self._request, Stage.READING, outer=outer) from None
            raise

    async def _end(self) -> None:
        await self.close()

    async def finish(self) -> None:
        """Release the connection; the user's own client may wait for no drain."""
        await self.close()

    async def close(self) -> None:
        """Release the connection at once."""
        if self._process == forks.process:
            await self._close()
        else:
            forks.keep(self._response, self._pieces)

    @abstractmethod
    async def _close(self) -> None:
        """Close the response of httpx2."""

    def abandon(self) -> bool:
        """Release the connection from a finalizer; whether it was open in this process."""
        if self._process != forks.process:
            forks.keep(self._response, self._pieces)
            return False
        self._shut_down()
        self._close_later()
        return True

    @abstractmethod
    def _close_later(self) -> None:
        """Have the response closed where the locks of its pool may be taken."""

    def _shut_down(self) -> None:
        stream = self._response.extensions.get("network_stream")
        sock = stream.get_extra_info("socket") if stream is not None else None
        if sock is not None and self._process == forks.process and self._response.http_version.startswith("HTTP/1"):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class _BlockingResponse(_ClientResponse):
    __slots__ = ()

    async def _raw_piece(self) -> bytes:
        if self._pieces is None:
            read = self._response.is_stream_consumed
            self._pieces = self._response.iter_bytes() if read else self._response.iter_raw()
        piece: bytes = next(self._pieces, b"")
        return piece

    async def _close(self) -> None:
        self._response.close()

    def _close_later(self) -> None:
        self._transport.abandoned.append(self)

    async def interrupt(self) -> None:
        """Wake the reader; the socket stays open, or the next one opened might get its descriptor."""
        self._shut_down()


class BlockingClientTransport(BlockingMode, _ClientTransport):
    """The transport over blocking clients."""

    _kind = httpx2.Client
    _hooked = HookedClient
    _response = _BlockingResponse

    def __init__(self, settings: Options, own: httpx2.Client | None = None) -> None:
        self.abandoned: list[_BlockingResponse] = []
        super().__init__(settings, own)

    def _client_of_ours(self, url: str) -> httpx2.Client:
        vendors = is_vendor_host(urlsplit(url).hostname or "")
        with self._lock:
            if vendors not in self._clients:
                self._clients[vendors] = self._new_client(url)
            client: httpx2.Client = self._clients[vendors]
            return client

    async def _send(self, client: httpx2.Client, request: httpx2.Request) -> httpx2.Response:
        await self._close_abandoned()
        return client.send(request, stream=True)

    async def _close_abandoned(self) -> None:
        while True:
            try:
                response = self.abandoned.pop()
            except IndexError:  # none is left, perhaps because another thread took it
                return
            await response.close()

    def forked(self) -> list[object]:
        """Leave the parent's clients alone, in a child process; return them, for they must not be collected."""
        self.abandoned.clear()
        return super().forked()

    async def close(self) -> None:
        """Close the clients that are ours; later requests are refused."""
        self._closed = True
        await self._close_abandoned()
        self._close_clients(self._clients)

    @staticmethod
    def _close_clients(clients: dict[bool, httpx2.Client]) -> None:
        for key in list(clients):
            if (client := clients.pop(key, None)) is not None:  # another thread may close them too
                client.close()


class _AsyncResponse(_ClientResponse):
    __slots__ = ("_loop",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._loop = event_loops.running_loop()

    async def _raw_piece(self) -> bytes:
        if self._pieces is None:
            return await event_loops.without_asyncgen_hooks(self._first_piece())
        piece: bytes = await anext(self._pieces, b"")
        return piece

    async def _first_piece(self) -> bytes:
        read = self._response.is_stream_consumed
        self._pieces = self._response.aiter_bytes() if read else self._response.aiter_raw()
        piece: bytes = await anext(self._pieces, b"")
        return piece

    async def _close(self) -> None:
        await self._response.aclose()

    def _close_later(self) -> None:
        event_loops.spawn(self._loop, self._close_quietly)

    async def _close_quietly(self) -> None:
        with suppress(*_LIBRARY_ERRORS):
            await self.close()

    async def interrupt(self) -> None:
        """Wake the reader by closing."""
        await self.close()


class AsyncClientTransport(AsyncMode, _ClientTransport):
    """The transport over async clients: ours are made for each event loop."""

    _kind = httpx2.AsyncClient
    _hooked = AsyncHookedClient
    _response = _AsyncResponse

    def _client_of_ours(self, url: str) -> Any:
        try:
            loop = event_loops.running_loop()
        except RuntimeError:
            return self._new_client(url)  # without connections: its event hooks are those of all loops
        key = loop, is_vendor_host(urlsplit(url).hostname or "")
        if key not in self._clients:
            for ended in [known for known in list(self._clients) if event_loops.is_closed(known[0])]:
                self._clients.pop(ended, None)
            self._clients[key] = self._new_client(url)
            event_loops.close_with_loop(self._clients[key])
        return self._clients[key]

    async def _send(self, client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
        return await client.send(request, stream=True)

    async def close(self) -> None:
        """Close the clients that are ours; later requests are refused."""
        self._closed = True
        loop = event_loops.running_loop()
        for key in list(self._clients):
            if key[0] is loop and (client := self._clients.pop(key, None)) is not None:
                await client.aclose()
        self._close_clients(self._clients)

    @staticmethod
    def _close_clients(clients: dict[tuple[Loop, bool], httpx2.AsyncClient]) -> None:
        for key in list(clients):
            if (client := clients.pop(key, None)) is not None:  # another thread may close them too
                event_loops.spawn(key[0], client.aclose)
