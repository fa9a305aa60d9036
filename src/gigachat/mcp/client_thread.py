"""The thread in which the client of the package mcp runs, one for each connection.

The package requires that the task that enters its client also exits it. One task of an event loop in this thread does
both. Requests of other threads and event loops are sent in this loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from gigachat._engine.signals import Signal
from gigachat._transport import event_loops
from gigachat.exceptions import ConfigurationError, McpError
from gigachat.mcp.errors import closed_error, reason_of, says_closed, server_error, tool_error
from gigachat.mcp.listing import ListingStream
from gigachat.mcp.results import value_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from concurrent.futures import Future

    from mcp import Client
    from mcp.types import Tool

    from gigachat.mcp.servers import Server

T = TypeVar("T")

CLOSE_TIMEOUT = 10.0
"""Seconds in which the client disconnects and a program ends."""

_MOST_PAGES = 1_000  # of the list of tools


class ClientThread:
    """A thread with a client of the package mcp. It is a daemon: the exit of the interpreter does not wait for it.

    Args:
        server: The server.
        startup_timeout: Seconds until the server must have listed its tools.
        timeout: Seconds that a request may take; None for no limit.

    Attributes:
        tools: The tools of the server.
        ready: Set when the tools are listed or the client has failed.
        ended: Set when the client has disconnected.
    """

    def __init__(self, server: Server, startup_timeout: float | None, timeout: float | None) -> None:
        self.tools: list[Tool] = []
        self.ready = Signal()
        self.ended = Signal()
        self._has_failed = False
        self._server = server
        self._startup_timeout = startup_timeout
        self._timeout = timeout
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._startup: asyncio.Timeout | None = None
        self._client: Client | None = None
        self._messages: ListingStream | None = None
        self._requests: set[Future[Any]] = set()
        self._stopping = False
        self._disconnecting = asyncio.Event()
        self._invalid_lines = 0
        self._error: Exception | None = None

    # In the threads of callers

    @property
    def has_failed(self) -> bool:
        """Whether a request has raised `McpError`."""
        return self._has_failed

    def start(self) -> None:
        """Start the thread, which connects to the server."""
        threading.Thread(target=self._run, name="gigachat-mcp", daemon=True).start()

    def stop(self) -> None:
        """Make the client disconnect, without waiting for it."""
        with self._lock:
            self._stopping = True
            if self._loop is not None and not self.ended.is_set():
                event_loops.call_soon(self._loop, self._disconnect)

    def check_connected(self) -> None:
        """Refuse to use a client that is not connected.

        Raises:
            McpError: It has failed or was stopped.
            ConfigurationError: The package mcp is missing.
        """
        with self._lock:
            if self._client is None or self._stopping:
                raise self.failure()

    def failure(self) -> Exception:
        """Return why the client is not connected, as an exception for one caller."""
        return closed_error(self._server) if self._error is None or self._stopping else copy(self._error)

    def list_tools(self) -> Future[None]:
        """Begin to read the list of tools again."""
        return self._begin(lambda client: self._response(self._list_tools(client), server_error))

    def call_tool(self, name: str, arguments: dict[str, Any]) -> Future[Any]:
        """Begin to call a tool."""
        return self._begin(lambda client: self._call_tool(client, name, arguments))

    def _begin(self, request: Callable[[Client], Coroutine[Any, Any, T]]) -> Future[T]:
        with self._lock:
            if self._loop is None or self._client is None or self._stopping:
                raise self.failure()
            future = asyncio.run_coroutine_threadsafe(request(self._client), self._loop)
            self._requests.add(future)
        future.add_done_callback(self._requests.discard)
        return future

    # In this thread

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._run_client())
        finally:
            self.ready.set()
            self.ended.set()

    async def _run_client(self) -> None:
        try:
            await self._connect_and_serve()
        except BaseException as error:
            self._error = self._failure(error)
        self._end_requests()
        self.ready.set()  # the loop may wait for a look-up of a host before it ends

    async def _connect_and_serve(self) -> None:
        client_class = _client_class()
        self._server.start_request()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._stopping:
                return
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._startup_timeout) as self._startup:
                client = await stack.enter_async_context(
                    client_class(self._streams(), message_handler=self._count_invalid_lines)
                )
                await self._list_tools(client)
            with self._lock:
                self._client = client
            self.ready.set()
            await self._disconnecting.wait()
            self._end_requests()  # while the server can still be told
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await stack.aclose()

    @asynccontextmanager
    async def _streams(self) -> AsyncGenerator[Any]:
        async with self._server.connect() as (reading, writing):
            self._messages = ListingStream(reading)
            yield self._messages, writing

    async def _count_invalid_lines(self, message: object) -> None:
        if isinstance(message, Exception):
            self._invalid_lines += 1

    def _disconnect(self) -> None:
        self._disconnecting.set()
        if self._startup is not None:
            with suppress(RuntimeError):  # it has ended
                self._startup.reschedule(asyncio.get_running_loop().time())

    def _end_requests(self) -> None:
        with self._lock:
            self._client = None
            requests = [*self._requests]
        for request in requests:
            request.cancel()

    async def _list_tools(self, client: Client) -> None:
        tools: list[Tool] = []
        cursor = None
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(cursor=cursor, cache_mode="refresh")
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None:
                self.tools = tools
                return
        raise ValueError(f"its list of tools has more than {_MOST_PAGES} pages")

    async def _call_tool(self, client: Client, name: str, arguments: dict[str, Any]) -> Any:
        result = await self._response(client.call_tool(name, arguments), tool_error)
        return value_of(result, self._server.without_secrets)

    async def _response(self, request: Coroutine[Any, Any, T], response_error: Callable[[Server, str], Exception]) -> T:
        """Await the response to a request.

        Args:
            request: The request.
            response_error: Makes the error of a response that is an error or is late.

        Raises:
            McpError: The server did not respond to the request, or its response is invalid.
            ConnectionLostError: The connection has ended.
        """
        from mcp import MCPError

        self._server.start_request()
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await request
        except Exception as error:
            if limit.expired():
                failure = response_error(self._server, f"no response within {self._timeout:g} seconds")
            elif says_closed(error):
                self._error = self._error or self._failure(error)
                self._disconnecting.set()
                failure = ConnectionLostError()
            elif isinstance(error, MCPError) and self._server.has_sent(error):
                failure = response_error(self._server, self._server.without_secrets(error.message))
            else:
                failure = server_error(self._server, reason_of(error, self._server, self._messages))
        self._has_failed = self._has_failed or isinstance(failure, McpError)
        raise failure

    def _failure(self, error: BaseException) -> Exception:
        """Return the error that has ended the connection as ours."""
        if isinstance(error, ConfigurationError):
            return error
        if self._startup_timeout is not None and self._startup is not None and self._startup.expired():
            reason = f"it did not list its tools within {self._startup_timeout:g} seconds"
        else:
            reason = reason_of(error, self._server, self._messages)
        return server_error(self._server, reason, ended=True, invalid_lines=self._invalid_lines)


class ConnectionLostError(Exception):
    """A request failed because the connection has ended."""


def _client_class() -> type[Client]:
    """Return the client of the package mcp.

    Raises:
        ConfigurationError: The package is missing or too old.
    """
    try:
        from mcp import Client
    except ImportError as error:
        raise ConfigurationError(f'MCP needs the package mcp, 2.3 or newer ({error}): pip install "mcp>=2.3"') from None
    # The errors of a connection are raised here; without a handler, Python would also print them with tracebacks.
    logging.getLogger("mcp").addHandler(logging.NullHandler())
    return Client
