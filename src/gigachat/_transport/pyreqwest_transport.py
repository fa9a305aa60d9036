"""The transport over pyreqwest: requests are sent by its runtime, a thread of its own, in both modes.

Options that it does not support are refused when a client is made (`pyreqwest_options`). Uploads, callers in trio and
forked processes use the default transport; the runtime of pyreqwest does not run in a forked process.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import OrderedDict
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpcore2
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.request import StreamRequest

from gigachat._engine.limiter import Limiter
from gigachat._engine.transport import Stage, clock
from gigachat._transport import event_loops, forks, tls
from gigachat._transport.chunk_merger import STREAM
from gigachat._transport.errors import WIRE_ERRORS, failure, forget_variables
from gigachat._transport.modes import AsyncMode, BlockingMode
from gigachat._transport.pyreqwest_errors import translated
from gigachat._transport.pyreqwest_options import ClientKind, new_client, refusal, route
from gigachat._transport.pyreqwest_responses import (
    AsyncResponse,
    Begun,
    BlockingResponse,
    BodyResponse,
    WorkerResponse,
    leave,
)
from gigachat._transport.pyreqwest_waiting import Reading, awaited, result_of
from gigachat._transport.pyreqwest_workers import call
from gigachat._transport.requests import FIXED_HEADERS, WITHOUT_BODY, parsed_url, with_query
from gigachat._transport.transport import IN_USE, AsyncTransport, BlockingTransport
from gigachat.exceptions import ClientClosedError

if TYPE_CHECKING:
    from pyreqwest.client import Client, SyncClient
    from pyreqwest.request import SyncStreamRequest
    from pyreqwest.response import Response

    from gigachat._engine.limiter import Slot
    from gigachat._engine.transport import Request
    from gigachat._transport.proxies import Proxy
    from gigachat.settings import Options

_MOST_CLIENTS = 16
_ERRORS = (PyreqwestError, *WIRE_ERRORS)
_runtime_process: int | None = None  # in which the runtime was started


class _PyreqwestTransport(ABC):
    """Base of the transports of both modes.

    Args:
        settings: Options of the client.
    """

    def __init__(self, settings: Options) -> None:
        self._settings = settings
        self.closed = False
        self._used = False
        self._limiter = Limiter()  # of connections
        self._routes: dict[tuple[bytes, str], tuple[bool, Proxy | None]] = {}
        self._clients: OrderedDict[ClientKind, Client | SyncClient] = OrderedDict()
        self._default: Any = None
        forks.watch(self)

    async def send(self, request: Request) -> Any:
        """Send a request and return when the headers of the response are received."""
        if self.closed:
            raise ClientClosedError("this client is closed: make a new one")
        self._used = True
        if request.upload is not None or self._is_elsewhere():
            return await self._default_transport().send(request)
        slot = await self._slot(request) if self._settings.max_connections and not request.sign_in else None
        opened: StreamRequest | SyncStreamRequest | None = None
        response: Any = None
        outer = sys.exception()
        try:
            opened = self._built(request)
            response = await self._received(opened)
            if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
                raise httpcore2.RemoteProtocolError("the server switched to another protocol")
            return self._read_by(opened)(request, opened, response, slot)
        except BaseException as error:
            forget_variables(error, outer)
            stage = Stage.CONNECTING if opened is None else Stage.WAITING
            if opened is not None:
                leave(opened)
                opened = response = None  # the traceback would hold them, and tools that print it cannot print them
            if slot is not None:
                slot.release()
            if isinstance(error, _ERRORS):
                about, stage = translated(error, stage)
                raise failure(about, request, stage, self._proxy(request), outer) from None
            raise

    @abstractmethod
    async def _received(self, opened: Any) -> Response | Begun:
        """Send a request and return its response, whose body has not been read."""

    @abstractmethod
    def _read_by(self, opened: StreamRequest | SyncStreamRequest) -> type[Any]:
        """Return the class that reads the response."""

    def _blocks(self, request: Request) -> bool:
        """Whether a request is sent by the blocking client of pyreqwest."""
        return False

    @abstractmethod
    def _default_kind(self) -> Any:
        """Return a new default transport of this mode."""

    def _is_elsewhere(self) -> bool:
        """Whether the caller is where the runtime of pyreqwest cannot serve it."""
        return _runtime_process not in (None, forks.process)

    def _default_transport(self) -> Any:
        if self._default is None:
            self._default = self._default_kind()
        return self._default

    async def _slot(self, request: Request) -> Slot:
        transport: Any = self
        limit = self._settings.max_connections or 1
        return await self._limiter.acquire_in_time(transport, limit, request.timeouts, request.deadline, lambda: IN_USE)

    def _built(self, request: Request) -> StreamRequest | SyncStreamRequest:
        url, host = parsed_url(request.url)
        headers = {**FIXED_HEADERS, **request.headers}
        client = self._client(request, (url.scheme, host))
        if request.query:
            url = with_query(url, request.query)
        try:
            builder = client.request(request.method, f"{url.scheme.decode()}://{host}{url.target.decode()}")
            builder = builder.headers(headers).streamed_read_buffer_limit(0)  # give what has come at once
        except ValueError as error:
            raise httpcore2.LocalProtocolError("Illegal header value or address") from error
        if request.content is not None or request.method not in WITHOUT_BODY:
            builder = builder.body_bytes(request.content or b"")
        if request.deadline is not None:
            builder = builder.timeout(timedelta(seconds=max(0.001, request.deadline - clock())))
        return builder.build_streamed()

    def _client(self, request: Request, origin: tuple[bytes, str]) -> Client | SyncClient:
        global _runtime_process
        if origin not in self._routes:
            self._routes[origin] = route(self._settings, request.url)
        root, proxy = self._routes[origin]
        limits, blocks = request.timeouts, self._blocks(request)
        kind = ClientKind(blocks, root, proxy, limits.connect, limits.read, tls.stamps(self._settings))
        client = self._clients.get(kind)
        if client is None:
            _runtime_process = forks.process
            client = self._clients[kind] = new_client(self._settings, kind)
            if len(self._clients) > _MOST_CLIENTS:
                self._clients.popitem(last=False)
        return client

    def _proxy(self, request: Request) -> Proxy | None:
        try:
            url, host = parsed_url(request.url)
        except UnicodeError:
            return None
        return self._routes.get((url.scheme, host), (False, None))[1]

    def client(self, url: str) -> Any:
        """Refuse: there is no client of httpx2."""
        if self.closed:
            raise ClientClosedError("this client is closed: make a new one")
        raise refusal("_client and _aclient are clients of httpx2")

    async def close(self) -> None:
        """Close idle connections; later requests are refused. One that was never used stays usable, as in 0.2."""
        if self._default is not None:
            await self._default.close()
        if self._used:
            self.closed = True
            self._clients.clear()

    def forked(self) -> list[object]:
        """Leave the parent's clients alone, in a child process; return them, for they must not be collected."""
        clients = self._clients
        self._clients = OrderedDict()
        self._limiter.reset()
        return [clients]


