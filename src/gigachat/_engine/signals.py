"""A flag that threads and tasks of any event loop wait for together.

It has no lock: a finalizer may set it at any moment, also while this thread is inside one of its methods. Operations on
the list of callbacks are atomic, and the thread that removes a callback from the list calls it.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 0.5
"""Seconds of one wait for a lock: a signal that arrives just before such a wait is handled only after it."""


class Signal:
    """A flag, set once; tasks wait for it by `Transport.wait`."""

    __slots__ = ("_callbacks", "_set")

    def __init__(self) -> None:
        self._set = False
        self._callbacks: list[Callable[[], object]] = []

    def set(self) -> bool:
        """Wake all waiters, present and later; False if the event loop of one of them is closed."""
        self._set = True
        woken = True
        with suppress(IndexError):
            while True:
                callback = self._callbacks.pop(0)
                try:
                    callback()
                except RuntimeError:
                    woken = False
        return woken

    def wait(self, timeout: float | None) -> bool:
        """Block the thread until the flag is set; whether it was set in time."""
        # A bare lock: `threading.Event` would replace the exception of a signal handler with one of its own.
        turn = threading.Lock()
        turn.acquire()
        end = None if timeout is None else time.monotonic() + timeout
        self.subscribe(turn.release)
        try:
            while True:
                left = _LONGEST if end is None else min(_LONGEST, max(end - time.monotonic(), 0.0))
                if turn.acquire(timeout=left):
                    return True
                if end is not None and time.monotonic() >= end:
                    return False
        finally:
            self.unsubscribe(turn.release)

    def subscribe(self, callback: Callable[[], object]) -> None:
        """Call a function once when the flag is set, at once if it is. It must not block."""
        self._callbacks.append(callback)
        if self._set:
            self.set()

    def unsubscribe(self, callback: Callable[[], object]) -> None:
        """Forget a function that has not been called."""
        with suppress(ValueError):
            self._callbacks.remove(callback)

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return self._set
