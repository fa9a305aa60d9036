"""The tools of an MCP server, as a sequence that runs, chats and conversations take."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias, overload

from gigachat._service import FUNCTION_NAME
from gigachat._suggestions import nearest
from gigachat.exceptions import ConfigurationError, McpError
from gigachat.mcp.connection import Connection
from gigachat.mcp.servers import server_of
from gigachat.tools import Tool

if TYPE_CHECKING:
    from os import PathLike

    from mcp import types

    from gigachat.tools.definition import Approval

_log = logging.getLogger("gigachat")
_MANY_TOOLS = 128

Allowed: TypeAlias = Collection[str] | Callable[[str], bool]
"""Names of tools, or a function that gets a name and returns whether the tool is used."""


class McpTools(Sequence[Tool[..., Any]]):
    """The tools of an MCP server: a sequence of `Tool`s while the connection is open.

    `with` opens it for blocking code, `async with` for asyncio and trio. It can be closed from any thread and task, and
    opened again. Its calls may come from several threads and event loops at once.

    Args:
        server: The command of a server, as a list or as text; the path of a script; or the URL of a server with
            streamable HTTP.
        prefix: Text before the names of the tools.
        allow: Names of the tools to use, or a function that gets a name and returns whether to use the tool; all if
            not given. The names are those of the server, without the prefix.
        approve: Whether a run asks before it calls a tool, or a function that decides; None if the run decides.
        timeout: Seconds that a call may take; None for no limit. An overdue call is cancelled.
        startup_timeout: Seconds until the server must have listed its tools; None for no limit.
        headers: Header fields of all requests to a URL.
        env: Further environment variables of a command. It inherits only a few, such as `PATH` and `HOME`.
        cwd: The folder that a command runs in.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    def __init__(
        self,
        server: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        prefix: str = "",
        allow: Allowed | None = None,
        approve: bool | Approval | None = None,
        timeout: float | None = 60.0,
        startup_timeout: float | None = 60.0,
        headers: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | PathLike[str] | None = None,
    ) -> None:
        _check(prefix, allow, approve, {"timeout": timeout, "startup_timeout": startup_timeout})
        self._server = server_of(server, headers, env, cwd)
        self._prefix = prefix
        self._allow = allow
        self._approve = approve
        self._timeout = timeout
        self._startup_timeout = startup_timeout
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._blocking = True
        self._tools: list[Tool[..., Any]] | None = None

    # Opening and closing

    def open(self) -> Self:
        """Connect to the server and read the list of its tools, for blocking code.

        Raises:
            McpError: The server did not start or cannot be reached.
            ConfigurationError: The package mcp is missing, or a tool's name cannot be used.
        """
        connection = self._begin(blocking=True)
        try:
            connection.open()
            self._tools = self._tools_of(connection)
        except BaseException:
            self._forget(connection)
            connection.close()
            raise
        return self

    async def aopen(self) -> Self:
        """Connect to the server and read the list of its tools, for asyncio and trio.

        Raises:
            McpError: The server did not start or cannot be reached.
            ConfigurationError: The package mcp is missing, or a tool's name cannot be used.
        """
        connection = self._begin(blocking=False)
        try:
            await connection.aopen()
            self._tools = self._tools_of(connection)
        except Exception:
            self._forget(connection)
            await connection.aclose()
            raise
        except BaseException:  # cancelled or interrupted: a task that is cancelled cannot wait
            self._forget(connection)
            connection.stop()
            raise
        return self

    def close(self) -> None:
        """Close the connection, and stop a server that was started. Calls in progress fail."""
        connection = self._take()
        if connection is not None:
            connection.close()

    async def aclose(self) -> None:
        """Close the connection, as `close`."""
        connection = self._take()
        if connection is not None:
            await connection.aclose()

    def refresh(self) -> None:
        """Read the list of tools again. Runs that have begun keep the tools that they have."""
        connection = self._opened()
        connection.list_tools()
        self._tools = self._tools_of(connection)

    async def arefresh(self) -> None:
        """Read the list of tools again, as `refresh`."""
        connection = self._opened()
        await connection.alist_tools()
        self._tools = self._tools_of(connection)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await self.aopen()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def _begin(self, *, blocking: bool) -> Connection:
        with self._lock:
            if self._connection is not None:
                if not self._connection.has_failed:
                    raise McpError(f"MCP server {self._server.name} is already open")
                self._connection.stop()
            connection = Connection(self._server, self._startup_timeout, self._timeout)
            self._connection = connection
            self._blocking = blocking
            return connection

    def _take(self) -> Connection | None:
        with self._lock:
            connection, self._connection = self._connection, None
            self._tools = None
            return connection

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            if self._connection is connection:
                self._connection = None

    def _opened(self) -> Connection:
        connection = self._connection
        if connection is None or self._tools is None:
            raise McpError(f"MCP server {self._server.name} is not open: use its tools inside `with McpTools(...)`")
        return connection

    # The sequence

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Tool[..., Any]]:
        return iter(self._list())

    @overload
    def __getitem__(self, index: int) -> Tool[..., Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tool[..., Any]]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._list()[index]

    def __repr__(self) -> str:
        state = "closed" if self._connection is None or self._tools is None else f"{len(self._tools)} tools"
        return f"<McpTools {self._server.name!r}, {state}>"

    def _list(self) -> list[Tool[..., Any]]:
        self._opened()
        assert self._tools is not None
        return self._tools

    # Tools

    def _tools_of(self, connection: Connection) -> list[Tool[..., Any]]:
        """Return the tools of a connection that are allowed.

        Raises:
            ConfigurationError: A name cannot be used, or is not in the list.
        """
        self._refuse_unknown([tool.name for tool in connection.tools])
        allowed = [tool for tool in connection.tools if self._allows(tool.name)]
        by_name: dict[str, types.Tool] = {}
        for tool in allowed:
            our_name = self._name(tool.name)
            before = by_name.setdefault(our_name, tool)
            if before.name != tool.name:
                raise ConfigurationError(
                    f"MCP server {self._server.name}: the tools {before.name!r} and {tool.name!r} would both be called "
                    f"{our_name!r}: leave one of them out by allow="
                )
            if before is not tool:
                raise ConfigurationError(
                    f"MCP server {self._server.name}: two of its tools are called {tool.name!r}: leave them out by "
                    "allow="
                )
        if len(by_name) > _MANY_TOOLS:
            _log.warning(
                "MCP server %s: all %d tools are sent with each request: choose those that you need by allow=",
                self._server.name,
                len(by_name),
            )
        return [self._tool(connection, tool, our_name) for our_name, tool in by_name.items()]

    def _allows(self, name: str) -> bool:
        if self._allow is None:
            return True
        return bool(self._allow(name)) if callable(self._allow) else name in self._allow

    def _refuse_unknown(self, listed: Sequence[str]) -> None:
        if self._allow is None or callable(self._allow):
            return
        for name in self._allow:
            if name not in listed:
                close = nearest(str(name), listed)
                hint = f"did you mean {close!r}?" if close else f"its tools are {', '.join(listed) or 'none'}"
                raise ConfigurationError(f"allow=: MCP server {self._server.name} has no tool {name!r}: {hint}")

    def _name(self, name: str) -> str:
        """Return the name for the model: other characters than the service accepts become underscores."""
        accepted = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)
        if not re.search(r"[A-Za-z0-9]", accepted):
            raise ConfigurationError(
                f"MCP server {self._server.name}: the service would refuse the name {name!r}, which has no Latin "
                "letters or digits: leave the tool out by allow="
            )
        accepted = self._prefix + accepted
        return f"_{accepted}" if accepted[0].isdigit() else accepted

    def _tool(self, connection: Connection, listed: types.Tool, name: str) -> Tool[..., Any]:
        async def acall(**arguments: Any) -> Any:
            return await connection.acall(listed.name, arguments)

        def call(**arguments: Any) -> Any:
            return connection.call(listed.name, arguments)

        title = listed.title or (listed.annotations.title if listed.annotations else None)
        return Tool(
            call if self._blocking else acall,
            name=name,
            description=listed.description or title or "",
            parameters=listed.input_schema,
            approve=self._approve,
        )


def _check(prefix: Any, allow: Any, approve: Any, timeouts: Mapping[str, Any]) -> None:
    """Refuse invalid arguments.

    Raises:
        ConfigurationError: One is invalid.
    """
    if not isinstance(prefix, str) or (prefix and not re.fullmatch(FUNCTION_NAME, prefix)):
        raise ConfigurationError("prefix= has Latin letters, digits (not first), '_', '-' and '.'")
    if isinstance(allow, str | bytes) or not (allow is None or callable(allow) or isinstance(allow, Collection)):
        raise ConfigurationError("allow= is a list of names, or a function that gets a name")
    if not (approve is None or isinstance(approve, bool) or callable(approve)):
        raise ConfigurationError("approve= is True, False or a function")
    for name, value in timeouts.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
            raise ConfigurationError(f"{name}= is a positive number of seconds, or None")
