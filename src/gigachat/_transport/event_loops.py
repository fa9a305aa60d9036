"""The running event loop, asyncio's or trio's: how to wait in it, and how to call a function in it from elsewhere.

A loop is identified by its object in asyncio and by its token in trio.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from contextlib import suppress
from types import coroutine
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

try:
    import trio

    _trio_is_there = True
except (ImportError, NotImplementedError):  # trio raises the latter on systems it does not support
    _trio_is_there = False

from gigachat._engine.session import run
from gigachat._engine.side_by_side import OverdueError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator

    import trio  # noqa: TC004 - always there for the type checkers

    from gigachat._engine.signals import Signal

    Loop: TypeAlias = asyncio.AbstractEventLoop | trio.lowlevel.TrioToken

T = TypeVar("T")


def in_trio() -> bool:
    """Whether the caller runs in trio."""
    return _trio_is_there and trio.lowlevel.in_trio_task()


def running_loop() -> Loop:
    """Return the running loop.

    Raises:
        RuntimeError: No loop runs in this thread.
    """
    return trio.lowlevel.current_trio_token() if in_trio() else asyncio.get_running_loop()


def in_event_loop() -> bool:
    """Whether the caller runs in a loop."""
    try:
        running_loop()
    except RuntimeError:
        return False
    return True


def is_running(loop: Loop) -> bool:
    """Whether the caller runs in this loop."""
    try:
        return running_loop() is loop
    except RuntimeError:
        return False


def is_closed(loop: Loop) -> bool:
    """Whether a loop has ended."""
    if isinstance(loop, asyncio.AbstractEventLoop):
        return loop.is_closed()
    try:
        loop.run_sync_soon(_nothing)
    except trio.RunFinishedError:
        return True
    return False


def _nothing() -> None:
    pass


async def sleep(seconds: float) -> None:
    """Pause the task."""
    if in_trio():
        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


async def wait(signal: Signal, timeout: float | None) -> bool:
    """Wait for a signal; whether it was set in time."""
    event = trio.Event() if in_trio() else asyncio.Event()
    loop = running_loop()

    def wake() -> None:
        _soon(loop, event.set)

    signal.subscribe(wake)
    try:
        if in_trio():
            with trio.move_on_after(float("inf") if timeout is None else timeout):
                await event.wait()
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await event.wait()
    finally:
        signal.unsubscribe(wake)
    return event.is_set()


async def within(timeout: float | None, work: Callable[[], Awaitable[T]]) -> T:
    """Await the result of a function.

    Raises:
        OverdueError: It did not come within the seconds of the timeout.
        RuntimeError: The function awaited something that was cancelled, while its own task was not.
    """
    try:
        return await _in_time(timeout, work)
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise RuntimeError("the function was cancelled") from error


def is_cancelled() -> bool:
    """Whether the cancellation of the current task was asked for; trio has an exception of its own for that."""
    task = None if in_trio() else asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _in_time(timeout: float | None, work: Callable[[], Awaitable[T]]) -> T:
    if timeout is None:
        return await work()
    if in_trio():
        with trio.move_on_after(timeout) as cancel_scope:
            value = await work()
            if not cancel_scope.cancel_called:  # else the function has ignored it
                return value
    else:
        scope = asyncio.timeout(timeout)
        try:
            async with scope:
                value = await work()
                if not scope.expired():
                    return value
        except TimeoutError:
            if not scope.expired():
                raise
    raise OverdueError from None


async def side_by_side(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Run a coroutine function in a number of tasks, and return when all have ended.

    The first exception of a task cancels the others and is raised by itself, not in a group.
    """
    failures: list[BaseException] = []

    async def noted() -> None:
        try:
            await work()
        except BaseException as error:
            if isinstance(error, _cancellations()):
                raise
            failures.append(error)
            raise _TaskFailedError from None  # SystemExit of a task would end the event loop at once

    try:
        if in_trio():
            async with trio.open_nursery() as nursery:
                for _ in range(count):
                    nursery.start_soon(noted)
        else:
            async with asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(noted())
    except BaseExceptionGroup:
        if not failures:
            raise
        raise failures[0] from None


class _TaskFailedError(Exception):
    """A task failed; the others are cancelled."""


def _cancellations() -> tuple[type[BaseException], ...]:
    return (asyncio.CancelledError, trio.Cancelled) if _trio_is_there else (asyncio.CancelledError,)


def call_soon(loop: Loop, callback: Callable[[], object]) -> None:
    """Call a function in a loop, from any thread and from finalizers; do nothing if the loop has ended."""
    with suppress(RuntimeError):
        _soon(loop, callback)


def _soon(loop: Loop, callback: Callable[[], object]) -> None:
    if isinstance(loop, asyncio.AbstractEventLoop):
        loop.call_soon_threadsafe(callback)
    else:
        loop.run_sync_soon(callback)


def spawn(loop: Loop, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine in a loop, from any thread and from finalizers; do nothing if the loop has ended."""
    call_soon(loop, lambda: _start(loop, work))


_tasks: set[asyncio.Task[None]] = set()


def _start(loop: Loop, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if isinstance(loop, asyncio.AbstractEventLoop):
        task = loop.create_task(work())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
    else:
        trio.lowlevel.spawn_system_task(work)


_ends: dict[Loop, tuple[AsyncGenerator[None], weakref.WeakSet[Any]]] = {}


def close_with_loop(resource: Any) -> None:
    """Have the running loop await `resource.aclose()` when it shuts down, unless the resource no longer exists."""
    loop = running_loop()
    known = _ends.get(loop)
    if known is None:
        for ended in [other for other in list(_ends) if is_closed(other)]:
            _ends.pop(ended, None)
        resources: weakref.WeakSet[Any] = weakref.WeakSet()
        # An event loop that shuts down closes the async generators that were started in it.
        known = _ends[loop] = _until_shutdown(loop, resources, _ends), resources
        run(_begin(known[0]))
    known[1].add(resource)


async def _until_shutdown(loop: Loop, resources: weakref.WeakSet[Any], ends: dict[Loop, Any]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        ends.pop(loop, None)  # at interpreter exit, names of the module may already be None
        for resource in list(resources):
            await resource.aclose()


async def _begin(generator: AsyncGenerator[None]) -> None:
    await anext(generator)


@coroutine
def without_asyncgen_hooks(work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await a coroutine; the loop does not close the async generators that it starts in its first step.

    A loop that ends, or the collector, would close the generators of httpcore2 one inside another at the same time, and
    warn that they are running. The caller must close them.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, _leave)
    try:
        step = work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        sys.set_asyncgen_hooks(*hooks)
    try:
        while True:
            try:
                sent = yield step
            except BaseException as error:
                step = work.throw(error)
            else:
                step = work.send(sent)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


def _leave(_: object) -> None:
    pass
