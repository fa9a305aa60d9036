"""The port over httpx2, blocking and async. Together with `hooks`, all that imports the HTTP library.

Connections are pooled: blocking ones for all threads, async ones per event loop. A child process never touches those it
inherited. Errors of the library end here; what they say about how far a request had come is kept.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import h11
import httpx2

from gigachat._engine.io import Failure, Headers, Request, Signal, Stage, Timeouts, clock, run
from gigachat._transport.hooks import AsyncHookedClient, EventHooks, HookedClient
from gigachat._transport.tls import context_for
from gigachat.exceptions import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    CertificateError,
    ConfigurationError,
    GigaChatException,
)
from gigachat.hosts import is_vendor_host
from gigachat.settings import BASE_URL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
    from typing import IO, Any

    from gigachat.settings import Settings

__all__ = ["AsyncPort", "BlockingPort"]

ClientT = TypeVar("ClientT", HookedClient, AsyncHookedClient)

_KEEPALIVE = 30.0  # seconds an idle connection is kept
_DRAIN_WAIT = 0.001  # seconds a finished stream's last bytes may take to be kept for another request
_DRAIN_PIECES = 16

_url = lru_cache(maxsize=256)(httpx2.URL)


@lru_cache(maxsize=64)
def _timeout(timeouts: Timeouts) -> httpx2.Timeout:
    return httpx2.Timeout(connect=timeouts.connect, read=timeouts.read, write=timeouts.write, pool=timeouts.queue)


def _opened(kind: type[ClientT], hooks: EventHooks, settings: Settings, url: str) -> ClientT:
    """Return a new pool for the host of an address."""
    limits = httpx2.Limits(
        max_connections=settings.max_connections, max_keepalive_connections=20, keepalive_expiry=_KEEPALIVE
    )
    context = context_for(settings, urlsplit(url).hostname or "")
    try:
        return kind(hooks, verify=context, proxy=settings.proxy, limits=limits)
    except ImportError:
        problem = 'a SOCKS proxy needs one package more: pip install "gigachat[socks]"'
    except ValueError:
        problem = "the proxy's address cannot be used: http://, https:// and socks5:// are known"
    raise ConfigurationError(f"{problem} (from proxy=, GIGACHAT_PROXY, HTTPS_PROXY, HTTP_PROXY or ALL_PROXY)")


def _closed() -> GigaChatException:
    return GigaChatException("this client is closed: make a new one")


class _Inside(threading.local):
    """Whether this thread is inside the library's pool, where a finalizer must not take its locks."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


class BlockingPort:
    """The outside world of blocking callers: every await blocks.

    Args:
        settings: The client's settings.
        client: The user's own HTTP client, used as it is and never closed.
    """

    def __init__(self, settings: Settings, client: httpx2.Client | None = None) -> None:
        self._settings = settings
        self._own_client = client
        self._hooks: EventHooks = {"request": [], "response": []}
        self._clients: dict[bool, HookedClient] = {}
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = False
        self._inside = _Inside()
        self._abandoned: deque[httpx2.Response] = deque()
        self.now = clock
        # Also frees the sockets of a client that nobody closed.
        self._finalizer = weakref.finalize(self, _close_all, self._clients)
        self._finalizer.atexit = False

    def client(self, url: str, sign_in: bool = False) -> httpx2.Client:
        """Return the HTTP client for API requests, or for sign-in, each to the host of one address."""
        if self._closed:
            raise _closed()
        if self._own_client is not None:
            return self._own_client
        if self._pid != os.getpid():
            # Closing inherited sockets does not disturb the parent; using them would.
            self._lock = threading.Lock()
            self._pid = os.getpid()
            _close_all(self._clients)
            self._clients.clear()
        client = self._clients.get(sign_in)
        if client is None:
            with self._lock:
                client = self._clients.get(sign_in)
                if client is None:
                    hooks: EventHooks = {} if sign_in else self._hooks
                    client = self._clients[sign_in] = _opened(HookedClient, hooks, self._settings, url)
        return client

    async def send(self, request: Request) -> _BlockingResponse:
        """Send a request and return when the answer's headers are here."""
        client = self.client(request.url, request.sign_in)
        while self._abandoned:
            self._abandoned.popleft().close()
        try:
            with self._inside:
                response = client.send(_built(client, request), stream=True)
        except _LIBRARY_ERRORS as error:
            raise _failure(error, request, Stage.WAITING, self._settings) from error
        return _BlockingResponse(response, request, self)

    async def sleep(self, seconds: float) -> None:
        """Pause the thread."""
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this port is for

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        """Wait for a signal; whether it came in time."""
        done = threading.Event()
        signal.subscribe(done.set)
        try:
            return done.wait(timeout)
        finally:
            signal.unsubscribe(done.set)

    async def close(self) -> None:
        """Free all connections; later requests are refused."""
        self._closed = True
        if self._pid == os.getpid():
            _close_all(self._clients)
        self._clients.clear()

    def abandon(self, response: httpx2.Response) -> None:
        """Close an answer from a finalizer: now, or with the next request if the pool's locks may be held."""
        if self._inside.depth:
            self._abandoned.append(response)
        else:
            response.close()


