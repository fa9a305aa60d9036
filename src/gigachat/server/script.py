"""What a test orders in advance: next answers, next failures, delays, broken and hand-made streams.

Orders are taken in the order they were given, each at most as often as it says. It must not send anything:
the app asks and obeys.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from gigachat.server.faults import Fault
from gigachat.server.received import fits, read_chat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.received import When


Payload: TypeAlias = "bytes | str | Mapping[str, Any] | tuple[str, Mapping[str, Any]]"
"""One event of a hand-made stream; with a name it is a pair."""


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """A chat answer: a text, or a dictionary (see `GigaChatServer.reply`), given `after` seconds.

    It is for the next chat that fits `when`, `model` and `function`; with `always` for each of them.
    """

    answer: str | Mapping[str, Any]
    after: float = 0.0
    when: When | None = None
    model: str | None = None
    function: str | None = None
    always: bool = False


@dataclass(slots=True)
class Delay:
    """A pause of some seconds before the next `times` requests whose path ends with `path` are looked at."""

    seconds: float
    path: str | None = None
    times: int | None = 1
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Events:
    """The next stream, literally: bytes go out as they are, anything else as the JSON of one event."""

    payloads: Sequence[Payload]
    keep_open: bool = False


_Order = TypeVar("_Order", Fault, Delay)


class Script:
    """The orders not yet obeyed. Safe to give from any thread.

    Args:
        seed: Makes faults of a probability happen to the same requests each time.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._chance = random.Random(seed)  # noqa: S311 - of faults, not of secrets
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

    def reply(self, body: Mapping[str, Any]) -> Reply | None:
        """Return the answer ordered for this chat, if there is one: the oldest, then the newest given always."""
        with self._lock:
            replies = sorted(self._replies, key=lambda one: one.always)
        if not replies:
            return None
        once = [one for one in replies if not one.always]
        chat = read_chat(body)
        for reply in (*once, *reversed(replies[len(once) :])):
            # Not under the lock: a function of the test's own may give orders itself.
            if fits(chat, reply.when, reply.model, reply.function):
                if not reply.always:
                    with self._lock, contextlib.suppress(ValueError):  # cleared meanwhile
                        self._replies.remove(reply)
                return reply
        return None

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
                if order.path is not None and not path.endswith(order.path):
                    continue
                if self._chance.random() >= order.probability:
                    continue
                if order.times is not None:
                    order.times -= 1
                    if order.times <= 0:
                        del orders[number]
                return order
        return None
