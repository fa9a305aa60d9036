"""Blocking callers: the background event loop of the process, and Ctrl-C that loses no answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

T = TypeVar("T")

_lock = threading.Lock()
_loop: tuple[int, asyncio.AbstractEventLoop] | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the background event loop of this process, in a daemon thread. A forked process starts its own."""
    global _loop
    with _lock:
        if _loop is None or _loop[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=_run, args=[loop], name="gigachat-bulk", daemon=True).start()
            _loop = os.getpid(), loop
        return _loop[1]


def in_background_loop() -> bool:
    """Whether the caller runs in the background loop, which must not wait for itself."""
    try:
        return _loop is not None and asyncio.get_running_loop() is _loop[1]
    except RuntimeError:
        return False


def _run(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        with suppress(SystemExit, KeyboardInterrupt):  # of a task: they end the loop, but are for its caller
            loop.run_forever()


def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that runs in the background loop; an interrupted caller cancels it.

    Raises:
        RuntimeError: The caller is a function that a job calls in this loop.
    """
    if in_background_loop():
        coroutine.close()
        raise RuntimeError(
            "a function that a job calls, such as prompt=, cannot wait for another job: run that one first"
        )
    future = asyncio.run_coroutine_threadsafe(coroutine, background_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def iterate_blocking(items: AsyncIterator[T]) -> Iterator[T]:
    """Iterate over items of an async generator, which runs in the background loop."""
    task: asyncio.Task[Any] | None = None
    process = os.getpid()

    async def following() -> list[T]:
        nonlocal task
        task = asyncio.current_task()
        async for item in items:
            return [item]
        return []

    async def close() -> None:
        if task is not None:
            await asyncio.wait([task])  # an interrupted caller has cancelled it, and it may not have ended yet
        await items.aclose()  # type: ignore[attr-defined]

    try:
        while found := call(following()):
            yield from found
    finally:
        if in_background_loop():  # the garbage collector runs in any thread
            asyncio.run_coroutine_threadsafe(close(), background_loop())
        # In a child process, the job is the parent's; when the interpreter ends, the loop no longer runs.
        elif process == os.getpid() and not sys.is_finalizing():
            call(close())


class Interrupt:
    """The handler of Ctrl-C: the first one stops a job after its requests in progress, the second one interrupts it.

    It is installed in the main thread only, and only if the program has no handler of its own.
    """

    def __init__(self) -> None:
        self.stop: Callable[[], object] | None = None
        """Stops the job; may be called at any moment, between any two steps of the job."""
        self.stopped = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        if self.stopped and kind is None:
            raise KeyboardInterrupt

    def _handle(self, *_: object) -> None:
        if self.stopped or self.stop is None:
            raise KeyboardInterrupt
        self.stopped = True
        with suppress(RuntimeError):  # the event loop of the job has ended
            self.stop()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
