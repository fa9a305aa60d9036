"""In-progress and recent requests, for the web page: each with its outcome, in bounded size.

Headers, query strings and bodies of sign-ins are left out; of a chat there are the model and the beginning of the last
message. Only the server's event loop uses it, so it needs no lock.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.requests import read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigachat.server.state.requests import Received

__all__ = ["Entry", "Live", "Watcher"]

_CHATS = "/chat/completions"
_LARGEST_READ = 256 * 1024
"""Bytes of a chat's body; a larger one is not read a second time for this."""
_LONGEST = 200
_RECENT = 100
_BEHIND = 1000
_WATCHERS = 16


class Entry:
    """One request and its answer so far."""

    def __init__(self, live: Live, number: int, received: Received) -> None:
        self._live = live
        self._card: dict[str, Any] = {
            "number": number,
            "at": int(time.time() * 1000),
            "method": _short(received.method),
            "path": _short(received.path),
            "received": len(received.body),
            **_of_chat(received),
        }
        self._begun = received.at
        self._ended: float | None = None
        self._whole = False
        self._status: int | None = None
        self._sent = 0
        self._events: int | None = None

    @property
    def number(self) -> int:
        """Its place among all requests, from 1."""
        number: int = self._card["number"]
        return number

    def answered(self, status: int, *, stream: bool) -> None:
        """Note that an answer has begun."""
        self._status = status
        self._events = 0 if stream else None
        self._live.changed(self)

    def sent(self, piece: bytes, *, last: bool) -> None:
        """Note a piece of the answer's body."""
        self._sent += len(piece)
        if self._events is not None:
            self._events += piece.count(b"\n\n")
        self._whole = self._whole or last
        self._live.changed(self)

    def over(self) -> None:
        """Note that nothing more will come."""
        self._ended = time.monotonic()
        self._live.changed(self)

    def card(self) -> dict[str, Any]:
        """Return what is known by now, for JSON; times are in seconds, `at` in milliseconds since 1970."""
        end = time.monotonic() if self._ended is None else self._ended
        state = "open" if self._ended is None else "whole" if self._whole else "broken"
        return {
            **self._card,
            "state": state,
            "status": self._status,
            "seconds": round(end - self._begun, 3),
            "sent": self._sent,
            "events": self._events,
        }


class Live:
    """The last requests, and who watches them."""

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex
        """Tells these numbers from those of another run of the server."""
        self._numbers = itertools.count(1)
        self._recent: deque[Entry] = deque(maxlen=_RECENT)
        self._watchers: set[Watcher] = set()

    def begin(self, received: Received) -> Entry:
        """Note a request that has come."""
        entry = Entry(self, next(self._numbers), received)
        self._recent.append(entry)
        self.changed(entry)
        return entry

    def changed(self, entry: Entry) -> None:
        """Tell the watchers that there is news of an entry."""
        for watcher in tuple(self._watchers):
            if not watcher.note(entry):
                self._watchers.discard(watcher)

    @contextmanager
    def watched(self, hang_up: Callable[[], None]) -> Iterator[Watcher]:
        """Watch; what was noted lately comes first.

        Args:
            hang_up: Called when the watcher is too slow and has been dropped.

        Raises:
            Refusal: 429 when there are too many already.
        """
        if len(self._watchers) >= _WATCHERS:
            raise Refusal(429)
        watcher = Watcher(self._recent, hang_up)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)


class Watcher:
    """One who watches: the entries changed since it last looked, each once, so that a burst costs it little."""

    def __init__(self, recent: deque[Entry], hang_up: Callable[[], None]) -> None:
        self._changed = {entry.number: entry for entry in recent}
        self._hang_up = hang_up
        self._news = asyncio.Event()
        self._dropped = False
        if recent:
            self._news.set()

    def note(self, entry: Entry) -> bool:
        """Note a change; return whether the watcher still keeps up."""
        self._changed[entry.number] = entry
        self._news.set()
        if len(self._changed) > _BEHIND:
            self._dropped = True
            self._changed.clear()
            self._hang_up()
        return not self._dropped

    async def changes(self) -> list[dict[str, Any]]:
        """Wait for news and return the cards of what changed; nothing when the watcher has been dropped."""
        await self._news.wait()
        self._news.clear()
        cards = [entry.card() for entry in self._changed.values()]
        self._changed.clear()
        return cards


def _of_chat(received: Received) -> dict[str, Any]:
    """Return the model and the beginning of the last message, as far as they can be read."""
    if not received.path.endswith(_CHATS) or len(received.body) > _LARGEST_READ:
        return {}
    try:
        asked = read_object(received.body)
    except Refusal:
        return {}
    found = {}
    model, messages = asked.get("model"), asked.get("messages")
    if isinstance(model, str):
        found["model"] = _short(model)
    last = messages[-1] if isinstance(messages, list) and messages else None
    content = last.get("content") if isinstance(last, dict) else None
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        content = " ".join(text for text in texts if isinstance(text, str))
    if isinstance(content, str):
        found["said"] = _short(content)
    return found


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
