"""Messages of requests and completions, in the form of OpenTelemetry's GenAI conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


CONTENT = ("content", "response", "arguments")
"""Keys of the parts of a message that have content. The others have kinds, names and ids."""


def of_request(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a request, or the texts for embeddings."""
    texts = request.get("input")
    if isinstance(texts, list | str):
        listed = [texts] if isinstance(texts, str) else texts
        return [{"role": "user", "parts": [_text(text)]} for text in listed]
    found = request.get("messages")
    return [_message(message) for message in found if isinstance(message, dict)] if isinstance(found, list) else []


def of_response(response: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a completion."""
    choices = response.get("choices")
    if isinstance(choices, list):
        return [
            {**_message(choice.get("message") or {}), "finish_reason": choice.get("finish_reason") or ""}
            for choice in choices
        ]
    return [{**message, "finish_reason": response.get("finish_reason") or ""} for message in of_request(response)]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    content = message.get("content")
    if isinstance(content, str):
        kind = "tool_call_response" if message.get("role") == "function" else "text"
        if content or not message.get("function_call"):
            parts.append({"type": kind, "response": content} if kind != "text" else _text(content))
    for part in content if isinstance(content, list) else ():
        parts += _parts(part)
    if isinstance(called := message.get("function_call"), dict):
        parts.append(_call(called))
    return {"role": message.get("role", ""), "parts": parts}


def _parts(part: Any) -> list[dict[str, Any]]:
    """Return the parts of a message of API v2."""
    if not isinstance(part, dict):
        return []
    parts = []
    if isinstance(part.get("text"), str):
        parts.append(_text(part["text"]))
    if isinstance(called := part.get("function_call"), dict):
        parts.append(_call(called))
    if isinstance(result := part.get("function_result"), dict):
        parts.append({"type": "tool_call_response", "id": result.get("id"), "response": result.get("result")})
    return parts


def _text(text: Any) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _call(called: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "tool_call",
        "id": called.get("id"),
        "name": called.get("name", ""),
        "arguments": called.get("arguments"),
    }
