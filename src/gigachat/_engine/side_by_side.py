"""Work side by side: coroutines of a session by `Transport.gather`, and functions in threads of their own.

The threads are daemons: neither a signal that interrupts the caller nor the exit of the interpreter waits for them.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from gigachat._engine.session import run
from gigachat._engine.signals import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    class Waiter(Protocol):
        """The part of a transport that waits."""

        async def wait(self, signal: Signal, timeout: float | None) -> bool: ...


T = TypeVar("T")


class OverdueError(TimeoutError):
    """A function of the user did not return in time."""


class Outcome(Generic[T]):
    """What a function in a thread returned or raised, once `done` is set."""

    def __init__(self) -> None:
        self.done = Signal()
        self._result: T
        self._error: BaseException | None = None

    def record(self, function: Callable[[], T]) -> None:
        """Call the function and keep its result."""
        try:
            self._result = function()
        except BaseException as error:
            self._error = error
        finally:
            self.done.set()

    def result(self) -> T:
        """Return the function's result, or raise its exception."""
        if self._error is not None:
            raise self._error
        return self._result


def start_thread(function: Callable[[], T]) -> Outcome[T]:
    """Call a function in a daemon thread, with a copy of the caller's context variables."""
    outcome: Outcome[T] = Outcome()
    context = copy_context()
    threading.Thread(target=context.run, args=(outcome.record, function), name="gigachat", daemon=True).start()
    return outcome


async def in_thread(transport: Waiter, function: Callable[[], T], timeout: float | None = None) -> T:
    """Return the result of a function that runs in a thread of its own.

    Cancellation and signals do not stop the thread.

    Args:
        transport: Waits in the caller's mode.
        function: Function without arguments.
        timeout: Longest wait in seconds.

    Raises:
        OverdueError: The function did not return in time. It continues to run.
    """
    outcome = start_thread(function)
    if not await transport.wait(outcome.done, timeout):
        raise OverdueError
    return outcome.result()


class Tasks(Generic[T]):
    """Coroutines to run, shared by workers: each takes the next one when it has finished one.

    Args:
        tasks: Functions that return the coroutines. They are taken from the iterable one by one.
        limit: Most workers.
    """

    def __init__(self, tasks: Iterable[Callable[[], Coroutine[Any, Any, T]]], limit: int) -> None:
        self._lock = threading.Lock()
        waiting = iter(tasks)
        first = list(islice(waiting, max(limit, 1)))
        self._waiting = enumerate(chain(first, waiting))
        self._results: dict[int, T | Exception] = {}
        self.workers = len(first)
        self.stopped = False

    async def work(self) -> None:
        """Run tasks until none is left."""
        while not self.stopped:
            with self._lock:
                index, task = next(self._waiting, (-1, None))
            if task is None:
                return
            try:
                self._results[index] = await task()
            except Exception as error:
                self._results[index] = error

    def work_in_thread(self) -> Outcome[None]:
        """Start a worker of blocking coroutines in a thread."""
        return start_thread(lambda: run(self.work()))

    def results(self) -> list[T | Exception]:
        """Return the results or exceptions, in the order of the tasks."""
        return [self._results[index] for index in sorted(self._results)]
