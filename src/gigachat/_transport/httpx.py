"""The port over httpx2, blocking and async. Together with `hooks` and `logs`, all that imports the HTTP library.

Connections are pooled: blocking ones for all threads, async ones per event loop. A child process never uses those it
inherited. Closing a port lets what is at work go on to its end. Errors of the library end here; what they say about how
far a request had come is kept.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys
import threading
import time
import traceback
import weakref
from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import h11
import httpx2

try:
    from socksio import SOCKSError as SocksError
except ImportError:  # without the extra nothing raises it
    from httpx2 import ProxyError as SocksError  # type: ignore[assignment]

from gigachat._engine.io import Failure, Headers, Request, Signal, Stage, Timeouts, clock, run
from gigachat._transport import handshakes, leftovers, loops
from gigachat._transport.hooks import AsyncHookedClient, EventHooks, HookedClient
from gigachat._transport.logs import quietly
from gigachat._transport.tls import context_for, proxy_context
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
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
    from typing import IO, Any

    from gigachat._transport.loops import Loop
    from gigachat.settings import Settings

__all__ = ["AsyncPort", "BlockingPort"]

ClientT = TypeVar("ClientT", HookedClient, AsyncHookedClient)

_KEEPALIVE = 30.0  # seconds an idle connection is kept
_DRAIN_WAIT = 0.001  # seconds a finished stream's last bytes may take to be kept for another request
_DRAIN_PIECES = 16

_url = lru_cache(maxsize=256)(httpx2.URL)

_Purpose: TypeAlias = tuple[bool, bool]
"""Of a pool: whether it is for sign-in, and whether for the vendor's hosts, where more is trusted."""


@lru_cache(maxsize=256)
def _is_vendors(url: str) -> bool:
    return is_vendor_host(urlsplit(url).hostname or "")


@lru_cache(maxsize=64)
def _timeout(timeouts: Timeouts) -> httpx2.Timeout:
    return httpx2.Timeout(connect=timeouts.connect, read=timeouts.read, write=timeouts.write, pool=timeouts.queue)


def _opened(kind: type[ClientT], hooks: EventHooks, settings: Settings, url: str) -> ClientT:
    """Return a new pool for the host of an address."""
    limits = httpx2.Limits(
        max_connections=settings.max_connections, max_keepalive_connections=20, keepalive_expiry=_KEEPALIVE
    )
    context = context_for(settings, urlsplit(url).hostname or "")
    proxy: str | httpx2.Proxy | None = settings.proxy
    try:
        if isinstance(proxy, str) and proxy.startswith("https:"):
            proxy = httpx2.Proxy(proxy, ssl_context=proxy_context(settings))
        # Address and timeout are for requests of the user's own: `_client.get("/…")` worked so in 0.2.
        timeout = _timeout(Timeouts(*settings.timeouts, settings.queue_timeout))
        return kind(hooks, verify=context, proxy=proxy, limits=limits, base_url=settings.base_url, timeout=timeout)
    except ImportError:
        problem = 'a SOCKS proxy needs one package more: pip install "gigachat[socks]"'
    except (ValueError, httpx2.InvalidURL):  # whose texts may hold a part of its password
        problem = (
            "the proxy's address cannot be used: http://, https:// and socks5:// are known, and / ? # in a password "
            "are written %2F %3F %23"
        )
    raise ConfigurationError(f"{problem} (from proxy=, GIGACHAT_PROXY, HTTPS_PROXY, HTTP_PROXY or ALL_PROXY)")


