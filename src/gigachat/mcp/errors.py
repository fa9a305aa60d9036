"""The errors of MCP servers and the errors of the package mcp as ours. Their texts contain no secrets."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gigachat._validation import path_of, reason
from gigachat.exceptions import McpError
from gigachat.tools import ToolError

if TYPE_CHECKING:
    from gigachat.mcp.listing import ListingStream
    from gigachat.mcp.servers import Server

_CONNECTION_CLOSED = (-32000, "Connection closed")  # of the package mcp; a server may use the code for its own errors
_REASON_LENGTH = 500  # characters
_STDERR_LINES = 5
_STDERR_LINE_LENGTH = 300  # characters


def server_error(server: Server, reason: str, *, ended: bool = False, invalid_lines: int = 0) -> McpError:
    """Return the error of a server that failed.

    Args:
        server: The server.
        reason: Why it failed, without secrets.
        ended: Whether the connection has ended. The error then contains what the server wrote.
        invalid_lines: Count of the lines of its standard output that are no messages.
    """
    parts = [f"MCP server {server.name}: {reason}", *_http_status(server)]
    if ended:
        if invalid_lines:
            parts.append(f"lines of its stdout that are no MCP messages: {invalid_lines}")
        lines = server.stderr_lines()[-_STDERR_LINES:]
        if lines:
            parts.append(f"its last lines on stderr: {' | '.join(line[:_STDERR_LINE_LENGTH] for line in lines)}")
    return McpError("; ".join(parts))


def tool_error(server: Server, reason: str) -> ToolError:
    """Return the error of a call to which the server responded with an error, or did not respond in time.

    Args:
        server: The server.
        reason: Why it failed, without secrets.
    """
    return ToolError("; ".join([reason, *_http_status(server)]))


def closed_error(server: Server) -> McpError:
    """Return the error of a connection that the program has closed."""
    return McpError(f"the connection to MCP server {server.name} is closed")


def forked_error(server: Server) -> McpError:
    """Return the error of a connection in a forked process."""
    return McpError(f"the connection to MCP server {server.name} was opened in the parent process: open another one")


def says_closed(error: BaseException) -> bool:
    """Whether an error of the package mcp says that the connection has ended."""
    return (getattr(error, "code", None), getattr(error, "message", None)) == _CONNECTION_CLOSED


def reason_of(error: BaseException, server: Server, listing: ListingStream | None) -> str:
    """Return the reason of an error of the package mcp, without secrets.

    Args:
        error: The error, or a group of errors, of which the first one counts.
        server: The server.
        listing: The messages of the server, with the tools that it listed.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, FileNotFoundError):
        return "there is no such program or folder"
    if says_closed(error):
        return "it has ended, or closed the connection"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ValidationError):
        return _invalid_response(error, server, listing)
    text = server.without_secrets(str(error).strip().partition("\n")[0])[:_REASON_LENGTH]
    return text or type(error).__name__


def _invalid_response(error: ValidationError, server: Server, listing: ListingStream | None) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = listing and listing.name_at(first["loc"])
    tool = f" (tool {server.without_secrets(name)[:_REASON_LENGTH]!r})" if name else ""
    place = path_of(first["loc"])
    return f"its response is invalid: {place}: {reason(first)}{tool}: report it to the author of the server"


def _http_status(server: Server) -> list[str]:
    status = server.error_status()
    if status is None:
        return []
    phrase = {one.value: f" {one.phrase}" for one in HTTPStatus}.get(status, "")
    advice = ": check headers=" if status in (401, 403) else ""
    return [f"HTTP status {status}{phrase}{advice}"]
