"""At most so many requests in work at once per credential, first come first served, for threads and tasks together.

A permit is handed directly to the one who waits longest, so that none is lost and nobody overtakes. A permit may come
back from a finalizer, in the middle of anything: giving back never waits for the lock.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import ref

from gigachat._engine.io import Signal
from gigachat._engine.shared import Shared
from gigachat.exceptions import APITimeoutError

if TYPE_CHECKING:
    from gigachat._engine.io import Port

__all__ = ["Limiter", "Permit", "shared_limiters"]


def _caller() -> object:
    """Return a mark of what runs us, the task or the thread; equal for the same one, also if its number is reused."""
    import asyncio  # here, for it costs as much as the rest of the engine; the transport has loaded it by now

    running: object = None
    trio = sys.modules.get("trio")  # not worth an import
    if trio is not None and trio.lowlevel.in_trio_task():
        running = trio.lowlevel.current_task()
    else:
        with suppress(RuntimeError):
            running = asyncio.current_task()
    return ref(running or threading.current_thread())


class Permit:
    """The right to have one request in work, until released."""

    __slots__ = ("_limiter", "owner", "stream")

    def __init__(self, limiter: Limiter, owner: object) -> None:
        self._limiter: Limiter | None = limiter
        self.owner = owner
        self.stream = False

    def release(self) -> None:
        """Give the right back; a second time does nothing."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.give_back(self)


class _Waiter:
    __slots__ = ("limit", "owner", "permit", "signal")

    def __init__(self, limit: int, owner: object) -> None:
        self.limit = limit
        self.owner = owner
        self.signal = Signal()
        self.permit: Permit | None = None


class Limiter:
    """Counts the requests in work of one credential; each caller brings the limit of its own client."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everybody: after a fork, the child has none of the parent's requests in work."""
        self._lock = threading.Lock()
        self._queue: deque[_Waiter] = deque()
        self._held: set[Permit] = set()
        self._returned: deque[Permit] = deque()

    async def acquire(self, port: Port, limit: int, timeout: float | None) -> Permit:
        """Wait for a permit.

        Raises:
            APITimeoutError: None became free within `timeout` seconds.
        """
        waiter = _Waiter(limit, _caller())
        with self._lock:
            self._queue.append(waiter)
        self._settle(force=True)
        try:
            if waiter.permit is None:
                await port.wait(waiter.signal, timeout)
        except BaseException:
            self._leave(waiter)
            if waiter.permit is not None:
                waiter.permit.release()
            raise
        # A permit that came at the last moment is as good as any.
        held_by_caller = self._leave(waiter)
        if waiter.permit is not None:
            return waiter.permit
        whose = (
            "this thread or task itself holds an open stream: close it before asking again"
            if held_by_caller
            else "other requests or open streams hold them all"
        )
        raise APITimeoutError(
            f"no free slot within queue_timeout={timeout:g} s: max_concurrency={limit} requests are in work and {whose}"
        )

    def give_back(self, permit: Permit) -> None:
        """Take a permit back; called from anywhere."""
        self._returned.append(permit)
        self._settle()

    def _leave(self, waiter: _Waiter) -> bool:
        """Leave the queue; whether the same thread or task holds a stream meanwhile."""
        with self._lock:
            if waiter.permit is None:
                self._queue.remove(waiter)
            holds_stream = any(permit.stream and permit.owner == waiter.owner for permit in self._held)
        self._settle(force=True)
        return holds_stream

    def _settle(self, force: bool = False) -> None:
        # Whoever holds the lock looks again after leaving it: nothing returned meanwhile is forgotten.
        while (force or self._returned) and self._lock.acquire(blocking=force):
            force = False
            served = []
            try:
                while self._returned:
                    self._held.discard(self._returned.popleft())
                while self._queue and len(self._held) < self._queue[0].limit:
                    waiter = self._queue.popleft()
                    waiter.permit = Permit(self, waiter.owner)
                    self._held.add(waiter.permit)
                    served.append(waiter)
            finally:
                self._lock.release()
            for waiter in served:
                if not waiter.signal.set() and waiter.permit is not None:
                    waiter.permit.release()  # its loop is gone: on to the next


shared_limiters: Shared[Limiter] = Shared(Limiter, Limiter.reset)
