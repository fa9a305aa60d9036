"""Tools: Python functions that a model can call. Their schemas, the checks of their arguments, and their results."""

from gigachat.exceptions import ToolArgumentsError, ToolError
from gigachat.tools.context import ToolContext
from gigachat.tools.definition import Tool, as_tool, is_callable_tool, tool
from gigachat.tools.results import result_json

__all__ = [
    "Tool",
    "ToolArgumentsError",
    "ToolContext",
    "ToolError",
    "as_tool",
    "is_callable_tool",
    "result_json",
    "tool",
]