def _close_all(clients: dict[bool, HookedClient]) -> None:
    for client in tuple(clients.values()):
        client.close()


class _BlockingResponse:
    """An answer over the blocking library."""

    __slots__ = ("_pieces", "_port", "_request", "_response", "headers", "status_code")

    def __init__(self, response: httpx2.Response, request: Request, port: BlockingPort) -> None:
        self.status_code = response.status_code
        self.headers = _headers(response)
        self._response = response
        self._request = request
        self._port = port
        self._pieces: Iterator[bytes] | None = None

    async def read(self) -> bytes:
        try:
            with self._port._inside:
                return self._response.read()
        except _LIBRARY_ERRORS as error:
            raise _failure(error, self._request, Stage.READING) from error

    async def receive(self) -> bytes:
        if self._pieces is None:
            stream = self._response.stream
            if isinstance(stream, httpx2.SyncByteStream) and _plain(self._response):
                self._pieces = iter(stream)
            else:
                self._pieces = self._response.iter_bytes()
        inside = self._port._inside
        inside.depth += 1  # as `with inside`, in a fifth of the time
        try:
            return next(self._pieces, b"")
        except _LIBRARY_ERRORS as error:
            raise _failure(error, self._request, Stage.READING) from error
        finally:
            inside.depth -= 1

    async def finish(self) -> None:
        stream = self._response.extensions.get("network_stream")
        if stream is not None and self._pieces is not None:
            read = stream.read
            stream.read = lambda size, timeout=None: read(size, timeout=_DRAIN_WAIT)
            try:
                with self._port._inside, suppress(*_LIBRARY_ERRORS):
                    for _ in zip(range(_DRAIN_PIECES), self._pieces, strict=False):
                        pass
            finally:
                del stream.read
        await self.close()

    async def close(self) -> None:
        with self._port._inside:
            self._response.close()

    def abandon(self) -> None:
        self._port.abandon(self._response)


