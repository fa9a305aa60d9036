"""In-progress and recent requests, for the web page: each with its outcome, in bounded size.

A card describes a request: without its query string, of a chat the model and the beginning of the last message, of an
error its reason. `exchange` has the rest. Only the server's event loop uses it, so it needs no lock.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers

from gigachat.server.state.exchange import Exchange, shortened
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.requests import read_object

if TYPE_CHECKING:
    from starlette.types import Message

    from gigachat.server.state.requests import Received

__all__ = ["Activity", "Entry"]

_CHATS = "/chat/completions"
_LARGEST_READ = 256 * 1024
"""Bytes of a chat's body; a larger one is not parsed a second time for this."""
_LONGEST = 200
_RECENT = 100


class Entry:
    """One request and its response so far."""

    def __init__(self, activity: Activity, number: int, received: Received) -> None:
        self._activity = activity
        self._begun = received.at
        self._ended: float | None = None
        self._whole = False
        self.exchange = Exchange(received)
        """The request and the response."""
        self._card: dict[str, Any] = {
            "number": number,
            "at": int(time.time() * 1000),
            "method": shortened(received.method, _LONGEST),
            "path": shortened(received.path, _LONGEST),
            "received": len(received.body),
            "sign_in": self.exchange.signs_in,
            **_of_chat(received),
            "state": "open",
            "status": None,
            "reason": None,
            "sent": 0,
            "events": None,
        }
        self.version = 0
        """Grows with each change, over all entries."""

    @property
    def in_progress(self) -> bool:
        """Whether more of the response may come."""
        return self._ended is None

    @property
    def signed_in(self) -> bool:
        """Whether it is a sign-in that succeeded."""
        return self.exchange.signs_in and self._card["status"] == 200

    def note(self, message: Message) -> None:
        """Note a part of the response: an ASGI message that was sent."""
        if message["type"] == "http.response.start":
            self._card["status"] = message["status"]
            self.exchange.begin_response(message["status"], message.get("headers", []))
            if Headers(raw=message.get("headers", [])).get("content-type", "").startswith("text/event-stream"):
                self._card["events"] = 0
        elif message["type"] == "http.response.body":
            piece = message.get("body", b"")
            self._card["sent"] += len(piece)
            self.exchange.response.add(piece)
            if self._card["events"] is not None:
                self._card["events"] += piece.count(b"\n\n")
            if not message.get("more_body", False):
                self._whole = True
        self._activity.change(self)

    def over(self, detail: str | None = None) -> None:
        """Note that nothing more will be sent.

        Args:
            detail: What the response does not say about its reason.
        """
        self._ended = time.monotonic()
        if (self._card["status"] or 0) >= 400:
            message = self.exchange.response.message()
            self._card["reason"] = shortened(" ".join(filter(None, (message, detail))), _LONGEST) or None
        self._card["state"] = "whole" if self._whole else "broken"
        self._activity.change(self)

    def card(self) -> dict[str, Any]:
        """Return what is known by now, for JSON; times are in seconds, `at` in milliseconds since 1970."""
        end = time.monotonic() if self._ended is None else self._ended
        return {**self._card, "seconds": round(end - self._begun, 3)}


class Activity:
    """The requests in progress and the last ones that have ended, a hundred in all unless more are in progress."""

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex
        """Tells these numbers from those of another run of the server."""
        self._begun = 0
        self._version = 0
        self._entries: dict[int, Entry] = {}

    def begin(self, received: Received) -> Entry:
        """Add a request that was received."""
        self._begun += 1
        entry = self._entries[self._begun] = Entry(self, self._begun, received)
        while len(self._entries) > _RECENT:
            oldest = self._oldest_ended()
            if oldest is None:
                break
            del self._entries[oldest]
        self.change(entry)
        return entry

    def _oldest_ended(self) -> int | None:
        ended = [number for number, one in self._entries.items() if not one.in_progress]
        # Each program signs in: its sign-ins must not push out the requests that follow.
        return next((number for number in ended if self._entries[number].signed_in), ended[0] if ended else None)

    def change(self, entry: Entry) -> None:
        """Note that an entry has changed."""
        self._version += 1
        entry.version = self._version

    def exchange(self, number: int) -> Exchange | None:
        """Return the request of a number with its response; None if it is no longer kept."""
        entry = self._entries.get(number)
        return None if entry is None else entry.exchange

    def since(self, version: int) -> tuple[int, list[dict[str, Any]]]:
        """Return the version of now, and the cards of what has changed after another one; after 0 all of them."""
        return self._version, [entry.card() for entry in self._entries.values() if entry.version > version]


def _of_chat(received: Received) -> dict[str, str]:
    """Return the model and the beginning of the last message, as far as they can be read."""
    if not received.path.endswith(_CHATS) or len(received.body) > _LARGEST_READ:
        return {}
    try:
        asked = read_object(received.body)
    except Refusal:
        return {}
    messages = asked.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    said = last.get("content") if isinstance(last, dict) else None
    if isinstance(said, list):
        texts = (part.get("text") for part in said if isinstance(part, dict))
        said = " ".join(text for text in texts if isinstance(text, str))
    found = {"model": asked.get("model"), "said": said}
    return {name: shortened(text, _LONGEST) for name, text in found.items() if isinstance(text, str)}
