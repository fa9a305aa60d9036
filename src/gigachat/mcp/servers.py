"""MCP servers: programs that are started, and addresses. Their texts contain no secrets."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from gigachat._headers import checked_headers
from gigachat._secret import Secret, hidden
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from contextlib import AbstractAsyncContextManager

    import httpx2

_log = logging.getLogger("gigachat")
_HIDDEN = "**********"
_SHORTEST_SECRET = 4  # characters; shorter values occur in ordinary words
_TAIL = 4_000  # bytes of stderr that are kept
_MOMENT = 0.5  # seconds
_LINES = 5  # lines of stderr in an error
_WIDTH = 300  # characters of such a line
_SECRET_OPTION = re.compile(r"-.*(key|token|secret|passw|auth|credential)", re.IGNORECASE)
_SECRETS = re.compile(
    r"(?<=://)[^/\s@]+(?=@)|(?<=bearer )\S+|(?<=basic )\S+|\b(sk|ghp|xox\w)[-_][\w-]{8,}", re.IGNORECASE
)
_SECRET_VARIABLE = re.compile(r"key|token|secret|pass(w|p|$)|auth|credential|cookie", re.IGNORECASE)
_PASSWORD_OF_URL = re.compile(r"://[^/@\s]*:([^/@\s]*)@")
_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_NAMED_ARGUMENT = re.compile(r"@[\w.-]+/[\w.-]+|[^:=]+\.(py|js|mjs|cjs|ts|sh)")


class Server(Protocol):
    """A server that can be connected to.

    Attributes:
        name: What errors call it.
    """

    name: str

    def connect(self) -> AbstractAsyncContextManager[Any]:
        """Return a context manager of the streams of a connection."""
        ...

    def start_request(self) -> None:
        """Forget the HTTP statuses of earlier requests, for the task of the caller."""
        ...

    def status(self) -> str:
        """Return the HTTP status of the last response to the caller's task if it was an error, for an error's text."""
        ...

    def last_words(self) -> str:
        """Return what a program wrote last to its standard error, to be added to an error's text."""
        ...

    def without_secrets(self, text: str) -> str:
        """Return a text in one line, with its secrets replaced."""
        ...


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
            return Address(server, checked_headers(headers, "headers"))
        if headers is not None:
            raise ConfigurationError("headers= is an option of a URL, which begins with http:// or https://")
        return Command(_command(server), hidden(env, "env"), cwd)
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


class Command:
    """A server that is started as a program, and speaks over its standard streams.

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
        self._secrets = _texts((*_secret_variables(env or {}), *_secret_arguments(command[1:])))
        program = re.split(r"[/\\]", command[0])[-1]
        named = next(
            (
                part if part.startswith("@") else re.split(r"[/\\]", part)[-1]
                for part in command[1:]
                if _NAMED_ARGUMENT.fullmatch(part)
            ),
            None,
        )
        self.name = f"{program} {named}" if named else program
        self._errors: _Tail | None = None

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
        self._errors = _Tail(reading, self)
        async with AsyncExitStack() as stack:
            with os.fdopen(writing, "w", encoding="utf-8") as stderr:  # the program has a copy
                streams = await stack.enter_async_context(stdio_client(parameters, errlog=stderr))
            yield streams

    def start_request(self) -> None:
        """Do nothing: there are no HTTP statuses."""

    def status(self) -> str:
        """Return an empty text."""
        return ""

    def last_words(self) -> str:
        """Return the last lines of the program's standard error."""
        lines = [] if self._errors is None else self._errors.lines()
        shown = " | ".join(self.without_secrets(line)[:_WIDTH] for line in lines[-_LINES:])
        return f"; its last lines on stderr: {shown}" if shown else ""

    def without_secrets(self, text: str) -> str:
        """Return a text in one line, with its secrets replaced."""
        return _without(self._secrets, text)