def _check_own(client: object, kind: type[object], option: str) -> None:
    if client is not None and not isinstance(client, kind):
        library = type(client).__module__.partition(".")[0]
        raise ConfigurationError(f"{option}= takes an httpx2.{kind.__name__}, not {library}.{type(client).__name__}")


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
        _check_own(client, httpx2.Client, "http_client")
        self._settings = settings
        self._own_client = client
        self._hooks: EventHooks = {"request": [], "response": []}
        self._clients: dict[_Purpose, HookedClient] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._inside = _Inside()
        self._working: set[object] = set()  # a mark for each request until its answer is done with
        self._abandoned: deque[_BlockingResponse] = deque()
        self.now = clock
        # Also frees the sockets of a client that nobody closed.
        self._finalizer = weakref.finalize(self, _close_all, self._clients)
        self._finalizer.atexit = False
        _ports.add(self)

    def client(self, url: str, sign_in: bool = False) -> httpx2.Client:
        """Return the HTTP client for API requests, or for sign-in, each to the host of one address."""
        if self._closed:
            raise _closed()
        if self._own_client is not None:
            return self._own_client
        purpose = sign_in, _is_vendors(url)
        client = self._clients.get(purpose)
        if client is None:
            with self._lock:
                client = self._clients.get(purpose)
                if client is None:
                    hooks: EventHooks = {} if sign_in else self._hooks
                    client = self._clients[purpose] = _opened(HookedClient, hooks, self._settings, url)
        return client

    async def send(self, request: Request) -> _BlockingResponse:
        """Send a request and return when the answer's headers are here."""
        mark = object()
        self._working.add(mark)
        try:
            client = self.client(request.url, request.sign_in)
            self._tidy()
            with self._inside:
                # In no variable: tools print them with a traceback.
                response = client.send(_built(client, request), stream=True)
                leftovers.watch(response)
        except BaseException as error:
            self.done(mark)
            if isinstance(error, _LIBRARY_ERRORS):
                raise _failure(error, request, Stage.WAITING, self._settings) from error
            raise
        return _BlockingResponse(response, request, self, mark)

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
        """Free the connections, at once or when the last request at work is done; later requests are refused.

        A port that nobody has used yet stays usable, as in 0.2.
        """
        if not self._clients and self._own_client is None:
            return
        self._closed = True
        self._tidy()

    def done(self, mark: object) -> None:
        """Note that the answer of a request is done with."""
        self._working.discard(mark)
        if self._closed:
            self._tidy()

    def abandon(self, response: _BlockingResponse) -> None:
        """Close an answer from a finalizer: now, or with the next request if the pool's locks may be held."""
        if sys.is_finalizing():  # pragma: no cover - the measurement is over before
            self._cut()  # the library makes objects while it closes, for which it is too late
            return
        self._abandoned.append(response)
        self._tidy()

    def _tidy(self) -> None:
        if self._inside.depth:
            return
        with suppress(IndexError):  # taken by another thread
            while self._abandoned:
                run(self._abandoned.popleft().close())
        if self._closed and not self._working:
            self._finalizer()

    def _cut(self) -> None:
        """Close the sockets and nothing else, without the pool's lock."""
        for client in self._clients.values():
            for transport in (client._transport, *client._mounts.values()):
                for connection in getattr(getattr(transport, "_pool", None), "connections", ()):
                    connection.close()

    def forked(self) -> None:
        """In a child process: close the parent's sockets, which does not disturb it; using them would."""
        self._cut()  # a thread of the parent may hold the pool's lock, and none of this process ever lets go
        _inherited.append([*self._clients.values()])
        self._clients.clear()
        self._lock = threading.Lock()
        self._working = set()
        self._abandoned = deque()


def _close_all(clients: dict[_Purpose, HookedClient]) -> None:
    for client in tuple(clients.values()):
        client.close()


class _BlockingResponse:
    """An answer over the blocking library."""

    __slots__ = ("_mark", "_pieces", "_port", "_process", "_request", "_response", "headers", "status_code")

    def __init__(self, response: httpx2.Response, request: Request, port: BlockingPort, mark: object) -> None:
        self.status_code = response.status_code
        self.headers = _headers(response)
        self._response = response
        self._request = request
        self._port = port
        self._mark = mark
        self._process = _process
        self._pieces: Iterator[bytes] | None = None

    async def read(self) -> bytes:
        try:
            with self._port._inside:
                return self._response.read()
        except _LIBRARY_ERRORS as error:
            raise _failure(error, self._request, Stage.READING) from error
        finally:
            self._port.done(self._mark)

    async def receive(self) -> bytes:
        if self._process != _process:
            raise _of_the_parent()
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
        stream = _network(self._response)
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
        if self._process != _process:
            return
        try:
            with self._port._inside:
                self._response.close()
        finally:
            self._port.done(self._mark)

    async def interrupt(self) -> None:
        stream = _network(self._response)
        if stream is not None and self._process == _process:
            # Not closed under the one who reads: the next connection may get the same descriptor.
            with suppress(OSError):
                socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)

    def abandon(self) -> None:
        self._port.abandon(self)


