"""Pauses, waiting and work side by side in each mode: the part of a transport that does not depend on HTTP."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from gigachat._engine.side_by_side import Tasks, in_thread
from gigachat._engine.transport import clock
from gigachat._transport import event_loops

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from gigachat._engine.signals import Signal

T = TypeVar("T")


class BlockingMode:
    """Awaits block the thread."""

    blocking = True
    now = staticmethod(clock)

    async def sleep(self, seconds: float) -> None:
        """Pause the thread."""
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this mode is for

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        """Wait for a signal; whether it was set in time."""
        return signal.wait(timeout)

    async def gather(self, tasks: Iterable[Callable[[], Coroutine[Any, Any, T]]], limit: int) -> list[T | Exception]:
        """Run coroutines side by side, each in a thread, and return their results or exceptions."""
        shared = Tasks(tasks, limit)
        try:
            if shared.workers <= 1:
                await shared.work()
            else:
                for outcome in [shared.work_in_thread() for _ in range(shared.workers)]:
                    outcome.done.wait(None)
                    outcome.result()
        finally:
            shared.stopped = True
        return shared.results()

    async def call(self, function: Callable[[], Any], timeout: float | None, *, awaited: bool) -> Any:
        """Call a function of the user: in this thread, or in one of its own if it is async or has a timeout."""
        if timeout is None and not awaited:
            return function()
        if awaited:
            return await in_thread(self, lambda: asyncio.run(event_loops.within(timeout, function)), timeout)
        return await in_thread(self, function, timeout)

    async def settle(self) -> None:
        """Do nothing: sockets are closed at once."""


class AsyncMode:
    """Awaits suspend the task."""

    blocking = False
    now = staticmethod(clock)

    async def sleep(self, seconds: float) -> None:
        """Pause the task."""
        await event_loops.sleep(seconds)

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        """Wait for a signal; whether it was set in time."""
        return await event_loops.wait(signal, timeout)

    async def gather(self, tasks: Iterable[Callable[[], Coroutine[Any, Any, T]]], limit: int) -> list[T | Exception]:
        """Run coroutines side by side, each in a task, and return their results or exceptions."""
        shared = Tasks(tasks, limit)
        if shared.workers <= 1:
            await shared.work()
        else:
            await event_loops.side_by_side(shared.work, shared.workers)
        return shared.results()

    async def call(self, function: Callable[[], Any], timeout: float | None, *, awaited: bool) -> Any:
        """Call a function of the user: in this task if it is async, in a thread otherwise."""
        if awaited:
            return await event_loops.within(timeout, function)
        return await event_loops.within(None, lambda: in_thread(self, function, timeout))

    async def settle(self) -> None:
        """Let the event loop close sockets that were given up."""
        if not event_loops.in_trio():
            await event_loops.sleep(0)
