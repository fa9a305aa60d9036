"""A connection to an MCP server, for callers in all threads and event loops."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import to_json

from gigachat._engine.signals import Signal
from gigachat._transport import event_loops
from gigachat.exceptions import ToolArgumentsError
from gigachat.mcp.client_thread import CLOSE_TIMEOUT, ClientThread, ConnectionLostError
from gigachat.mcp.errors import forked_error

if TYPE_CHECKING:
    from concurrent.futures import Future

    from mcp.types import Tool

    from gigachat.mcp.servers import Server

T = TypeVar("T")


class Connection:
    """A connection to a server.

    Args:
        server: The server.
        startup_timeout: Seconds until the server must have listed its tools.
        timeout: Seconds that a call may take; None for no limit.
    """

    def __init__(self, server: Server, startup_timeout: float | None, timeout: float | None) -> None:
        self._server = server
        self._process = os.getpid()
        self._thread = ClientThread(server, startup_timeout, timeout)

    @property
    def tools(self) -> list[Tool]:
        """The tools of the server."""
        return self._thread.tools

    def open(self) -> None:
        """Connect.

        Raises:
            McpError: The server did not start.
            ConfigurationError: The package mcp is missing.
        """
        self._thread.start()
        try:
            self._thread.ready.wait(None)
        except BaseException:
            self.stop()
            raise
        self._thread.check_connected()

    async def aopen(self) -> None:
        """Connect, as `open`."""
        self._thread.start()
        try:
            await event_loops.wait(self._thread.ready, None)
        except BaseException:
            self.stop()
            raise
        self._thread.check_connected()

    def close(self) -> None:
        """Disconnect, and stop the server if it is a program. Calls in progress fail."""
        if self.stop():
            self._thread.ended.wait(2 * CLOSE_TIMEOUT)

    async def aclose(self) -> None:
        """Disconnect, as `close`."""
        if self.stop():
            await event_loops.wait(self._thread.ended, 2 * CLOSE_TIMEOUT)

    def stop(self) -> bool:
        """Disconnect without waiting. Return whether the end can be waited for."""
        if self._is_forked():
            return False
        self._thread.stop()
        return True

    @property
    def has_failed(self) -> bool:
        """Whether a request has raised `McpError`, or the connection has ended."""
        return self._is_forked() or self._thread.has_failed or self._thread.ended.is_set()

    def list_tools(self) -> None:
        """Read the list of tools again.

        Raises:
            McpError: The server failed, or the connection is closed or broken.
        """
        self._check_process()
        self._wait(self._thread.list_tools())

    async def alist_tools(self) -> None:
        """Read the list of tools again, as `list_tools`."""
        self._check_process()
        await self._await(self._thread.list_tools())

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a tool and return its result.

        Raises:
            ToolArgumentsError: An argument has no JSON form.
            ToolError: The tool failed, or did not return in time.
            McpError: The server failed, or the connection is closed or broken.
        """
        _check_arguments(name, arguments)
        self._check_process()
        return self._wait(self._thread.call_tool(name, arguments))

    async def acall(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a tool, as `call`."""
        _check_arguments(name, arguments)
        self._check_process()
        return await self._await(self._thread.call_tool(name, arguments))

    def _is_forked(self) -> bool:
        return os.getpid() != self._process

    def _check_process(self) -> None:
        if self._is_forked():
            raise forked_error(self._server)

    def _wait(self, response: Future[T]) -> T:
        try:
            _done(response).wait(None)
        except BaseException:
            response.cancel()
            raise
        if _is_lost(response):
            self._thread.ended.wait(CLOSE_TIMEOUT)
            raise self._thread.failure()
        return response.result()

    async def _await(self, response: Future[T]) -> T:
        try:
            await event_loops.wait(_done(response), None)
        except BaseException:
            response.cancel()
            raise
        if _is_lost(response):
            await event_loops.wait(self._thread.ended, CLOSE_TIMEOUT)
            raise self._thread.failure()
        return response.result()


def _check_arguments(name: str, arguments: dict[str, Any]) -> None:
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


def _done(response: Future[Any]) -> Signal:
    """Return a signal that is set when a response has arrived."""
    done = Signal()
    response.add_done_callback(lambda _: done.set())
    return done


def _is_lost(response: Future[Any]) -> bool:
    """Whether a request failed because the connection has ended."""
    return response.cancelled() or isinstance(response.exception(), ConnectionLostError)