class AsyncPort:
    """The outside world of async callers, in whatever event loop they run.

    Args:
        settings: The client's settings.
        client: The user's own HTTP client, used as it is and never closed.
    """

    def __init__(self, settings: Settings, client: httpx2.AsyncClient | None = None) -> None:
        _check_own(client, httpx2.AsyncClient, "async_http_client")
        self._settings = settings
        self._own_client = client
        self._hooks: EventHooks = {"request": [], "response": []}
        self._pools: dict[Loop, _AsyncPool] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.now = clock
        # Holds the pools of a client that nobody closed until it is gone. Collected together with it, as what an error
        # holds would be, connections would complain before their keepers could close them.
        finalizer = weakref.finalize(self, self._pools.clear)
        finalizer.atexit = False
        _ports.add(self)

    def client(self, url: str, sign_in: bool = False) -> httpx2.AsyncClient:
        """Return the running loop's HTTP client for API requests, or for sign-in, each to the host of one address.

        Where no loop runs, a client without connections is returned: its event hooks are those of all loops.
        """
        if self._closed:
            raise _closed()
        if self._own_client is not None:
            return self._own_client
        try:
            pool = self._pool()
        except RuntimeError:
            return _opened(AsyncHookedClient, self._hooks, self._settings, url)
        purpose = sign_in, _is_vendors(url)
        client = pool.clients.get(purpose)
        if client is None:
            hooks: EventHooks = {} if sign_in else self._hooks
            client = pool.open(purpose, handshakes.guarded(_opened(AsyncHookedClient, hooks, self._settings, url)))
        return client

    def _pool(self) -> _AsyncPool:
        loop = loops.running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            with self._lock:
                for ended in [known for known in self._pools if loops.is_closed(known)]:
                    del self._pools[ended]
                pool = self._pools[loop] = _AsyncPool(loop)
        return pool

    async def send(self, request: Request) -> _AsyncResponse:
        """Send a request and return when the answer's headers are here."""
        if self._closed:
            raise _closed()
        pool = self._pool()
        mark = object()
        pool.working.add(mark)
        try:
            client = self.client(request.url, request.sign_in)
            response = await client.send(_built(client, request), stream=True)
            leftovers.watch(response)
        except BaseException as error:
            await self.done(pool, mark)
            if isinstance(error, _LIBRARY_ERRORS):
                raise _failure(error, request, Stage.WAITING, self._settings) from error
            raise
        return _AsyncResponse(response, request, self, pool, mark)

    async def sleep(self, seconds: float) -> None:
        """Pause the task."""
        await loops.sleep(seconds)

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        """Wait for a signal; whether it came in time."""
        return await loops.wait(signal, timeout)

    async def close(self) -> None:
        """Free the connections, at once or when the last request at work is done; later requests are refused.

        A port that nobody has used yet stays usable, as in 0.2.
        """
        if not self._pools and self._own_client is None:
            return
        self._closed = True
        pool = self._pools.get(loops.running_loop())
        self._pools.clear()
        if pool is not None and not pool.working:
            # Those of other loops are closed there, when their keepers are collected.
            await pool.close()

    async def done(self, pool: _AsyncPool, mark: object) -> None:
        """Note that the answer of a request is done with."""
        pool.working.discard(mark)
        if self._closed and not pool.working:
            await pool.close()

    def forked(self) -> None:
        """In a child process: keep what cannot be used nor closed here without disturbing the parent's."""
        _inherited.append(self._pools.copy())
        self._pools.clear()
        self._lock = threading.Lock()


_process = os.getpid()
_ports: weakref.WeakSet[BlockingPort | AsyncPort] = weakref.WeakSet()
_inherited: list[object] = []


def _forked() -> None:
    global _process
    _process = os.getpid()
    for port in list(_ports):
        port.forked()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_forked)


def _of_the_parent() -> Failure:
    error = APIConnectionError("it was opened in the parent process, and only there it can be read")
    return Failure(Stage.READING, error)


