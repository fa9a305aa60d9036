"""An MCP server made with the official package: over standard streams, or with the argument `http` over HTTP.

Over HTTP it prints its URL. The variable TOKEN is what requests must have as `Authorization`. SAID is written to
stderr.
"""

from __future__ import annotations

import os
import socket
import sys

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

server = MCPServer("official", log_level="CRITICAL")
together = anyio.Event()
started = cancelled = present = 0


class Weather(BaseModel):
    city: str
    temperature: float | None = None


@server.tool()
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def weather(place: Weather) -> Weather:
    """Return the weather."""
    return Weather(city=place.city, temperature=-3)


@server.tool(structured_output=False)
def lines() -> list[str]:
    return ["one", "two"]


@server.tool()
def fail(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=True)


@server.tool()
async def slow() -> str:
    """Return after an hour."""
    global started, cancelled
    started += 1
    try:
        await anyio.sleep(3600)
    finally:
        cancelled += 1
    return "late"


@server.tool(structured_output=False)
def seen() -> str:
    """Return how many calls of `slow` have begun, and how many of them were cancelled."""
    return f"[{started}, {cancelled}]"


@server.tool()
async def meet(count: int) -> str:
    """Return when this many calls are in progress at once."""
    global present
    present += 1
    if present == count:
        together.set()
    await together.wait()
    return "met"


@server.tool()
def media(structured: bool = False) -> CallToolResult:
    return CallToolResult(
        content=[
            TextContent(text="Look:"),
            ImageContent(data="AAAA", mime_type="image/png"),
            AudioContent(data="AAA=", mime_type="audio/wav"),
            ResourceLink(name="page", uri="https://example.com/page", description="A page"),
            EmbeddedResource(resource=TextResourceContents(uri="note:1", mime_type="text/plain", text="Buy milk")),
            EmbeddedResource(resource=BlobResourceContents(uri="note:2", blob="AAAAAA==")),
        ],
        structured_content={"found": 5} if structured else None,
    )


@server.tool(structured_output=False)
def variable(name: str) -> str:
    return os.environ.get(name, "unset")


@server.tool(structured_output=False)
def folder() -> str:
    return os.getcwd()


@server.tool()
def pid() -> int:
    return os.getpid()


@server.tool()
def die() -> str:
    os._exit(3)


@server.tool(structured_output=False)
def another(name: str) -> str:
    """Add a tool."""
    server.add_tool(lines, name=name)
    return "added"


def serve_http() -> None:
    inner = server.streamable_http_app()
    token = os.environ.get("TOKEN")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and token and Request(scope).headers.get("authorization") != token:
            await PlainTextResponse(f"not {token}", 401)(scope, receive, send)
        else:
            await inner(scope, receive, send)

    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listening])


if __name__ == "__main__":
    print(os.environ.get("SAID", ""), file=sys.stderr, flush=True)
    if "http" in sys.argv:
        serve_http()
    else:
        server.run()
