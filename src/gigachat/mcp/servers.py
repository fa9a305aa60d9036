"""MCP servers: programs that are started, and URLs."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic_core import from_json

from gigachat._headers import checked_headers
from gigachat._secret import Secret, hidden
from gigachat.exceptions import ConfigurationError
from gigachat.mcp.masking import SecretMask, header_values, secret_arguments, secret_variables

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from contextlib import AbstractAsyncContextManager

    import httpx2
    from mcp import MCPError

_log = logging.getLogger("gigachat")
_STDERR_BYTES = 4_000  # that are kept
_STDERR_WAIT = 0.5  # seconds in which the last lines of a program arrive after its end
_BROKEN_BODY = {-32700: "Failed to parse ", -32000: "SSE stream "}  # errors of the package mcp by their codes
_NAMED_ARGUMENT = re.compile(r"@[\w.-]+/[\w.-]+|[^:=]+\.(py|js|mjs|cjs|ts|sh)")


class Server(ABC):
    """A server that can be connected to.

    Args:
        name: Its name in errors.
        secrets: Values that are masked in texts about it.
    """

    def __init__(self, name: str, secrets: Iterable[str]) -> None:
        self.name = name
        self._mask = SecretMask(secrets)

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[Any]:
        """Return a context manager of the streams of a connection."""

    def start_request(self) -> None:  # noqa: B027 - only HTTP servers need it
        """Forget the HTTP responses to earlier requests of the caller's task."""

    def error_status(self) -> int | None:
        """Return the HTTP status of the last response to the caller's task if it was an error."""
        return None

    def has_sent(self, error: MCPError) -> bool:
        """Whether the server has sent a JSON-RPC error; otherwise the HTTP client made it."""
        return True

    def stderr_lines(self) -> list[str]:
        """Return the last lines that a program wrote to its standard error, without secrets."""
        return []

    def without_secrets(self, text: str) -> str:
        """Return a text in one line, with its secrets masked."""
        return self._mask.masked(text)


def server_of(
    server: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    headers: Mapping[str, str] | None,
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
) -> Server:
    """Return the server that a caller means.

    Raises:
        ConfigurationError: It is neither a command nor an address, or an option does not belong to it.
    """
    try:
        if isinstance(server, str) and re.match(r"https?://", server, re.IGNORECASE):
            if env is not None or cwd is not None:
                raise ConfigurationError("env= and cwd= are options of a command, not of a URL")
            return HttpServer(server, checked_headers(headers, "headers"))
        if headers is not None:
            raise ConfigurationError("headers= is an option of a URL, which begins with http:// or https://")
        return StdioServer(_command(server), hidden(env, "env"), cwd)
    except ConfigurationError:
        raise
    except (TypeError, ValueError) as error:
        reason = str(error)
    raise ConfigurationError(f"MCP server: {reason}")  # outside the handler: its frames have the values


def _command(server: Any) -> list[str]:
    """Return a command as its parts.

    Raises:
        ValueError: It is none.
    """
    if isinstance(server, os.PathLike):
        path = os.path.abspath(os.fsdecode(server))
        return [sys.executable, path] if path.endswith(".py") else [path]
    if isinstance(server, str):
        if "://" in server.partition(" ")[0]:
            raise ValueError("the URL of an MCP server begins with http:// or https://")
        if os.name == "nt":  # a backslash is part of a path
            parts: list[Any] = [part.strip('"') for part in shlex.split(server, posix=False)]
        else:
            parts = shlex.split(server)
    elif isinstance(server, Sequence) and not isinstance(server, bytes | bytearray):
        parts = [os.fspath(part) if isinstance(part, os.PathLike) else part for part in server]
    else:
        raise ValueError(f"an MCP server is a command, a script's path or a URL, not {type(server).__name__}")
    if not parts or not all(isinstance(part, str) and "\0" not in part for part in parts) or not parts[0]:
        raise ValueError("the command of an MCP server is a list of texts, the program first")
    return parts


class StdioServer(Server):
    """A server that is started as a program and connected by its standard streams.

    Args:
        command: The program and its arguments.
        env: Further variables of its environment.
        cwd: The folder that it runs in.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[Any, Any] | None, cwd: str | os.PathLike[str] | None
    ) -> None:
        for name, value in (env or {}).items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise ConfigurationError("env= is a mapping of texts")
            if not name or "=" in name or "\0" in name + value:
                raise ConfigurationError(f"env=: {name!r} or its value cannot be in an environment")
        if cwd is not None and not os.path.isdir(cwd):
            raise ConfigurationError(f"cwd= is no folder: {os.fspath(cwd)}")
        self._command = [Secret(part) for part in command]
        self._env = env
        self._cwd = None if cwd is None else os.fspath(cwd)
        program = re.split(r"[/\\]", command[0])[-1]
        named = next(
            (
                part if part.startswith("@") else re.split(r"[/\\]", part)[-1]
                for part in command[1:]
                if _NAMED_ARGUMENT.fullmatch(part)
            ),
            None,
        )
        super().__init__(
            f"{program} {named}" if named else program,
            (*secret_variables(env or {}), *secret_arguments(command[1:])),
        )
        self._stderr: _StderrReader | None = None

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Any]:
        """Start the program, and stop it at the end."""
        from mcp.client.stdio import StdioServerParameters, stdio_client

        program, *arguments = map(str, self._command)
        parameters = StdioServerParameters(
            command=program,
            args=arguments,
            env=dict(self._env or {}),
            cwd=self._cwd,
            encoding_error_handler="replace",  # a line that is no message is skipped
        )
        reading, writing = os.pipe()
        self._stderr = _StderrReader(reading, self)
        async with AsyncExitStack() as stack:
            with os.fdopen(writing, "w", encoding="utf-8") as stderr:  # the program has a copy
                streams = await stack.enter_async_context(stdio_client(parameters, errlog=stderr))
            yield streams

    def stderr_lines(self) -> list[str]:
        """Return the last lines of the program's standard error, without secrets."""
        return [] if self._stderr is None else [self.without_secrets(line) for line in self._stderr.lines()]


