"""What a test orders in advance: next answers, next faults, hand-made streams.

Orders are taken in the order they were given, each at most as often as it says. It must not send anything:
the app asks and obeys.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigachat.server.orders.faults import Fault
from gigachat.server.orders.matching import asks_for_stream, fits, read_chat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.orders.matching import When
    from gigachat.server.orders.replies import Payload
    from gigachat.server.state.requests import Received


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


@dataclass(frozen=True, slots=True)
class Events:
    """The next stream, literally: bytes go out as they are, anything else as the JSON of one event."""

    payloads: Sequence[Payload]
    keep_open: bool = False


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
        self._streams: deque[Events] = deque()

    def add(self, order: Reply | Fault | Events) -> None:
        """Take an order."""
        with self._lock:
            match order:
                case Reply():
                    self._replies.append(order)
                case Fault():
                    self._faults.append(order)
                case Events():
                    self._streams.append(order)

    def fault(self, received: Received) -> Fault | None:
        """Return what was ordered to go wrong with this request, if anything was."""
        if not self._faults:
            return None
        with self._lock:
            for number, fault in enumerate(self._faults):
                if not _is_meant(received, fault) or self._chance.random() >= fault.probability:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        del self._faults[number]
                return fault
        return None

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

    def clear(self) -> None:
        """Forget all orders."""
        with self._lock:
            for orders in (self._replies, self._faults, self._streams):
                orders.clear()


def _is_meant(received: Received, fault: Fault) -> bool:
    if fault.path is not None and not received.path.endswith(fault.path):
        return False
    # Events can be cut from a stream only.
    return fault.cut_events is None or asks_for_stream(received)
