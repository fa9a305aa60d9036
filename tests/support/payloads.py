"""HTTP responses as bytes, and the bodies of chats, streams, errors and sign-ins in them; a function to be called."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

__all__ = [
    "DONE",
    "WEATHER",
    "answer",
    "chunk",
    "chunked",
    "completion",
    "event",
    "grant",
    "head",
    "http",
    "payload",
    "refusal",
    "sse",
    "streamed",
]

DONE = b"data: [DONE]\n\n"
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "Weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
"""A function."""


def head(status: str | int = 200, *headers: tuple[str, str | int]) -> bytes:
    """The beginning of an answer."""
    reason = status if isinstance(status, str) else f"{status} Said"
    lines = [f"HTTP/1.1 {reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def http(
    body: bytes, *headers: tuple[str, str | int], status: str | int = 200, content_type: str = "application/json"
) -> bytes:
    """A whole answer."""
    return head(status, ("Content-Type", content_type), ("Content-Length", len(body)), *headers) + body


def chunked(
    pieces: list[bytes], *headers: tuple[str, str | int], content_type: str = "text/event-stream", whole: bool = True
) -> bytes:
    """An answer in pieces, with its end or without."""
    typed = (("Content-Type", content_type),) if content_type else ()
    begun = head(200, *typed, ("Transfer-Encoding", "chunked"), *headers)
    return begun + b"".join(map(chunk, filter(None, pieces))) + (chunk(b"") if whole else b"")


def chunk(piece: bytes) -> bytes:
    """A piece of an answer in pieces; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def payload(part: bytes) -> bytes:
    """What the beginning of an answer in pieces brings of its body."""
    _, _, rest = part.partition(b"\r\n\r\n")
    body = b""
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body += rest[:length]
        rest = rest[length + 2 :]
    return body


def completion(text: str) -> bytes:
    """The body of an answer to a chat."""
    choice = {"message": {"role": "assistant", "content": text}, "index": 0, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "model": "GigaChat"}, ensure_ascii=False).encode()


def answer(text: str, *headers: tuple[str, str | int]) -> bytes:
    """An answer to a chat."""
    return http(completion(text), *headers)


def refusal(text: str, *headers: tuple[str, str | int], status: int = 400) -> bytes:
    """An answer that is an error."""
    return http(json.dumps({"message": text}, ensure_ascii=False).encode(), *headers, status=status)


def sse(data: Any, name: str | None = None) -> bytes:
    """An event of any stream: its data as JSON, and its name where it has one."""
    named = f"event: {name}\n" if name else ""
    return f"{named}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def event(text: str, *, last: bool = False) -> bytes:
    """An event of a chat that is streamed."""
    choice = {"delta": {"content": text}, "index": 0, **({"finish_reason": "stop"} if last else {})}
    return sse({"choices": [choice]})


def streamed(*texts: str) -> bytes:
    """A good answer to a chat that is streamed."""
    return chunked([*map(event, texts[:-1]), event(texts[-1], last=True), DONE])


def grant(token: str, lifetime: float, *, clock: float = 0.0, unit: int = 1000) -> bytes:
    """The answer of a good sign-in.

    Args:
        token: The token.
        lifetime: Seconds until it expires.
        clock: Seconds by which the server's clock is ahead of ours.
        unit: How many of its units a second has.
    """
    now = time.time() + clock
    body = {"access_token": token, "expires_at": int((now + lifetime) * unit)}
    return http(json.dumps(body).encode(), ("Date", formatdate(now, usegmt=True)))
