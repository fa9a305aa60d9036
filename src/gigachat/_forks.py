"""What must not be under way in one thread while another one forks: loading modules, building models, connecting first.

It must not know any of them: they say `with unforked():`.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - that its hook is there before ours, which then waits first
import logging  # noqa: F401 - likewise
import os
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["unforked"]

_FORK_WAIT = 10.0  # seconds; then a fork goes on as it would without waiting


class _Unforked:
    """Threads that hold locks of the interpreter or of OpenSSL, which no thread of a child would let go."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._depths: Counter[int] = Counter()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Let forks by other threads wait, ten seconds at most."""
        me = threading.get_ident()
        with self._changed:
            self._depths[me] += 1
        try:
            yield
        finally:
            with self._changed:
                self._depths[me] -= 1
                self._depths += Counter()  # keeps what is above zero
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait until no other thread is inside, and let none in."""
        self._changed.acquire()
        me = threading.get_ident()

        def alone() -> bool:
            return not any(thread.ident in self._depths for thread in threading.enumerate() if thread.ident != me)

        self._changed.wait_for(alone, _FORK_WAIT)

    def after_in_parent(self) -> None:
        """Let threads in again."""
        self._changed.release()

    def after_in_child(self) -> None:
        """Forget the threads that are not here."""
        me = threading.get_ident()
        self._changed = threading.Condition()
        self._depths = +Counter({me: self._depths[me]})


unforked = _Unforked()
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(
        before=unforked.before_fork,
        after_in_parent=unforked.after_in_parent,
        after_in_child=unforked.after_in_child,
    )