class AsyncPort:
    """The outside world of async callers, in whatever event loop they run.

    Args:
        settings: The client's settings.
        client: The user's own HTTP client, used as it is and never closed.
    """

    def __init__(self, settings: Settings, client: httpx2.AsyncClient | None = None) -> None:
        self._settings = settings
        self._own_client = client
        self._hooks: EventHooks = {"request": [], "response": []}
        self._pools: dict[asyncio.AbstractEventLoop, _AsyncPool] = {}
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = False
        self.now = clock

    def client(self, url: str, sign_in: bool = False) -> httpx2.AsyncClient:
        """Return the running loop's HTTP client for API requests, or for sign-in, each to the host of one address.

        Where no loop runs, a client without connections is returned: its event hooks are those of all loops.
        """
        if self._closed:
            raise _closed()
        if self._own_client is not None:
            return self._own_client
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return _opened(AsyncHookedClient, self._hooks, self._settings, url)
        if self._pid != os.getpid():
            # Inherited async pools can neither be used nor closed here without disturbing the parent's.
            _inherited.append(self._pools)
            self._lock = threading.Lock()
            self._pid = os.getpid()
            self._pools = {}
        pool = self._pools.get(loop)
        if pool is None:
            with self._lock:
                self._pools = {known: pool for known, pool in self._pools.items() if not known.is_closed()}
                pool = self._pools[loop] = _AsyncPool()
        client = pool.clients.get(sign_in)
        if client is None:
            hooks: EventHooks = {} if sign_in else self._hooks
            client = pool.open(sign_in, _opened(AsyncHookedClient, hooks, self._settings, url))
        return client

    async def send(self, request: Request) -> _AsyncResponse:
        """Send a request and return when the answer's headers are here."""
        client = self.client(request.url, request.sign_in)
        try:
            response = await client.send(_built(client, request), stream=True)
        except _LIBRARY_ERRORS as error:
            raise _failure(error, request, Stage.WAITING, self._settings) from error
        return _AsyncResponse(response, request)

    async def sleep(self, seconds: float) -> None:
        """Pause the task."""
        await asyncio.sleep(seconds)

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        """Wait for a signal; whether it came in time."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            loop.call_soon_threadsafe(_resolve, future)

        signal.subscribe(wake)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            return False
        finally:
            signal.unsubscribe(wake)
        return True

    async def close(self) -> None:
        """Free all connections; later requests are refused."""
        self._closed = True
        pools, self._pools = self._pools, {}
        if self._pid != os.getpid():
            _inherited.append(pools)
            return
        pool = pools.get(asyncio.get_running_loop())
        if pool is not None:
            # Those of other loops are closed there, when their keepers are collected.
            await pool.close()


_inherited: list[object] = []


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _AsyncPool:
    """The connections of one loop, each client with a keeper by which the loop's own shutdown closes it."""

    def __init__(self) -> None:
        self.clients: dict[bool, httpx2.AsyncClient] = {}
        self._keepers: list[AsyncGenerator[None]] = []

    def open(self, sign_in: bool, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
        self.clients[sign_in] = client
        keeper = _keep(client)
        self._keepers.append(keeper)
        run(_begin(keeper))
        return client

    async def close(self) -> None:
        for keeper in self._keepers:
            await keeper.aclose()


async def _keep(client: httpx2.AsyncClient) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await client.aclose()


async def _begin(keeper: AsyncGenerator[None]) -> None:
    await anext(keeper)


class _AsyncResponse:
    """An answer over the async library."""

    __slots__ = ("_loop", "_pieces", "_request", "_response", "headers", "status_code")

    def __init__(self, response: httpx2.Response, request: Request) -> None:
        self.status_code = response.status_code
        self.headers = _headers(response)
        self._response = response
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._pieces: AsyncIterator[bytes] | None = None

    async def read(self) -> bytes:
        try:
            return await self._response.aread()
        except _LIBRARY_ERRORS as error:
            raise _failure(error, self._request, Stage.READING) from error

    async def receive(self) -> bytes:
        if self._pieces is None:
            stream = self._response.stream
            if isinstance(stream, httpx2.AsyncByteStream) and _plain(self._response):
                self._pieces = aiter(stream)
            else:
                self._pieces = self._response.aiter_bytes()
        try:
            return await anext(self._pieces, b"")
        except _LIBRARY_ERRORS as error:
            raise _failure(error, self._request, Stage.READING) from error

    async def finish(self) -> None:
        stream = self._response.extensions.get("network_stream")
        if stream is not None and self._pieces is not None:
            read: Callable[..., Awaitable[bytes]] = stream.read
            stream.read = lambda size, timeout=None: read(size, timeout=_DRAIN_WAIT)
            try:
                with suppress(*_LIBRARY_ERRORS):
                    for _ in range(_DRAIN_PIECES):
                        if not await anext(self._pieces, b""):
                            break
            finally:
                del stream.read
        await self.close()

    async def close(self) -> None:
        await self._response.aclose()

    def abandon(self) -> None:
        if not self._loop.is_closed():
            with suppress(RuntimeError):  # closed just now
                self._loop.call_soon_threadsafe(_close_later, self._loop, self._response)


_closing: set[asyncio.Task[None]] = set()


def _close_later(loop: asyncio.AbstractEventLoop, response: httpx2.Response) -> None:
    task = loop.create_task(response.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


def _built(client: httpx2.Client | httpx2.AsyncClient, request: Request) -> httpx2.Request:
    body: dict[str, Any] = {"content": request.content}
    upload = request.upload
    if upload is not None:
        file = upload.file if isinstance(upload.file, bytes) else _File(upload.file, upload.filename)
        part = upload.filename, file, upload.content_type, {**upload.headers}
        body = {"data": upload.fields, "files": {"file": part}}
    return client.build_request(
        request.method,
        _url(request.url),
        headers=request.headers,
        params=request.query,
        timeout=_timeout(request.timeouts),
        **body,
    )


class _File:
    """A user's file for the library: measured by seeking, as a descriptor does not tell what a compressed one holds."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        if hasattr(file, "seek"):
            self.seek = file.seek
            self.tell = file.tell

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            # Not to be taken for an error of the network.
            raise GigaChatException(f"the file {self._name} cannot be read: {error}") from error


def _headers(response: httpx2.Response) -> Headers:
    raw = response.headers.raw  # a fifth of the time the library's own mapping takes
    return Headers({name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw})


def _plain(response: httpx2.Response) -> bool:
    # Then the stream itself will do, and a twentieth of the time of a chunk is saved. A hook may have read it.
    return "content-encoding" not in response.headers and not response.is_stream_consumed


# The library lets that of h11 through: a body of another length than announced, such as a file that changed meanwhile.
_LIBRARY_ERRORS = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, h11.LocalProtocolError, OSError)
_NOT_SENDABLE = (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError, h11.LocalProtocolError)
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)


def _failure(error: Exception, request: Request, stage: Stage, settings: Settings | None = None) -> Exception:
    """Return our error for one of the library: a Failure if another attempt may help."""
    host = urlsplit(request.url).netloc
    limits = request.timeouts
    refused = _refused_certificate(error, host)
    if refused is not None:
        return refused
    if isinstance(error, httpx2.PoolTimeout):
        return APITimeoutError(
            f"no free connection within queue_timeout={limits.queue:g} s: all of max_connections are in use, perhaps "
            "by streams that are not closed"
        )
    if isinstance(error, _NOT_SENDABLE):
        return ConfigurationError(f"the request to {host} cannot be sent: {error}")
    if isinstance(error, httpx2.DecodingError):
        return APIResponseValidationError(f"the answer of {host} cannot be decompressed: {error}")
    reason = str(error) or type(error).__name__
    if isinstance(error, _NEVER_SENT):
        proxy = _proxy(request.url, settings)
        there = f"{host} through the proxy {proxy}" if proxy else host
        advice = _connecting_advice(request, proxy)
        if isinstance(error, httpx2.ConnectTimeout):
            text = f"no connection to {there} within {limits.connect:g} s{advice}"
            return Failure(Stage.CONNECTING, APITimeoutError(text))
        return Failure(Stage.CONNECTING, APIConnectionError(f"no connection to {there}: {reason}{advice}"))
    if isinstance(error, httpx2.WriteTimeout):
        return Failure(stage, APITimeoutError(f"{host} did not take the request within {limits.write:g} s"))
    if isinstance(error, httpx2.TimeoutException):
        what = "sent nothing more of its answer" if stage is Stage.READING else "did not answer"
        return Failure(stage, APITimeoutError(f"{host} {what} within timeout={limits.read:g} s"))
    when = "during the answer" if stage is Stage.READING else "before an answer came"
    return Failure(stage, APIConnectionError(f"the connection to {host} broke {when}: {reason}"))


def _proxy(url: str, settings: Settings | None) -> str | None:
    """Return host and port of the proxy on the way to an address, without its user and password."""
    parts = urlsplit(url)
    proxy = settings.proxy if settings else None
    if proxy is None and not proxy_bypass(parts.hostname or ""):
        proxies = getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}").netloc.rpartition("@")[2] if proxy else None


def _connecting_advice(request: Request, proxy: str | None) -> str:
    if proxy or not is_vendor_host(urlsplit(request.url).hostname or ""):
        return ""
    advice = "; check the network, and behind a corporate proxy set proxy= or HTTPS_PROXY"
    if request.url.startswith(BASE_URL):
        advice += ", or try base_url='https://api.giga.chat/v1'"
    return advice


_EXPIRED = 10
_HOSTNAME_MISMATCH = (62, 64)


def _refused_certificate(error: BaseException | None, host: str) -> CertificateError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            if error.verify_code == _EXPIRED:
                problem, advice = "has expired", "check this machine's clock"
            elif error.verify_code in _HOSTNAME_MISMATCH:
                problem, advice = "is for another host", "check the address"
            else:
                problem = "is signed by an authority this machine does not know"
                advice = "pass that authority's certificate as ca_bundle_file= (or GIGACHAT_CA_BUNDLE_FILE)"
            return CertificateError(f"the certificate of {host} {problem} ({error.verify_message}): {advice}")
        if isinstance(error, ssl.SSLError) and "CERTIFICATE_REQUIRED" in (error.reason or ""):
            return CertificateError(f"{host} wants a client certificate: pass cert_file= and key_file=")
        error = error.__cause__ or error.__context__
    return None