class BlockingPyreqwestTransport(BlockingMode, _PyreqwestTransport):
    """The transport of blocking callers: every await blocks."""

    async def _received(self, opened: StreamRequest | SyncStreamRequest) -> Response | Begun:
        if isinstance(opened, StreamRequest):
            return result_of(opened.__aenter__(), Reading())
        return call(partial(Begun, opened), partial(leave, opened))

    def _read_by(self, opened: StreamRequest | SyncStreamRequest) -> type[BodyResponse]:
        return BlockingResponse if isinstance(opened, StreamRequest) else WorkerResponse

    def _blocks(self, request: Request) -> bool:
        return request.headers.get("accept") != STREAM  # another thread may close a stream while it is read

    def _default_kind(self) -> BlockingTransport:
        return BlockingTransport(self._settings)


class AsyncPyreqwestTransport(AsyncMode, _PyreqwestTransport):
    """The transport of async callers, in whatever event loop they run."""

    async def _received(self, opened: StreamRequest) -> Response:
        return await awaited(opened.__aenter__(), Reading())

    def _read_by(self, opened: StreamRequest | SyncStreamRequest) -> type[BodyResponse]:
        return AsyncResponse

    def _is_elsewhere(self) -> bool:
        return event_loops.in_trio() or super()._is_elsewhere()

    def _default_kind(self) -> AsyncTransport:
        return AsyncTransport(self._settings)
