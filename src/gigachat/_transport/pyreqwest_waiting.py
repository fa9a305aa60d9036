"""How callers wait for coroutines of pyreqwest.

Such a coroutine runs in the runtime of pyreqwest, which is a thread, and wakes its caller through the running event
loop. An async caller has one. For a blocking caller, `Waiting` stands in its place: the caller waits on a lock, so that
a signal is handled at once. A coroutine that is no longer wanted is always told so.
"""

from __future__ import annotations

import operator
from asyncio import CancelledError
from contextlib import suppress
from functools import partial
from threading import Lock
from types import coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from gigachat._transport import event_loops
from gigachat._transport.pyreqwest_workers import SLICE
from gigachat._transport.workarounds import running_loop_or_none, set_running_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

LockType = type(Lock())

T = TypeVar("T")


_call: Any = operator.call


class NotAwaitedError(Exception):
    """The result did not come in time, or the reading was interrupted; the coroutine has ended."""


class _Wakeup(tuple[Any]):
    """What a blocking caller waits for, in the place of a future: a lock, which is held until then.

    A coroutine takes the lock out by iterating. No Python code may run in the caller's thread on behalf of a coroutine:
    an exception of a signal handler in it would be a panic of pyreqwest.
    """

    __slots__ = ()

    def done(self) -> bool:
        """Whether the caller was woken; called in the runtime's thread, as is `set_result`."""
        return not self[0].locked()

    def set_result(self, _: object) -> None:
        """Wake the caller."""
        try:  # cheaper than `suppress`
            self[0].release()
        except RuntimeError:  # it is awake already
            return


class _Loop:
    """What pyreqwest asks of the running event loop."""

    __slots__ = ("_wakeups", "create_future")

    call_soon_threadsafe: Any = staticmethod(_call)
    """Call a function at once, in the runtime's thread."""

    def __init__(self) -> None:
        self._wakeups: list[_Wakeup] = []
        self.create_future = self._wakeups.pop

    def step(self, step: Callable[[Any], Any], argument: object) -> Any:
        """Run a coroutine until it waits, and return the lock for which it waits; None if it need not."""
        if not self._wakeups:
            lock = Lock()
            lock.acquire()
            self._wakeups.append(_Wakeup((lock,)))
        stand_in: Any = self
        before = running_loop_or_none()
        try:
            set_running_loop(stand_in)
            return step(argument)
        finally:
            set_running_loop(before)

    def cancel(self, steps: Any) -> None:
        """End a coroutine whose result is no longer wanted."""
        with suppress(CancelledError, StopIteration, Exception):
            self.step(steps.throw, CancelledError())
        steps.close()


class Reading:
    """The wait of one reader, which another thread or task can interrupt."""

    __slots__ = ("_future", "interrupted")

    def __init__(self) -> None:
        self.interrupted = False
        self._future: Any = None

    def waits_for(self, future: Any) -> None:
        """Note what the reader waits for; an interrupt that came before is not lost.

        Args:
            future: A lock, the future of an event loop, or None if there is nothing to wait for.
        """
        self._future = future
        if self.interrupted and future is not None:
            _end(future)

    def interrupt(self, loop: event_loops.Loop | None = None) -> None:
        """Wake the reader.

        Args:
            loop: The event loop of the reader, if it is a task.
        """
        self.interrupted = True
        if (future := self._future) is None:
            return
        if loop is None:
            _end(future)
        else:
            event_loops.call_soon(loop, partial(_end, future))


def _end(future: Any) -> None:
    if isinstance(future, LockType):
        with suppress(RuntimeError):  # the reader is awake already
            future.release()
    else:
        future.cancel()


def result_of(work: Awaitable[T], reading: Reading, timeout: float | None = None) -> T:
    """Wait for the result of a coroutine of pyreqwest in a thread.

    Raises:
        NotAwaitedError: The timeout elapsed, or the reading was interrupted.
    """
    steps: Any = work
    loop = _Loop()
    try:
        while True:
            lock = loop.step(steps.send, None)
            reading.waits_for(lock)
            if not (lock is None or _acquired(lock, timeout)) or reading.interrupted:
                raise NotAwaitedError
    except StopIteration as done:
        value: T = done.value
        return value
    except BaseException:
        loop.cancel(steps)
        raise


def _acquired(lock: Any, timeout: float | None) -> bool:
    if timeout is not None:
        return bool(lock.acquire(timeout=timeout))
    while not lock.acquire(timeout=SLICE):
        pass
    return True


def result_at_once(work: Awaitable[object]) -> None:
    """Run a coroutine of pyreqwest that need not wait, in any thread or finalizer."""
    steps: Any = work
    with suppress(StopIteration, Exception):
        _Loop().step(steps.send, None)
        steps.close()


@coroutine
def awaited(work: Awaitable[T], reading: Reading) -> Generator[Any, Any, T]:
    """Await the result of a coroutine of pyreqwest in a task.

    Raises:
        NotAwaitedError: The reading was interrupted.
    """
    steps: Any = work
    step, argument = steps.send, None
    ended_by: BaseException | None = None
    while True:
        try:
            future = step(argument)
        except (Exception, CancelledError) as end:
            if ended_by is not None:  # even if the result came at the same moment: a cancellation must not be lost
                break
            if isinstance(end, StopIteration):
                value: T = end.value
                return value
            raise
        reading.waits_for(future)
        try:
            yield future
        except BaseException as error:
            ended_by = error
            step, argument = steps.throw, error
        else:
            step, argument = steps.send, None
    if isinstance(ended_by, CancelledError) and reading.interrupted and not event_loops.is_cancelled():
        raise NotAwaitedError from None
    raise ended_by
