"""Tools of MCP servers. They need the package mcp: `pip install ".[mcp]"` in a copy of the repository."""

from gigachat.exceptions import McpError
from gigachat.mcp.tools import McpTools

__all__ = ["McpError", "McpTools"]