class _Tail:
    """The end of what a program writes to its standard error, read by a thread.

    Args:
        reading: Descriptor to read from; it is closed at the end.
        server: The program.
    """

    def __init__(self, reading: int, server: Command) -> None:
        self._reading = reading
        self._server = server
        self._kept = b""
        self._thread = threading.Thread(target=self._read, name="gigachat-mcp-stderr", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with os.fdopen(self._reading, "rb", buffering=0) as stream:
            while chunk := stream.read(_TAIL):
                self._kept = (self._kept + chunk)[-_TAIL:]
                if _log.isEnabledFor(logging.DEBUG):
                    text = self._server.without_secrets(chunk.decode("utf-8", "replace"))
                    _log.debug("MCP server %s: %s", self._server.name, text)

    def lines(self) -> list[str]:
        """Return the lines, after a moment for those of a program that has just ended."""
        self._thread.join(_MOMENT)
        text = self._kept.decode("utf-8", "replace")
        return [line for line in text.splitlines() if line.strip()]


class Address:
    """A server that is reached by streamable HTTP.

    Args:
        url: Its URL.
        headers: Header fields of all requests.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if not parts.hostname or re.search(r"\s", url):
            raise ConfigurationError("the URL of an MCP server has no host, or contains spaces")
        port = "" if parts.port is None else f":{parts.port}"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.name = f"{parts.scheme}://{host}{port}{parts.path}"
        self._url = Secret(url)
        self._headers = headers
        values = [value for header in headers.values() for value in (header, *header.split())]
        query = [value for _, value in parse_qsl(parts.query)]
        self._secrets = _texts((*values, *query, parts.query, parts.username or "", parts.password or ""))
        self._statuses: ContextVar[list[int]] = ContextVar("gigachat_mcp_statuses")

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Any]:
        """Open an HTTP client for the server, and close it at the end."""
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        client = httpx2.AsyncClient(
            headers=dict(self._headers),
            timeout=httpx2.Timeout(30.0, read=None),  # calls have a timeout of their own
            event_hooks={"response": [self._note]},
        )
        async with client, streamable_http_client(str(self._url), http_client=client) as streams:
            yield streams

    async def _note(self, response: httpx2.Response) -> None:
        statuses = self._statuses.get(None)
        if statuses is not None and response.request.method == "POST":
            statuses.append(response.status_code)

    def start_request(self) -> None:
        """Forget the HTTP statuses of earlier requests, for the task of the caller."""
        self._statuses.set([])  # the package mcp runs the hook in a copy of the caller's context: it has the same list

    def last_words(self) -> str:
        """Return an empty text."""
        return ""

    def status(self) -> str:
        """Return the HTTP status of the last response to the caller's task if it was an error."""
        statuses = self._statuses.get(None)
        if not statuses or statuses[-1] < 400:
            return ""
        status = statuses[-1]
        phrase = {one.value: f" {one.phrase}" for one in HTTPStatus}.get(status, "")
        advice = ": check headers=" if status in (401, 403) else ""
        return f"; HTTP status {status}{phrase}{advice}"

    def without_secrets(self, text: str) -> str:
        """Return a text in one line, with its secrets replaced."""
        return _without(self._secrets, text)


def _secret_variables(variables: Mapping[str, str]) -> Iterable[str]:
    """Yield the values that may be secrets: of variables named so, and passwords in URLs."""
    for name, value in variables.items():
        if _SECRET_VARIABLE.search(name):
            yield value
        yield from _PASSWORD_OF_URL.findall(value)


def _secret_arguments(arguments: Sequence[str]) -> Iterable[str]:
    """Yield the arguments that may be secrets: values of options named so, and addresses."""
    before = ""
    for argument in arguments:
        option, _, value = argument.partition("=")
        if "://" in argument:
            yield value or argument
            yield from _PASSWORD_OF_URL.findall(argument)
        elif value and _SECRET_OPTION.match(option):
            yield value
        elif not argument.startswith("-") and "=" not in before and _SECRET_OPTION.match(before):
            yield argument
        elif value:
            yield value
        before = argument


def _texts(values: Iterable[str]) -> list[Secret]:
    """Return the lines that are long enough to be secrets, the longest first."""
    lines = {_line(line) for value in values for line in value.splitlines()}
    return [Secret(one) for one in sorted(lines, key=len, reverse=True) if len(one) >= _SHORTEST_SECRET]


def _without(secrets: Iterable[str], text: str) -> str:
    text = _line(text)  # first: a character inside a secret would hide it
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return _SECRETS.sub(_HIDDEN, text)


def _line(text: str) -> str:
    """Return a text in one line, without colours and control characters."""
    text = _COLOURS.sub("", text)
    return " ".join("".join(one for one in text if one.isprintable() or one.isspace()).split())
