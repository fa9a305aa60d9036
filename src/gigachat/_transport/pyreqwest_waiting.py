"""How callers wait for coroutines of pyreqwest.

Such a coroutine runs in the runtime of pyreqwest, which is a thread, and wakes its caller through the running event
loop. An async caller has one. For a blocking caller, `Waiting` stands in its place: the caller waits on a lock, so that
a signal is handled at once. A coroutine that is no longer wanted is always told so.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from contextlib import suppress
from threading import Lock
from types import coroutine
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gigachat._transport import event_loops
from gigachat._transport.workarounds import running_loop_or_none, set_running_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator

T = TypeVar("T")

_SLICE = 0.1 if sys.platform == "win32" else -1  # Ctrl-C does not wake who waits for a lock on Windows


class NotAwaitedError(Exception):
    """The result did not come in time, or the reading was interrupted; the coroutine has ended."""


class _Wakeup:
    """What a blocking caller waits for, in the place of a future."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()
        self._done = False

    def done(self) -> bool:
        return self._done

    def set_result(self, _: object) -> None:
        self._done = True
        with suppress(RuntimeError):  # the caller is awake already
            self._lock.release()

    def cancel(self) -> None:
        self.set_result(None)

    def wait(self, timeout: float | None) -> bool:
        if timeout is not None:
            return self._lock.acquire(timeout=timeout)
        while not self._lock.acquire(timeout=_SLICE):
            pass
        return True

    def __iter__(self) -> Iterator[Self]:
        yield self

    __await__ = __iter__


class _Loop:
    """What pyreqwest asks of the running event loop."""

    def create_future(self) -> _Wakeup:
        return _Wakeup()

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: object) -> None:
        callback(*arguments)


_loop: Any = _Loop()


class Reading:
    """The wait of one reader, which another thread or task can interrupt."""

    __slots__ = ("_future", "interrupted")

    def __init__(self) -> None:
        self.interrupted = False
        self._future: Any = None

    def waits_for(self, future: Any) -> None:
        """Note what the reader waits for; an interrupt that came before is not lost."""
        self._future = future
        if self.interrupted:
            future.cancel()

    def interrupt(self, call: Callable[[Callable[[], object]], object] | None = None) -> None:
        """Wake the reader.

        Args:
            call: Calls a function in the reader's event loop.
        """
        self.interrupted = True
        if (future := self._future) is not None:
            (call or _here)(future.cancel)


def _here(function: Callable[[], object]) -> None:
    function()


def result_of(work: Awaitable[T], reading: Reading, timeout: float | None = None) -> T:
    """Wait for the result of a coroutine of pyreqwest in a thread.

    Raises:
        NotAwaitedError: The timeout elapsed, or the reading was interrupted.
    """
    steps: Any = work
    while True:
        try:
            wakeup = _step(steps.send, None)
        except StopIteration as done:
            value: T = done.value
            return value
        try:
            reading.waits_for(wakeup)
            came = wakeup.wait(timeout)
        except BaseException:
            _cancel(steps)
            raise
        if not came or reading.interrupted:
            _cancel(steps)
            raise NotAwaitedError


def _step(step: Callable[[Any], Any], argument: object) -> Any:
    before = running_loop_or_none()
    try:
        set_running_loop(_loop)
        return step(argument)
    finally:
        set_running_loop(before)


def _cancel(steps: Any) -> None:
    with suppress(CancelledError, StopIteration, Exception):
        _step(steps.throw, CancelledError())
    steps.close()


def result_at_once(work: Awaitable[object]) -> None:
    """Run a coroutine of pyreqwest that need not wait, in any thread or finalizer."""
    steps: Any = work
    with suppress(StopIteration, Exception):
        _step(steps.send, None)
        steps.close()


@coroutine
def awaited(work: Awaitable[T], reading: Reading) -> Generator[Any, Any, T]:
    """Await the result of a coroutine of pyreqwest in a task.

    Raises:
        NotAwaitedError: The reading was interrupted.
    """
    steps: Any = work
    step, argument = steps.send, None
    while True:
        try:
            future = step(argument)
        except StopIteration as done:
            value: T = done.value
            return value
        except CancelledError:
            if reading.interrupted and not event_loops.is_cancelled():
                raise NotAwaitedError from None
            raise
        reading.waits_for(future)
        try:
            yield future
        except BaseException as error:
            step, argument = steps.throw, error
        else:
            step, argument = steps.send, None