class _AsyncPool:
    """The connections of one loop, each client with a keeper by which the loop's own shutdown closes it."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.clients: dict[_Purpose, httpx2.AsyncClient] = {}
        self.working: set[object] = set()  # a mark for each request until its answer is done with
        self._keepers: list[AsyncGenerator[None]] = []

    def open(self, purpose: _Purpose, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
        self.clients[purpose] = client
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

    __slots__ = ("_mark", "_pieces", "_pool", "_port", "_process", "_request", "_response", "headers", "status_code")

    def __init__(
        self, response: httpx2.Response, request: Request, port: AsyncPort, pool: _AsyncPool, mark: object
    ) -> None:
        self.status_code = response.status_code
        self.headers = _headers(response)
        self._response = response
        self._request = request
        self._port = port
        self._pool = pool
        self._mark = mark
        self._process = _process
        self._pieces: AsyncIterator[bytes] | None = None

    async def read(self) -> bytes:
        try:
            return await self._response.aread()
        except _LIBRARY_ERRORS as error:
            raise _failure(error, self._request, Stage.READING) from error
        finally:
            await self._port.done(self._pool, self._mark)

    async def receive(self) -> bytes:
        if self._process != _process:
            raise _of_the_parent()
        try:
            if self._pieces is None:
                return await loops.unwatched(self._first())
            return await anext(self._pieces, b"")
        except _LIBRARY_ERRORS as error:
            raise _failure(error, self._request, Stage.READING) from error

    async def _first(self) -> bytes:
        stream = self._response.stream
        if isinstance(stream, httpx2.AsyncByteStream) and _plain(self._response):
            self._pieces = aiter(stream)
        else:
            self._pieces = self._response.aiter_bytes()
        return await anext(self._pieces, b"")

    async def finish(self) -> None:
        stream = _network(self._response)
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
        if self._process != _process:
            _inherited.append(self._response)
            return
        try:
            await self._response.aclose()
        finally:
            await self._port.done(self._pool, self._mark)

    interrupt = close  # which wakes the task that reads

    def abandon(self) -> None:
        if self._process != _process:
            _inherited.append(self._response)
        else:
            self._pieces = None  # closed by itself, or the end of the loop would close it and what it reads at once
            loops.spawn(self._pool.loop, self._close_late)

    async def _close_late(self) -> None:
        with suppress(*_LIBRARY_ERRORS):
            await self.close()


def _built(client: httpx2.Client | httpx2.AsyncClient, request: Request) -> httpx2.Request:
    body: dict[str, Any] = {"content": request.content}
    upload = request.upload
    if upload is not None:
        file = upload.file if isinstance(upload.file, bytes) else _File(upload.file, upload.filename)
        part = upload.filename, file, upload.content_type, {**upload.headers}
        body = {"data": upload.fields, "files": {"file": part}}
    url = _url(request.url)
    query: Mapping[str, str | Sequence[str]] | httpx2.QueryParams | None = request.query
    if url.query and (query or client.params):
        query = url.params.merge(query)  # or the library would drop the address's own
    return quietly(
        client.build_request(
            request.method,
            url,
            headers=request.headers,
            params=query,
            timeout=_timeout(request.timeouts),
            **body,
        )
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


def _network(response: httpx2.Response) -> Any:
    """Return the connection of an answer, None where it is not the answer's alone or there is none."""
    own = response.http_version.startswith("HTTP/1")
    return response.extensions.get("network_stream") if own else None


def _plain(response: httpx2.Response) -> bool:
    # Then the stream itself will do, and a twentieth of the time of a chunk is saved. A hook may have read it.
    return "content-encoding" not in response.headers and not response.is_stream_consumed


# The library lets that of h11 through: a body of another length than announced, such as a file that changed meanwhile.
# Also what resolving a host name raises, and what a proxy that does not speak SOCKS causes.
_NOT_SENDABLE = (
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
    httpx2.LocalProtocolError,
    h11.LocalProtocolError,
    UnicodeError,
)
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, SocksError)
_LIBRARY_ERRORS = (httpx2.HTTPError, httpx2.StreamError, OSError, *_NOT_SENDABLE, SocksError)


def _failure(error: Exception, request: Request, stage: Stage, settings: Settings | None = None) -> Exception:
    """Return our error for one of the library: a Failure if another attempt may help."""
    _forget_variables(error)
    host = urlsplit(request.url).netloc
    limits = request.timeouts
    proxy = _proxy(request.url, settings)
    refused = _refused_certificate(error, host, proxy)
    if refused is not None:
        return refused
    if isinstance(error, httpx2.PoolTimeout):
        return APITimeoutError(
            f"no free connection within queue_timeout={limits.queue:g} s: all of max_connections are in use, perhaps "
            "by streams that are not closed"
        )
    if isinstance(error, _NOT_SENDABLE):
        return ConfigurationError(f"the request to {host} cannot be sent: {_unsendable(error)}")
    if isinstance(error, httpx2.DecodingError):
        return APIResponseValidationError(f"the answer of {host} cannot be decompressed: {error}")
    reason = str(error) or type(error).__name__
    if isinstance(error, _NEVER_SENT):
        there = f"{host} through the proxy {_shown(proxy)}" if proxy else host
        advice = _connecting_advice(request, proxy, reason)
        if isinstance(error, httpx2.ConnectTimeout):
            text = f"no connection to {there}{_within(limits.connect)}{advice}"
            return Failure(Stage.CONNECTING, APITimeoutError(text))
        failed = APIConnectionError(f"no connection to {there}: {reason}{advice}")
        # A proxy may lock an account that tries a wrong password again and again.
        return failed if advice is _PROXY_LOGIN else Failure(Stage.CONNECTING, failed)
    if isinstance(error, httpx2.WriteTimeout):
        return Failure(stage, APITimeoutError(f"{host} did not take the request{_within(limits.write)}"))
    if isinstance(error, httpx2.TimeoutException):
        what = "sent nothing more of its answer" if stage is Stage.READING else "did not answer"
        return Failure(stage, APITimeoutError(f"{host} {what}{_within(limits.read, 'timeout=')}"))
    when = "during the answer" if stage is Stage.READING else "before an answer came"
    return Failure(stage, APIConnectionError(f"the connection to {host} broke {when}: {reason}"))


