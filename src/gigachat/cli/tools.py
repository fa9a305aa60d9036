"""Functions that the model of `gigachat chat` may call, and the question whether it may."""

from __future__ import annotations

import sys
from functools import reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gigachat import Tool, tool
from gigachat.cli.answers import shown_call
from gigachat.cli.streams import print_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigachat import ToolCall
    from gigachat.mcp import McpTools

_YES = ("y", "yes", "д", "да")


def tools_of(names: Sequence[str], *, ask: bool) -> list[Any]:
    """Return the functions of `--tool`.

    Args:
        names: Each is the name of a module and the name of a function in it.
        ask: Whether the user is asked before each call; otherwise only before those of tools that need approval.

    Raises:
        ValueError: There is no such function.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")  # as for python -m
    return [_tool(name, ask=ask) for name in names]


def mcp_tools(server: str, *, ask: bool) -> McpTools:
    """Return the functions of an MCP server, which runs until they are closed.

    Args:
        server: Its command or URL.
        ask: Whether the user is asked before each call.

    Raises:
        ConfigurationError: The package mcp is missing.
        McpError: The server cannot be reached.
    """
    from gigachat.mcp import McpTools

    return McpTools(server, approve=ask)


def _tool(name: str, *, ask: bool) -> Any:
    module, _, path = name.partition(":")
    if not module or not path:
        raise ValueError(f"--tool {name}: MODULE:NAME is needed, as in --tool tools:weather")
    try:
        function = reduce(getattr, path.split("."), import_module(module))
    except (Exception, SystemExit) as error:  # of the module, which is the user's
        raise ValueError(f"--tool {name}: {type(error).__name__}: {error}") from None
    if not callable(function):
        raise ValueError(f"--tool {name}: it is not a function")
    made = function if isinstance(function, Tool) else tool(function)
    if not made.approve:  # neither True nor a function of its own
        made.approve = ask
    return made


def approval(call: ToolCall) -> bool | str:
    """Ask on the terminal whether a call may run."""
    try:
        with open("CONIN$" if sys.platform == "win32" else "/dev/tty", encoding="utf-8", errors="replace") as terminal:
            print_note(f"Run {shown_call(call, most=None)}? [y/N] ", end="")
            return terminal.readline().strip().lower() in _YES
    except OSError:
        return "there is no terminal to ask the user"
