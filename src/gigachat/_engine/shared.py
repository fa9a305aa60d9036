"""What all clients of a process share: one value per key, made on first use. The least used are forgotten in time."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Shared"]

ValueT = TypeVar("ValueT")

_MOST = 512


class Shared(Generic[ValueT]):
    """Values by key.

    Args:
        make: Makes the value of a new key.
        after_fork: Brings a value into order in a child process, whose parent may have held its lock.
    """

    def __init__(self, make: Callable[[], ValueT], after_fork: Callable[[ValueT], None]) -> None:
        self._make = make
        self._after_fork = after_fork
        self._values: OrderedDict[Hashable, ValueT] = OrderedDict()
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def get(self, key: Hashable) -> ValueT:
        """Return the value of a key; two who ask with the same key get the same one."""
        with self._lock:
            value = self._values.setdefault(key, self._make())
            self._values.move_to_end(key)
            while len(self._values) > _MOST:
                self._values.popitem(last=False)
            return value

    def _forked(self) -> None:
        self._lock = threading.Lock()
        for value in self._values.values():
            self._after_fork(value)
