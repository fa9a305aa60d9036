"""The event loop a caller runs in, asyncio's or trio's: how to wait in it, and how to reach it from anywhere else.

A loop stands for itself: asyncio's as its object, trio's as its token. Nothing here knows HTTP.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from types import coroutine
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

try:
    import trio

    _trio_is_there = True
except (ImportError, NotImplementedError):  # whether it is there is up to the user; the HTTP library asks the same way
    _trio_is_there = False

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    import trio  # noqa: TC004 - always there for the type checkers

    from gigachat._engine.io import Signal

    Loop: TypeAlias = asyncio.AbstractEventLoop | trio.lowlevel.TrioToken

__all__ = ["is_closed", "running_loop", "sleep", "spawn", "unwatched", "wait"]

T = TypeVar("T")


def _in_trio() -> bool:
    return _trio_is_there and trio.lowlevel.in_trio_task()


def running_loop() -> Loop:
    """Return the loop that runs in this thread.

    Raises:
        RuntimeError: None does.
    """
    return trio.lowlevel.current_trio_token() if _in_trio() else asyncio.get_running_loop()


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
    if _in_trio():
        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


async def wait(signal: Signal, timeout: float | None) -> bool:
    """Wait for a signal; whether it came in time."""
    event = trio.Event() if _in_trio() else asyncio.Event()
    loop = running_loop()

    def wake() -> None:
        _soon(loop, event.set)

    signal.subscribe(wake)
    try:
        if _in_trio():
            with trio.move_on_after(float("inf") if timeout is None else timeout):
                await event.wait()
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await event.wait()
    finally:
        signal.unsubscribe(wake)
    return event.is_set()


def spawn(loop: Loop, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Have a loop do something when it can, from any thread and from finalizers; nothing if it has ended."""
    with suppress(RuntimeError):
        _soon(loop, lambda: _start(loop, work))


def _soon(loop: Loop, callback: Callable[[], object]) -> None:
    if isinstance(loop, asyncio.AbstractEventLoop):
        loop.call_soon_threadsafe(callback)
    else:
        loop.run_sync_soon(callback)


_tasks: set[asyncio.Task[None]] = set()


def _start(loop: Loop, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if isinstance(loop, asyncio.AbstractEventLoop):
        task = loop.create_task(work())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
    else:
        trio.lowlevel.spawn_system_task(work)


@coroutine
def unwatched(work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await; the async generators that begin in its first step are left alone by the loop and by the collector.

    A loop that ends, and a collector that finds them, would close one inside another at the same time, and complain
    that they are running. Whoever begins them so frees by himself what they hold.
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
