"""Threads of a job: an event loop for blocking callers, one in each process, and a reader of rows."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

T = TypeVar("T")

_lock = threading.Lock()
_loop: tuple[int, asyncio.AbstractEventLoop] | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this process that runs in a daemon thread; a process that was forked has its own."""
    global _loop
    with _lock:
        if _loop is None or _loop[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="gigachat-bulk", daemon=True).start()
            _loop = os.getpid(), loop
        return _loop[1]


def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that runs in the loop of the background; an interrupted caller cancels it."""
    future = asyncio.run_coroutine_threadsafe(coroutine, background_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def iterated(items: AsyncIterator[T]) -> Iterator[T]:
    """Iterate over items of an async generator, which runs in the loop of the background."""

    async def following() -> list[T]:
        async for item in items:
            return [item]
        return []

    try:
        while found := call(following()):
            yield from found
    finally:
        call(items.aclose())  # type: ignore[attr-defined]


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
