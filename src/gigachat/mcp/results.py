"""Results of MCP tools as values for the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat.tools import ToolError, result_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.types import CallToolResult, ContentBlock


def value_of(result: CallToolResult, without_secrets: Callable[[str], str]) -> Any:
    """Return the structured content of a result, or else its text. Other content is described in one line each.

    Args:
        result: The result.
        without_secrets: Function that replaces the secrets in a line of an error.

    Raises:
        ToolError: The result is an error.
    """
    if result.is_error:
        text = _text(result.content)
        if not text and result.structured_content is not None:
            text = result_json(result.structured_content)
        text = "\n".join(map(without_secrets, text.splitlines()))
        raise ToolError(text or "the tool failed without a message")
    if result.structured_content is None:
        return _text(result.content)
    others = [_line(block) for block in result.content if block.type != "text"]
    return {"result": result.structured_content, "content": others} if others else result.structured_content


def _text(content: list[ContentBlock]) -> str:
    return "\n".join(map(_line, content))


def _line(block: ContentBlock) -> str:
    """Return the text of a block, or its description."""
    if block.type == "text":
        return block.text
    if block.type == "resource_link":
        about = block.description or block.title or block.name
        return f"[resource {block.uri}: {about}]"
    if block.type == "resource":
        resource = block.resource
        kind = f", {resource.mime_type}" if resource.mime_type else ""
        text = getattr(resource, "text", None)
        if text is not None:
            return f"[resource {resource.uri}{kind}]\n{text}"
        return f"[resource {resource.uri}{kind}, {_size(getattr(resource, 'blob', ''))}]"
    return f"[{block.type}, {block.mime_type}, {_size(block.data)}]"


def _size(base64: str) -> str:
    """Return the size of data in base64."""
    return f"{len(base64) * 3 // 4 - base64[-2:].count('=')} bytes"
