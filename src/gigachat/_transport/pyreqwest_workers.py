"""Threads that make blocking calls of pyreqwest for the main thread.

While pyreqwest blocks, no signal is handled. So the main thread, the only one that handles signals, waits on a lock
while a worker makes the call. Any other thread makes it itself.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

SLICE = 0.1 if sys.platform == "win32" else -1  # Ctrl-C does not wake who waits for a lock on Windows


class _Job:
    """A call, and how its outcome is undone if the main thread no longer wants it."""

    __slots__ = ("_call", "_undo", "abandoned", "done", "error", "value")

    def __init__(self, call: Callable[[], Any], undo: Callable[[], None]) -> None:
        self._call = call
        self._undo = undo
        self.abandoned = False
        self.done = threading.Lock()
        self.done.acquire()
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Make the call, in a worker."""
        try:
            self.value = self._call()
        except BaseException as error:
            self.error = error
        self.done.release()
        if self.abandoned:
            self._undo()

    def abandon(self) -> None:
        """Have the outcome undone: here if it has come, otherwise in the worker."""
        self.abandoned = True
        if not self.done.locked():
            self._undo()


class _Worker:
    """A thread that makes one call after another."""

    def __init__(self) -> None:
        self.ended = False
        self._job: _Job | None = None
        self._go = threading.Lock()
        self._go.acquire()
        threading.Thread(target=self._work, name="gigachat-pyreqwest", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._go.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            job.run()
            del job  # its connection

    def start(self, job: _Job) -> None:
        """Have a job done."""
        self._job = job
        self._go.release()

    def end(self) -> None:
        """End the thread, after the job that it does."""
        self.ended = True
        self._job = None
        with suppress(RuntimeError):  # it is about to look for a job
            self._go.release()


_idle: deque[_Worker] = deque()


def call(function: Callable[[], T], undo: Callable[[], None]) -> T:
    """Call a function of pyreqwest that blocks.

    Args:
        function: The function.
        undo: Releases what the function holds, when an exception of a signal handler ends the wait. It is called in the
            thread of the function, after it, and may be called twice.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return function()
    job = _Job(function, undo)
    worker: _Worker | None = None
    try:
        worker = _taken()
        worker.start(job)
        while not job.done.acquire(timeout=SLICE):
            pass
        _idle.append(worker)
    except BaseException:
        job.abandon()
        if worker is not None:
            worker.end()
        raise
    if job.error is not None:
        raise job.error
    value: T = job.value
    return value


def _taken() -> _Worker:
    while _idle:
        worker = _idle.pop()
        if not worker.ended:
            return worker
    return _Worker()
