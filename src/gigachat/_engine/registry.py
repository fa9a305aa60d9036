"""Values that the clients of a process share: one per key, made on first use, never replaced while it is referenced.

Of the values without other references, the latest used ones are kept. Memory is bounded.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

ValueT = TypeVar("ValueT")

_REMEMBERED = 512


class Registry(Generic[ValueT]):
    """Values by key.

    Args:
        make: Makes the value of a new key.
        after_fork: Repairs a value in a child process; the parent may have held its lock.
    """

    def __init__(self, make: Callable[[], ValueT], after_fork: Callable[[ValueT], None]) -> None:
        self._make = make
        self._after_fork = after_fork
        self._values: WeakValueDictionary[Hashable, ValueT] = WeakValueDictionary()
        self._latest: OrderedDict[Hashable, ValueT] = OrderedDict()
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
            os.register_at_fork(after_in_child=self._forked)

    def get(self, key: Hashable) -> ValueT:
        """Return the value of a key."""
        with self._lock:
            value = self._values.get(key)
            if value is None:
                value = self._values[key] = self._make()
            self._latest[key] = value
            self._latest.move_to_end(key)
            while len(self._latest) > _REMEMBERED:
                self._latest.popitem(last=False)
            return value

    def private(self) -> ValueT:
        """Return a value that is not shared; it is not kept, and repaired after a fork like the others."""
        value = self._make()
        with self._lock:
            self._values[object()] = value
        return value

    def _forked(self) -> None:
        self._lock = threading.Lock()
        for value in list(self._values.values()):
            self._after_fork(value)
