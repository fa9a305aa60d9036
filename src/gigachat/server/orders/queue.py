"""The queue of orders: replies, faults, literal streams, verdicts.

Orders are taken in the order they were given, each at most as often as it says.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence  # noqa: TC003 - models need it
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field, StrictBool, StrictInt, model_validator

from gigachat.server.orders.checks import Order
from gigachat.server.orders.matching import asks_for_stream, read_chat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gigachat.server.orders.faults import Fault
    from gigachat.server.orders.rules import Rule
    from gigachat.server.state.requests import Received

T = TypeVar("T")
_Character = Annotated[StrictInt, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Events:
    """The next stream, literally."""

    events: Sequence[bytes]
    keep_open: bool = False


class Verdict(Order):
    """The fields of the next answer of `/filter/check` or `/ai/check` that differ from the usual one."""

    model_config = ConfigDict(strict=False)  # a list is an interval too

    is_profane: StrictBool | None = None
    category: Literal["ai", "human", "mixed"] | None = None
    ai_intervals: Sequence[tuple[_Character, _Character]] = ()

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Verdict:
        if self.is_profane is None and self.category is None:
            raise ValueError("give is_profane or category")
        if self.is_profane is not None and (self.category is not None or self.ai_intervals):
            raise ValueError("give is_profane, or category with ai_intervals, not both")
        if any(first > last for first, last in self.ai_intervals):
            raise ValueError("each of ai_intervals is the first and the last character")
        return self

    def fields(self, kind: Literal["ai", "filter"]) -> dict[str, Any]:
        """Return the fields for a kind of check; none when the verdict is of the other kind."""
        if kind == "filter":
            return {} if self.is_profane is None else {"is_profane": self.is_profane}
        return {} if self.category is None else {"category": self.category, "ai_intervals": self.ai_intervals}


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T]):
    order: T
    left: int | None


class Queue(Generic[T]):
    """Orders of one kind, in the order they are tried. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[T]] = []

    def add(self, order: T, times: int | None = 1, *, first: bool = False) -> None:
        """Add an order behind all others, or before them. It is taken so many times, always when `times` is None."""
        with self._lock:
            self._waiting.insert(0 if first else len(self._waiting), _Waiting(order, times))

    def take(self, fits: Callable[[T], object]) -> T | None:
        """Return the first order that fits and count it as used; None when there is none."""
        with self._lock:
            waiting = list(self._waiting)
        for one in waiting:
            # Not under the lock: a condition written by a test may add orders itself.
            if fits(one.order):
                with self._lock:
                    if one.left is not None and one in self._waiting:
                        one.left -= 1
                        if one.left == 0:
                            self._waiting.remove(one)
                return one.order
        return None

    def clear(self) -> None:
        """Remove all orders."""
        with self._lock:
            self._waiting.clear()

    def __bool__(self) -> bool:
        return bool(self._waiting)


class Orders:
    """The orders that have not been used up. Safe to use from any thread.

    Args:
        seed: Makes faults of a probability happen to the same requests each time.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - of faults, not of secrets
        self.replies: Queue[Rule] = Queue()
        self.always: Queue[Rule] = Queue()
        self.faults: Queue[Fault] = Queue()
        self.streams: Queue[Events] = Queue()
        self.verdicts: Queue[Verdict] = Queue()

    def hits(self, fault: Fault, received: Received) -> bool:
        """Return whether a fault happens to a request."""
        if fault.path is not None and not received.path.endswith(fault.path):
            return False
        # Events can be cut from a stream only.
        if fault.cut_events is not None and not asks_for_stream(received):
            return False
        return self._chance.random() < fault.probability

    def fault(self, received: Received) -> Fault | None:
        """Return the fault ordered for this request, if any."""
        return self.faults.take(lambda fault: self.hits(fault, received))

    def reply(self, body: Mapping[str, Any]) -> Rule | None:
        """Return the answer ordered for this chat, if any: the oldest order, then the newest given `always`."""
        if not self.replies and not self.always:
            return None
        chat = read_chat(body)
        return self.replies.take(lambda rule: rule.fits(chat)) or self.always.take(lambda rule: rule.fits(chat))

    def stream(self) -> Events | None:
        """Return the next literal stream, if one was ordered."""
        return self.streams.take(lambda _: True)

    def verdict(self, kind: Literal["ai", "filter"]) -> dict[str, Any]:
        """Return the fields of the next verdict of a kind; none if there is no order."""
        verdict = self.verdicts.take(lambda one: one.fields(kind))
        return {} if verdict is None else verdict.fields(kind)

    def clear(self) -> None:
        """Remove all orders."""
        for queue in (self.replies, self.always, self.faults, self.streams, self.verdicts):
            queue.clear()
