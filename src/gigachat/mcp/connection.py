"""A connection to an MCP server: one task owns it, in the event loop of a thread of its own.

The package mcp must be left in the task that entered it. So callers of any thread and event loop send their work to
the owner's loop. The thread is a daemon: the exit of the interpreter does not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from pydantic_core import to_json

from gigachat._engine.signals import Signal
from gigachat._transport import event_loops
from gigachat._validation import path_of, reason
from gigachat.exceptions import ConfigurationError, McpError, ToolArgumentsError
from gigachat.mcp.listing import ListingStream
from gigachat.mcp.results import value_of
from gigachat.tools import ToolError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from concurrent.futures import Future

    from mcp import Client
    from mcp.types import Tool

    from gigachat.mcp.servers import Server

T = TypeVar("T")

_CLOSING = 10.0  # seconds in which a connection closes
_PAGES = 1_000
_CONNECTION_CLOSED = (-32000, "Connection closed")  # of the package mcp; a server may use the code for its own errors
_LONGEST_REASON = 500  # characters


class Connection:
    """A connection to a server.

    Args:
        server: The server.
        startup_timeout: Seconds until the server must have listed its tools.
        timeout: Seconds that a call may take; None for no limit.
    """

    def __init__(self, server: Server, startup_timeout: float | None, timeout: float | None) -> None:
        self.listed: list[Tool] = []
        self._server = server
        self._startup_timeout = startup_timeout
        self._timeout = timeout
        self._process = os.getpid()
        self._ready = Signal()
        self._ended = Signal()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._limit: asyncio.Timeout | None = None
        self._client: Client | None = None
        self._listing: ListingStream | None = None
        self._stopping = False
        self._closed = asyncio.Event()
        self._garbage = 0
        self._error: Exception | None = None
        self._calls: set[Future[Any]] = set()

    # Callers

    def open(self) -> None:
        """Connect.

        Raises:
            McpError: The server did not start.
            ConfigurationError: The package mcp is missing.
        """
        self._start()
        try:
            self._ready.wait(None)
        except BaseException:
            self.stop()
            raise
        self._raise_failure()

    async def aopen(self) -> None:
        """Connect, as `open`."""
        self._start()
        try:
            await event_loops.wait(self._ready, None)
        except BaseException:
            self.stop()
            raise
        self._raise_failure()

    def close(self) -> None:
        """Disconnect, and stop the server if it is a program. Calls in progress fail."""
        if self.stop():
            self._ended.wait(2 * _CLOSING)

    async def aclose(self) -> None:
        """Disconnect, as `close`."""
        if self.stop():
            await event_loops.wait(self._ended, 2 * _CLOSING)

    def stop(self) -> bool:
        """Ask the owner to end, without waiting; whether it can be waited for."""
        if os.getpid() != self._process:
            return False
        with self._lock:
            self._stopping = True
            if self._loop is not None and not self._ended.is_set():
                event_loops.call_soon(self._loop, self._end)
        return True

    def has_ended(self) -> bool:
        """Whether the connection was closed or is broken."""
        return self._ended.is_set() or os.getpid() != self._process

    def list_tools(self) -> None:
        """Read the list of tools again."""
        self._wait(self._submit(self._list_again))

    async def alist_tools(self) -> None:
        """Read the list of tools again, as `list_tools`."""
        await self._await(self._submit(self._list_again))

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a tool and return its result.

        Raises:
            ToolArgumentsError: An argument has no JSON form.
            ToolError: The tool failed, or did not return in time.
            McpError: The connection is closed or broken.
        """
        _refuse_not_sendable(name, arguments)
        return self._wait(self._submit(lambda client: self._call(client, name, arguments)))

    async def acall(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a tool, as `call`."""
        _refuse_not_sendable(name, arguments)
        return await self._await(self._submit(lambda client: self._call(client, name, arguments)))

    def _start(self) -> None:
        threading.Thread(target=self._work, name="gigachat-mcp", daemon=True).start()

    def _raise_failure(self) -> None:
        if self._stopping:
            raise self._lost()
        if self._error is not None:
            raise self._error

    def _submit(self, work: Callable[[Client], Coroutine[Any, Any, T]]) -> Future[T]:
        """Start a coroutine in the owner's loop."""
        if os.getpid() != self._process:
            raise McpError(
                f"the connection to MCP server {self._server.name} was opened in the parent process: open another one"
            )
        with self._lock:
            if self._loop is None or self._client is None or self._stopping:
                raise self._lost()
            future = asyncio.run_coroutine_threadsafe(work(self._client), self._loop)
            self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future

    def _wait(self, future: Future[T]) -> T:
        done = Signal()
        future.add_done_callback(lambda _: done.set())
        try:
            done.wait(None)
        except BaseException:
            future.cancel()
            raise
        if _is_lost(future):
            self._ended.wait(_CLOSING)
            raise self._lost()
        return future.result()

    async def _await(self, future: Future[T]) -> T:
        done = Signal()
        future.add_done_callback(lambda _: done.set())
        try:
            await event_loops.wait(done, None)
        except BaseException:
            future.cancel()
            raise
        if _is_lost(future):
            await event_loops.wait(self._ended, _CLOSING)
            raise self._lost()
        return future.result()

    def _lost(self) -> McpError:
        """Return the error of a connection that has ended."""
        if isinstance(self._error, McpError) and not self._stopping:
            return McpError(*self._error.args)
        return McpError(f"the connection to MCP server {self._server.name} is closed")

    # The owner

    def _work(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._own())
        finally:
            self._ready.set()
            self._ended.set()

    async def _own(self) -> None:
        try:
            await self._serve()
        except BaseException as error:
            if self._error is None or not isinstance(error, TimeoutError):  # closing took long after a failure
                self._error = self._failure(error, ended=True)
        with self._lock:
            self._client = None
            calls = [*self._calls]
        for call in calls:
            call.cancel()
        self._ready.set()  # the loop may wait for a look-up of a host before it ends

    async def _serve(self) -> None:
        client_class = _client_class()
        self._server.start_request()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._stopping:
                return
        async with asyncio.timeout(self._startup_timeout) as self._limit:
            async with client_class(self._streams(), message_handler=self._note) as client:
                await self._list(client)
                self._limit.reschedule(None)
                with self._lock:
                    self._client = client
                self._ready.set()
                await self._closed.wait()
                with self._lock:
                    self._client = None
                    calls = [*self._calls]
                for call in calls:  # while the server can still be told
                    call.cancel()
                self._limit.reschedule(asyncio.get_running_loop().time() + _CLOSING)

    @asynccontextmanager
    async def _streams(self) -> AsyncGenerator[Any]:
        async with self._server.connect() as (reading, writing):
            self._listing = ListingStream(reading)
            yield self._listing, writing

    def _end(self) -> None:
        """End the owner, in its loop."""
        self._closed.set()
        if self._limit is not None and not self._ready.is_set():
            with suppress(RuntimeError):  # it has ended
                self._limit.reschedule(asyncio.get_running_loop().time())

    async def _note(self, message: object) -> None:
        if isinstance(message, Exception):
            self._garbage += 1

    async def _list(self, client: Client) -> None:
        listed: list[Tool] = []
        cursor = None
        for _ in range(_PAGES):
            page = await client.list_tools(cursor=cursor, cache_mode="refresh")
            listed += page.tools
            cursor = page.next_cursor
            if cursor is None:
                self.listed = listed
                return
        raise ValueError(f"its list of tools has more than {_PAGES} pages")

    async def _list_again(self, client: Client) -> None:
        try:
            await self._in_time(self._list(client))
        except ToolError as error:
            text = str(error)
        else:
            return
        raise McpError(f"MCP server {self._server.name}: {text}")

    async def _call(self, client: Client, name: str, arguments: dict[str, Any]) -> Any:
        result = await self._in_time(client.call_tool(name, arguments))
        return value_of(result, self._server.without_secrets)

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        """Await a response of the server.

        Raises:
            ToolError: The response is an error, or did not arrive in time.
            McpError: The response is invalid.
            _ConnectionLostError: The connection has ended.
        """
        from mcp import MCPError

        self._server.start_request()
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await work
        except Exception as error:
            if limit.expired():
                failure: Exception = ToolError(f"no response within {self._timeout:g} seconds")
            elif not isinstance(error, MCPError):
                failure = self._failure(error)
            elif not _says_closed(error):
                failure = ToolError(self._server.without_secrets(error.message) + self._server.status())
            else:
                self._error = self._error or self._failure(error, ended=True)
                self._closed.set()
                failure = _ConnectionLostError()
        raise failure

    def _failure(self, error: BaseException, *, ended: bool = False) -> Exception:
        """Return an error of the package mcp as ours.

        Args:
            error: The error.
            ended: Whether it has ended the connection.
        """
        if isinstance(error, ConfigurationError):
            return error
        text = f"MCP server {self._server.name}: {self._reason(_first(error))}{self._server.status()}"
        if ended and self._garbage:
            text += f"; lines of its stdout that are no MCP messages: {self._garbage}"
        return McpError(text + self._server.last_words() if ended else text)

    def _reason(self, error: BaseException) -> str:
        if self._limit is not None and self._limit.expired() and not self._ready.is_set():
            return f"it did not list its tools within {self._startup_timeout:g} seconds"
        if isinstance(error, FileNotFoundError):
            return "there is no such program or folder"
        if _says_closed(error):
            return "it has ended, or closed the connection"
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            name = self._listing and self._listing.name_at(first["loc"])
            tool = f" (tool {self._server.without_secrets(name)[:_LONGEST_REASON]!r})" if name else ""
            text = f"its response is invalid: {path_of(first['loc'])}: {reason(first)}{tool}"
            return f"{text}: report it to the author of the server"
        text = self._server.without_secrets(str(error).strip().partition("\n")[0])[:_LONGEST_REASON]
        return text or type(error).__name__


def _refuse_not_sendable(name: str, arguments: dict[str, Any]) -> None:
    """Refuse arguments that have no JSON form: the package mcp would end the connection.

    Raises:
        ToolArgumentsError: One has none.
    """
    try:
        to_json(arguments)
        return
    except ValueError as error:
        text = " ".join(str(error).split()).removeprefix("Error serializing to JSON: ")
    raise ToolArgumentsError(f"{name}: an argument has no JSON form: {text}")


class _ConnectionLostError(Exception):
    """A call failed since the connection has ended."""


def _is_lost(future: Future[Any]) -> bool:
    """Whether a call failed since the connection has ended."""
    return future.cancelled() or isinstance(future.exception(), _ConnectionLostError)


def _says_closed(error: BaseException) -> bool:
    """Whether an error of the package mcp says that the connection has ended."""
    return (getattr(error, "code", None), getattr(error, "message", None)) == _CONNECTION_CLOSED


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


def _first(error: BaseException) -> BaseException:
    """Return the first exception of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
