"""MCP servers in processes of their own, and `McpTools` in each mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from gigachat import Tool
from gigachat.mcp import McpTools
from tests.mcp.scripted_server import answer
from tests.support.waiting import PATIENCE
from tests.wire.modes import Mode

OFFICIAL = Path(__file__).parent / "official_server.py"
SCRIPTED = Path(__file__).parent / "scripted_server.py"


@contextmanager
def official_over_http(**variables: str) -> Iterator[str]:
    """Run the official server over HTTP and yield its URL."""
    process = subprocess.Popen(
        [sys.executable, str(OFFICIAL), "http"],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    limit = threading.Timer(PATIENCE, process.kill)
    limit.start()
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the server has ended"
        limit.cancel()
        yield url
    finally:
        limit.cancel()
        process.kill()
        process.communicate()


def scripted(**script: Any) -> list[str]:
    """Return the command of a scripted server."""
    return [sys.executable, str(SCRIPTED), json.dumps(script)]


class HttpReply(NamedTuple):
    """A response to an HTTP request, whatever the request is."""

    status: int
    content_type: str = "text/plain"
    body: str = ""
    location: str = ""


@contextmanager
def scripted_over_http(
    *,
    replies: Mapping[str, HttpReply] | None = None,
    statuses: Mapping[str, int] | None = None,
    held: Mapping[str, threading.Barrier] | None = None,
    **script: Any,
) -> Iterator[str]:
    """Run a scripted server over HTTP and yield its URL.

    Args:
        replies: Whole response by the name of a method or tool.
        statuses: HTTP status by the name of a method or tool; the body is the JSON-RPC error if there is one.
        held: Barrier by the name of a tool: passed once after the header fields, and once more before the body.
        script: The script.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            named = asked.get("params", {}).get("name") or asked["method"]
            status = (statuses or {}).get(named, 200 if "id" in asked else 202)
            reply = answer(asked, script) if "id" in asked else {}
            body = {"jsonrpc": "2.0", "id": asked.get("id"), **reply}
            sent = json.dumps(body).encode() if status == 200 or "error" in reply else b""
            content_type, location = "application/json", ""
            if replies and named in replies:
                status, content_type, text, location = replies[named]
                sent = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            if held and named in held:
                held[named].wait(PATIENCE)
                held[named].wait(PATIENCE)
            self.wfile.write(sent)

        def do_GET(self) -> None:
            self.send_error(405)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/mcp"
        finally:
            running.shutdown()
            thread.join()


def listed(*names: str) -> list[dict[str, Any]]:
    """Return tools of these names, as a server lists them."""
    return [{"name": name, "inputSchema": {"type": "object"}} for name in names]


@asynccontextmanager
async def opened(mode: Mode, tools: McpTools) -> AsyncIterator[McpTools]:
    """Open tools in a mode."""
    if mode.is_async:
        async with tools:
            yield tools
    else:
        with tools:
            yield tools


def named(tools: McpTools, name: str) -> Tool[..., Any]:
    """Return the tool of a name."""
    (found,) = [tool for tool in tools if tool.name == name]
    return found


async def call(mode: Mode, tools: McpTools, name: str, **arguments: Any) -> Any:
    """Call a tool in a mode."""
    return await result_of(mode, named(tools, name), **arguments)


async def result_of(mode: Mode, tool: Tool[..., Any], **arguments: Any) -> Any:
    """Return the result of a tool that was made in a mode."""
    result = tool(**arguments)
    return await result if mode.is_async else result
