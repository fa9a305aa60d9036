"""A limit of calls in progress, first come first served, for threads and tasks together.

Invariant: a slot is taken exactly as long as its `Slot` exists and has not been released. The limiter holds weak
references only, to slots and to waiters. A call that ends in any way, by an exception of a signal handler between two
instructions, by cancellation or by collection, therefore leaves nothing behind: the next caller finds its slot free.
`release` and the finalizers of slots only make waiters look sooner; a waiter looks once a second anyway.

The lock is held in `with` blocks only, which CPython enters and leaves without running signal handlers in between. It
is reentrant, because a finalizer may run inside such a block; it then changes nothing.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import ref

from gigachat._engine.errors import total_timeout_error
from gigachat._engine.registry import Registry
from gigachat._engine.signals import Signal
from gigachat.exceptions import QueueTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigachat._engine.transport import Timeouts, Transport

_LOOK_AGAIN = 1.0  # seconds between two looks of a waiter


def current_caller() -> object:
    """Return a mark of the running task or thread; marks of the same one are equal."""
    import asyncio  # deferred: it doubles the time of the import, and the transport has loaded it by now

    running: object = None
    trio = sys.modules.get("trio")  # not imported for this
    if trio is not None and trio.lowlevel.in_trio_task():
        running = trio.lowlevel.current_task()
    else:
        with suppress(RuntimeError):
            running = asyncio.current_task()
    return ref(running or threading.current_thread())


class Slot:
    """The right to one call, until it is released or no longer referenced."""

    __slots__ = ("__weakref__", "_limiter", "owner", "released", "stream")

    def __init__(self, limiter: Limiter, owner: object) -> None:
        self._limiter = limiter
        self.owner = owner
        self.released = False
        self.stream = False

    def release(self) -> None:
        """Free the slot; a second time does nothing. Never waits, and may be called from a finalizer."""
        if not self.released:
            self.released = True
            self._limiter.look()


class _Waiter:
    __slots__ = ("__weakref__", "limit", "owner", "signal", "slot")

    def __init__(self, limit: int, owner: object) -> None:
        self.limit = limit
        self.owner = owner
        self.signal = Signal()
        self.slot: Slot | None = None


class Limiter:
    """Counts calls in progress; each caller brings the limit of its own client."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: after a fork, none of the parent's calls is in progress in the child."""
        self._lock = threading.RLock()
        self._changing = False
        self._slots: list[ref[Slot]] = []
        self._queue: dict[ref[_Waiter], None] = {}

    async def acquire(self, transport: Transport, limit: int, timeout: float | None) -> Slot | None:
        """Wait for a slot, at most `timeout` seconds; None if none became free."""
        until = None if timeout is None else transport.now() + timeout
        waiter = _Waiter(limit, current_caller())
        try:
            with self._lock:
                self._queue[ref(waiter)] = None
            self.look()
            left = timeout
            while waiter.slot is None and (left is None or left > 0):
                await transport.wait(waiter.signal, _LOOK_AGAIN if left is None else min(_LOOK_AGAIN, left))
                self.look()
                left = None if until is None else until - transport.now()
        except BaseException:
            # The traceback of a cancelled task may keep a reference to the waiter and its slot.
            self._leave(waiter)
            if waiter.slot is not None:
                waiter.slot.release()
            raise
        if waiter.slot is None:
            self._leave(waiter)
        return waiter.slot

    async def acquire_in_time(
        self,
        transport: Transport,
        limit: int,
        timeouts: Timeouts,
        deadline: float | None,
        problem: Callable[[], str],
    ) -> Slot:
        """Wait for a slot, as long as a call may wait for one.

        Raises:
            QueueTimeoutError, TotalTimeoutError: No slot became free in time; `problem` says what holds them.
        """
        left = None if deadline is None else max(0.0, deadline - transport.now())
        total = left is not None and (timeouts.queue is None or left <= timeouts.queue)
        slot = await self.acquire(transport, limit, left if total else timeouts.queue)
        if slot is not None:
            return slot
        if total:
            raise total_timeout_error(timeouts.total, problem())
        raise QueueTimeoutError(f"nothing became free within queue_timeout={timeouts.queue or 0:g} s: {problem()}")

    def taken(self) -> int:
        """Return how many slots are taken."""
        return sum(1 for known in list(self._slots) if (slot := known()) is not None and not slot.released)

    def holds_stream(self) -> bool:
        """Whether the running thread or task holds the slot of an open stream."""
        owner = current_caller()
        slots = [known() for known in list(self._slots)]
        return any(slot and slot.stream and not slot.released and slot.owner == owner for slot in slots)

    def look(self, _: object = None) -> None:
        """Give free slots to the longest waiting callers."""
        with self._lock:
            if self._changing:
                return  # a finalizer inside this very block
            self._changing = True
            try:
                self._serve()
            finally:
                self._changing = False

    def _serve(self) -> None:
        # An exception may end this after any step; the next caller continues there. A waiter with a slot is woken
        # and then removed; one that no longer exists is removed.
        for known in tuple(self._queue):
            waiter = known()
            if waiter is not None:
                if waiter.slot is None:
                    if not self._is_free(waiter.limit):
                        break
                    slot = Slot(self, waiter.owner)
                    self._slots.append(ref(slot, self.look))
                    waiter.slot = slot
                    del slot
                if not waiter.signal.set() and waiter.slot is not None:
                    waiter.slot.released = True  # its event loop is closed
            self._queue.pop(known, None)

    def _is_free(self, limit: int) -> bool:
        if len(self._slots) >= limit:
            self._slots = [known for known in self._slots if (slot := known()) is not None and not slot.released]
        return len(self._slots) < limit

    def _leave(self, waiter: _Waiter) -> None:
        with self._lock:
            self._queue.pop(ref(waiter), None)
        self.look()  # those behind may have a higher limit


shared_limiters: Registry[Limiter] = Registry(Limiter, Limiter.reset)
