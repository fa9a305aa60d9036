"""The requests received, for tests. The server runs in one thread and tests read from others, hence the lock."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came. Its `repr` shows neither headers nor body: both may hold secrets."""

    method: str
    path: str
    raw_headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    query_string: bytes = field(repr=False)
    body: bytes = field(repr=False)
    at: float = field(default_factory=time.monotonic)
    """When it had arrived whole, on the monotonic clock."""

    @property
    def size(self) -> int:
        """Bytes of the request: path, query, headers and body."""
        headers = sum(len(name) + len(value) for name, value in self.raw_headers)
        return len(self.path) + len(self.query_string) + headers + len(self.body)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers by name, whatever the case; repeated ones are joined with a comma."""
        raw = Headers(raw=list(self.raw_headers))
        return Headers({name: ", ".join(raw.getlist(name)) for name in raw})

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; of repeated ones the last."""
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)


class Journal:
    """The requests received, oldest first; bounded, so that a long run doesn't fill the memory."""

    _LIMIT = 10_000
    _BYTES = 64 * 1024 * 1024

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: deque[Received] = deque()
        self._in_progress: dict[int, Received] = {}
        self._size = 0

    def add(self, request: Received) -> None:
        """Record a request; the oldest are dropped beyond 10 000 or 64 MiB of headers and bodies."""
        with self._lock:
            self._in_progress[id(request)] = request
            self._requests.append(request)
            self._size += request.size
            while len(self._requests) > self._LIMIT or (self._size > self._BYTES and len(self._requests) > 1):
                self._size -= self._requests.popleft().size

    def end(self, request: Received) -> None:
        """Note that nothing more of its response will be sent."""
        with self._lock:
            del self._in_progress[id(request)]

    def in_progress(self) -> list[Received]:
        """Return the requests that have not ended."""
        with self._lock:
            return list(self._in_progress.values())

    def all(self) -> list[Received]:
        """Return the requests noted so far."""
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        """Forget all requests; those in progress stay in progress."""
        with self._lock:
            self._requests.clear()
            self._size = 0
