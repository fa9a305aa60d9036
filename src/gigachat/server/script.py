"""What a test orders in advance: next answers, next failures, delays, broken and hand-made streams.

Orders are taken in the order they were given, each at most as often as it says. It must not send anything:
the app asks and obeys.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


Payload: TypeAlias = "bytes | str | Mapping[str, Any] | tuple[str, Mapping[str, Any]]"
"""One event of a hand-made stream; with a name it is a pair."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The next chat answer: a text, or a dictionary (see `GigaChatServer.reply`), given `after` seconds."""

    answer: str | Mapping[str, Any]
    after: float = 0.0


@dataclass(slots=True)
class Fault:
    """An error for the next `times` requests whose path ends with `path`; any path when None."""

    status: int
    message: str | None = None
    path: str | None = None
    times: int = 1
    code: int | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


@dataclass(slots=True)
class Delay:
    """A pause of some seconds before the next `times` requests whose path ends with `path` are looked at."""

    seconds: float
    path: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Events:
    """The next stream, literally: bytes go out as they are, anything else as the JSON of one event."""

    payloads: Sequence[Payload]
    keep_open: bool = False


_Order = TypeVar("_Order", Fault, Delay)


class Script:
    """The orders not yet obeyed. Safe to give from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._replies: deque[Reply] = deque()
        self._faults: list[Fault] = []
        self._delays: list[Delay] = []
        self._cuts: deque[int] = deque()
        self._streams: deque[Events] = deque()

    def add(self, order: Reply | Fault | Delay | Events) -> None:
        """Take an order."""
        with self._lock:
            match order:
                case Reply():
                    self._replies.append(order)
                case Fault():
                    self._faults.append(order)
                case Delay():
                    self._delays.append(order)
                case Events():
                    self._streams.append(order)

    def add_cut(self, after_events: int) -> None:
        """Order that the next stream is broken off after so many events."""
        with self._lock:
            self._cuts.append(after_events)

    def fault(self, path: str) -> Fault | None:
        """Return the failure ordered for this request, if there is one."""
        return self._take(self._faults, path)

    def delay(self, path: str) -> Delay | None:
        """Return the pause ordered for this request, if there is one."""
        return self._take(self._delays, path)

    def reply(self) -> Reply | None:
        """Return the next chat answer, if one was ordered."""
        with self._lock:
            return self._replies.popleft() if self._replies else None

    def stream(self) -> Events | None:
        """Return the next hand-made stream, if one was ordered."""
        with self._lock:
            return self._streams.popleft() if self._streams else None

    def cut(self) -> int | None:
        """Return after how many events the next stream breaks off; None when it doesn't."""
        with self._lock:
            return self._cuts.popleft() if self._cuts else None

    def clear(self) -> None:
        """Forget all orders."""
        with self._lock:
            for orders in (self._replies, self._faults, self._delays, self._cuts, self._streams):
                orders.clear()

    def _take(self, orders: list[_Order], path: str) -> _Order | None:
        if not orders:
            return None
        with self._lock:
            for number, order in enumerate(orders):
                if order.path is None or path.endswith(order.path):
                    order.times -= 1
                    if order.times <= 0:
                        del orders[number]
                    return order
        return None