def _within(seconds: float | None, option: str = "") -> str:
    # Without a limit of ours it was the system that gave up.
    return "" if seconds is None else f" within {option}{seconds:g} s"


def _forget_variables(error: BaseException | None) -> None:
    """Clear the variables of the library's frames: headers are among them, and tools print them with a traceback."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _unsendable(error: Exception) -> str:
    """Return what is wrong with a request, without the value of a header that is."""
    text = str(error)
    if isinstance(error, UnicodeError) or text.startswith("Illegal header"):
        return "a host name or a header is not valid"
    return text


def _proxy(url: str, settings: Settings | None) -> SplitResult | None:
    """Return the address of the proxy on the way to another."""
    parts = urlsplit(url)
    proxy = settings.proxy if settings else None
    if proxy is None and not proxy_bypass(parts.hostname or ""):
        proxies = getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None


def _shown(proxy: SplitResult) -> str:
    """Return host and port of a proxy, without its user and password."""
    if proxy.path.strip("/") or proxy.query or proxy.fragment:
        return "of the environment"  # a / ? or # may be of the password, and what looks like the host too
    return proxy.netloc.rpartition("@")[2]


_LOGIN_REFUSED = re.compile("^407|authentication|username/password", re.IGNORECASE)
_PROXY_LOGIN = "; the proxy's address needs other user and password: proxy='http://user:password@host:port'"
_NO_TLS = re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE")


def _connecting_advice(request: Request, proxy: SplitResult | None, reason: str) -> str:
    if proxy and _LOGIN_REFUSED.search(reason):
        return _PROXY_LOGIN
    if _NO_TLS.search(reason):
        return f"; no TLS is spoken there: does the address{' of the proxy' if proxy else ''} begin with http://?"
    if "HANDSHAKE_FAILURE" in reason:
        return "; perhaps it wants a client certificate: cert_file= and key_file="
    if proxy or not is_vendor_host(urlsplit(request.url).hostname or ""):
        return ""
    advice = "; check the network, and behind a corporate proxy set proxy= or HTTPS_PROXY"
    if request.url.startswith(BASE_URL):
        advice += ", or try base_url='https://api.giga.chat/v1'"
    return advice


_CLOCK = "check this machine's clock, or wait for its owner to renew it"
_TRUST = "pass {} as ca_bundle_file= (or GIGACHAT_CA_BUNDLE_FILE)"
_AUTHORITY = _TRUST.format("that authority's certificate")
_UNKNOWN_AUTHORITY = ("is signed by an authority this machine does not know", _AUTHORITY)
_UNVERIFIED = {
    9: ("is not yet valid", _CLOCK),
    10: ("has expired", _CLOCK),
    18: ("is self-signed", _TRUST.format("it, if it is yours,")),
    **dict.fromkeys((2, 19, 20, 21), _UNKNOWN_AUTHORITY),
    **dict.fromkeys((62, 64), ("is for another host", "check the address")),
}
"""Problem and advice by OpenSSL's number."""


def _refused_certificate(
    error: BaseException | None, host: str, proxy: SplitResult | None = None
) -> CertificateError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            problem, advice = _UNVERIFIED.get(error.verify_code, ("cannot be verified", _AUTHORITY))
            # Which of the two it was, the library does not tell.
            whose = f"{host} (or of the proxy {_shown(proxy)})" if proxy and proxy.scheme == "https" else host
            return CertificateError(f"the certificate of {whose} {problem} ({error.verify_message}): {advice}")
        alert = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
        if "CERTIFICATE_REQUIRED" in alert:
            return CertificateError(f"{host} wants a client certificate: pass cert_file= and key_file=")
        if _OURS_REFUSED.search(alert):
            return CertificateError(f"{host} refused our client certificate ({alert}): check cert_file=")
        error = error.__cause__ or error.__context__
    return None


_OURS_REFUSED = re.compile("ALERT_(UNKNOWN_CA|.*CERTIFICATE)")