class _StderrReader:
    """Reads the lines of a program's standard error in a thread, logs them, and keeps the last ones.

    A line is masked as a whole, because a part of it may begin or end inside a secret. A line that is too long to be
    kept is skipped.

    Args:
        descriptor: What is read; it is closed at the end.
        server: The program.
    """

    def __init__(self, descriptor: int, server: StdioServer) -> None:
        self._descriptor = descriptor
        self._server = server
        self._end = b""
        self._thread = threading.Thread(target=self._read, name="gigachat-mcp-stderr", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        skips = False
        with os.fdopen(self._descriptor, "rb") as stream:
            while line := stream.readline(_STDERR_BYTES):
                is_cut = len(line) == _STDERR_BYTES and not line.endswith(b"\n")
                if not (skips or is_cut):
                    self._add(line)
                skips = is_cut

    def _add(self, line: bytes) -> None:
        end = self._end + line
        while len(end) > _STDERR_BYTES:
            end = end.partition(b"\n")[2]
        self._end = end
        if _log.isEnabledFor(logging.DEBUG):
            text = self._server.without_secrets(line.decode("utf-8", "replace"))
            _log.debug("MCP server %s: %s", self._server.name, text)

    def lines(self) -> list[str]:
        """Return the last lines; wait shortly for those of a program that has just ended."""
        self._thread.join(_STDERR_WAIT)
        text = self._end.decode("utf-8", "replace")
        return [line for line in text.splitlines() if line.strip()]


class HttpServer(Server):
    """A server that is reached by streamable HTTP.

    Args:
        url: Its URL.
        headers: Header fields of all requests.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts, number = _split(url)
        if not parts.hostname or re.search(r"\s", url):
            raise ConfigurationError("the URL of an MCP server has no host, or contains spaces")
        port = "" if number is None else f":{number}"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        values = [value for header in headers.values() for value in header_values(header)]
        query = [value for _, value in parse_qsl(parts.query)]
        super().__init__(
            f"{parts.scheme}://{host}{port}{parts.path}",
            (*values, *query, parts.query, parts.username or "", parts.password or ""),
        )
        self._url = Secret(url)
        self._headers = headers
        self._responses: ContextVar[list[_Response]] = ContextVar("gigachat_mcp_responses")

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Any]:
        """Open an HTTP client for the server, and close it at the end."""
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        client = httpx2.AsyncClient(
            headers=dict(self._headers),
            timeout=httpx2.Timeout(30.0, read=None),  # calls have a timeout of their own
            event_hooks={"response": [self._record]},
        )
        async with client, streamable_http_client(str(self._url), http_client=client) as streams:
            yield streams

    async def _record(self, response: httpx2.Response) -> None:
        responses = self._responses.get(None)
        if responses is not None and response.request.method == "POST":
            responses.append(_Response(response.status_code, await _has_message(response)))

    def start_request(self) -> None:
        """Forget the HTTP responses to earlier requests of the caller's task."""
        self._responses.set([])  # the package mcp runs the hook in a copy of the caller's context: it has the same list

    def error_status(self) -> int | None:
        """Return the HTTP status of the last response to the caller's task if it was an error."""
        last = self._last_response()
        return last.status if last is not None and last.status >= 400 else None

    def has_sent(self, error: MCPError) -> bool:
        """Whether the server has sent a JSON-RPC error; otherwise the HTTP client made it."""
        last = self._last_response()
        return last is not None and last.has_message and not error.message.startswith(_BROKEN_BODY.get(error.code, ()))

    def _last_response(self) -> _Response | None:
        responses = self._responses.get(None)
        return responses[-1] if responses else None


def _split(url: str) -> tuple[SplitResult, int | None]:
    """Return the parts of a URL, and its port.

    Raises:
        ConfigurationError: It is invalid. The message has no part of it.
    """
    reason = "is invalid: percent-encode special characters in a password"
    with suppress(ValueError):  # its text may have a part of the password
        parts = urlsplit(url)
        reason = "has an invalid port: percent-encode '/', '?' and '#' in a password"
        return parts, parts.port
    raise ConfigurationError(f"the URL of an MCP server {reason}")


class _Response(NamedTuple):
    """A response to an HTTP request.

    Attributes:
        status: Its HTTP status.
        has_message: Whether its body is a response to the JSON-RPC request.
    """

    status: int
    has_message: bool


async def _has_message(response: httpx2.Response) -> bool:
    """Whether the body of a response is a response to the JSON-RPC request, or may be one that is not yet read."""
    content_type = response.headers.get("content-type", "").lower()
    if response.is_success:
        return response.status_code != 202 and content_type.startswith(("application/json", "text/event-stream"))
    if not response.is_error or not content_type.startswith("application/json"):
        return False
    try:
        message = from_json(await response.aread())
    except ValueError:
        return False
    # An error without the id of the request is about the HTTP request, such as that of an unknown session.
    return isinstance(message, dict) and "error" in message and message.get("id") is not None
