"""A flag that threads and tasks of any event loop wait for together."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Signal"]


class Signal:
    """A flag, set once; tasks wait for it by `Transport.wait`."""

    __slots__ = ("_callbacks", "_lock", "_set")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set = False
        self._callbacks: list[Callable[[], object]] = []

    def set(self) -> bool:
        """Wake all waiters, present and later; False if the event loop of one of them is closed."""
        with self._lock:
            self._set = True
            callbacks, self._callbacks = self._callbacks, []
        woken = True
        for callback in callbacks:
            try:
                callback()
            except RuntimeError:
                woken = False
        return woken

    def wait(self, timeout: float | None) -> bool:
        """Block the thread until the flag is set; whether it was set in time."""
        # A bare lock: an exception of a signal handler inside of `threading.Event` would be replaced by its own.
        turn = threading.Lock()
        turn.acquire()
        self.subscribe(turn.release)
        try:
            return turn.acquire(timeout=-1 if timeout is None else timeout)
        finally:
            self.unsubscribe(turn.release)

    def subscribe(self, callback: Callable[[], object]) -> None:
        """Call a function once when the flag is set, at once if it is. It must not block."""
        with self._lock:
            if not self._set:
                self._callbacks.append(callback)
                return
        callback()

    def unsubscribe(self, callback: Callable[[], object]) -> None:
        """Forget a function that has not been called."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return self._set
