"""The queue of orders: replies, faults, literal streams, verdicts.

Orders are taken in the order they were given, each at most as often as it says.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gigachat.server.orders.faults import Fault
from gigachat.server.orders.matching import asks_for_stream, read_chat
from gigachat.server.orders.rules import Rule, Rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.orders.replies import Payload
    from gigachat.server.state.requests import Received


@dataclass(frozen=True, slots=True)
class Events:
    """The next stream, literally: bytes go out as they are, anything else as the JSON of one event."""

    payloads: Sequence[Payload]
    keep_open: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fields of the next answer of `/ai/check` or `/filter/check` that differ from the usual one."""

    kind: Literal["ai", "filter"]
    fields: Mapping[str, Any]


class Script:
    """The orders still to be used. Safe to use from any thread.

    Args:
        seed: Makes faults of a probability happen to the same requests each time.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._chance = random.Random(seed)  # noqa: S311 - of faults, not of secrets
        self._once = Rules()
        self._always = Rules()
        self._faults: list[Fault] = []
        self._streams: deque[Events] = deque()
        self._verdicts: list[Verdict] = []

    def add(self, order: Rule | Fault | Events | Verdict) -> None:
        """Add an order."""
        if isinstance(order, Rule):
            if order.times is None:
                self._always.add(order, first=True)
            else:
                self._once.add(order)
            return
        with self._lock:
            match order:
                case Fault():
                    self._faults.append(order)
                case Events():
                    self._streams.append(order)
                case Verdict():
                    self._verdicts.append(order)

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

    def reply(self, body: Mapping[str, Any]) -> Rule | None:
        """Return the answer ordered for this chat, if any: the oldest order, then the newest given `always`."""
        if not self._once and not self._always:
            return None
        chat = read_chat(body)
        return self._once.take(chat) or self._always.take(chat)

    def stream(self) -> Events | None:
        """Return the next hand-made stream, if one was ordered."""
        with self._lock:
            return self._streams.popleft() if self._streams else None

    def verdict(self, kind: Literal["ai", "filter"]) -> dict[str, Any]:
        """Return the fields of the next verdict of a kind; none if there is no order."""
        with self._lock:
            for number, verdict in enumerate(self._verdicts):
                if verdict.kind == kind:
                    del self._verdicts[number]
                    return dict(verdict.fields)
        return {}

    def clear(self) -> None:
        """Forget all orders."""
        self._once.clear()
        self._always.clear()
        with self._lock:
            self._faults.clear()
            self._streams.clear()
            self._verdicts.clear()


def _is_meant(received: Received, fault: Fault) -> bool:
    if fault.path is not None and not received.path.endswith(fault.path):
        return False
    # Events can be cut from a stream only.
    return fault.cut_events is None or asks_for_stream(received)
