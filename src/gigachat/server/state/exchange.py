"""What the web page shows of a request and its response: headers without secrets, the beginning of each body.

The bodies of a sign-in are not kept, because the request may contain a secret and the response contains a token. Only
its refusal is kept: the text is the server's own.
"""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gigachat.server.state.requests import Received

__all__ = ["SIGN_IN", "Body", "Exchange", "shortened"]

SIGN_IN = ("/oauth", "/token")
"""Ends of the paths of sign-ins."""
_LARGEST = 64 * 1024
"""Bytes kept of a body."""
_LONGEST = 1000
"""Characters shown of a header."""
_HARMLESS = frozenset(
    (
        *("accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding"),
        *("content-length", "content-type", "expect", "host", "origin", "rquid", "transfer-encoding", "user-agent"),
        *("x-agent-id", "x-client-id", "x-gigachat-fault", "x-operation-id", "x-request-id", "x-service-id"),
        *("x-session-id", "x-trace-id"),
    )
)
"""Headers of requests that are shown with their values; others may hold secrets."""
_SCHEMES = ("basic", "bearer")


class Body:
    """The beginning of a body.

    Args:
        kept: Whether any of it may be kept.
    """

    def __init__(self, *, kept: bool = True) -> None:
        self.kept = kept
        self.size = 0
        self._bytes = bytearray()

    def add(self, piece: bytes) -> None:
        """Add the next bytes."""
        self.size += len(piece)
        if self.kept:
            self._bytes += piece[: _LARGEST - len(self._bytes)]

    def card(self) -> dict[str, Any]:
        """Return the size, the number of bytes shown, and the text: null if it is not kept or not text."""
        return {"size": self.size, "shown": len(self._bytes), "kept": self.kept, "text": self._text()}

    def message(self) -> str | None:
        """Return the message of an error of the service."""
        try:
            read = json.loads(self._bytes)
        except (ValueError, RecursionError):
            return None
        message = read.get("message") if isinstance(read, dict) else None
        return message if isinstance(message, str) else None

    def _text(self) -> str | None:
        if not self.kept:
            return None
        try:
            # The last character may be cut in two.
            text = codecs.getincrementaldecoder("utf-8")().decode(self._bytes, final=self.size == len(self._bytes))
        except UnicodeDecodeError:
            return None
        return None if "\0" in text else text


class Exchange:
    """A request and its response so far.

    Args:
        received: The request.
    """

    def __init__(self, received: Received) -> None:
        self.signs_in = received.path.endswith(SIGN_IN)
        # A path may contain line breaks: %0A.
        self._line = "".join(char if char.isprintable() else "\ufffd" for char in f"{received.method} {received.path}")
        self._request_headers = [_harmless(name, value) for name, value in _read(received.raw_headers)]
        self._request = Body(kept=not self.signs_in)
        self._request.add(received.body)
        self._status: int | None = None
        self._response_headers: list[tuple[str, str]] = []
        self.response = Body()

    def begin_response(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Note the beginning of the response."""
        self._status = status
        self._response_headers = _read(headers)
        self.response.kept = not self.signs_in or status >= 400

    def card(self) -> dict[str, Any]:
        """Return both messages, for JSON; the status is null before the response."""
        return {
            "line": shortened(self._line, _LONGEST),
            "request": {"headers": self._request_headers, "body": self._request.card()},
            "status": self._status,
            "response": {"headers": self._response_headers, "body": self.response.card()},
        }


def _read(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1").lower(), shortened(value.decode("latin-1"), _LONGEST)) for name, value in headers]


def _harmless(name: str, value: str) -> tuple[str, str]:
    """Return a header of a request without what may be secret."""
    if name in _HARMLESS:
        return name, value
    scheme = value.partition(" ")[0]
    return name, f"{scheme} …" if name == "authorization" and scheme.lower() in _SCHEMES else "…"


def shortened(text: str, longest: int) -> str:
    """Return the beginning of a text.

    Args:
        text: The text.
        longest: Most characters of the result.
    """
    return text if len(text) <= longest else text[: longest - 1] + "…"
