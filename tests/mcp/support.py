"""MCP servers in processes of their own, and `McpTools` in each mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from gigachat import Tool
from gigachat.mcp import McpTools
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
    limit = threading.Timer(5 * PATIENCE, process.kill)
    limit.start()
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the server has ended"
        yield url
    finally:
        limit.cancel()
        process.kill()
        process.communicate()


def scripted(**script: Any) -> list[str]:
    """Return the command of a scripted server."""
    return [sys.executable, str(SCRIPTED), json.dumps(script)]


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
