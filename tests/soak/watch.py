"""What the process has open, what it says that nobody asked for, and who hangs.

Descriptors and memory are read from `/proc`; where there is none, they are not counted.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import re
import sys
import threading
import time
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROC = Path("/proc/self")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
_OF_CONNECTIONS = (
    "httpx2",
    "httpcore2",
    "h11",
    "gigachat._transport",
    "gigachat._engine.event_stream",
    "gigachat.client",
)
_NOT_OURS = re.compile(
    # CPython's wrap_socket, which forgets the socket if the other side has reset it already, so that it has no peer.
    r"unclosed <ssl\.SSLSocket [^>]*laddr=\([^)]*\)>"
)
"""Warnings that the libraries below give by themselves, whoever calls them."""
_VALUES = ("URL", "ParseResult", "Timeout", "Limits", "_Configuration")  # of which caches keep some


@dataclass(frozen=True)
class Sample:
    """What is open at one moment; memory in MiB, blocks of it as Python counts those in use."""

    descriptors: int
    memory: float
    blocks: int
    threads: int
    tasks: int
    connections: int


class Noise:
    """Everything said that nobody asked for: warnings, exceptions nobody took, errors in the log."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.counts: Counter[str] = Counter()
        self.not_ours = 0
        self._tell = tell

    def listen(self) -> None:
        """Hear all from now on."""
        warnings.simplefilter("always")
        warnings.showwarning = self._warning
        sys.unraisablehook = lambda raised: self._hear("exceptions nobody could take", raised.exc_value, raised.object)
        threading.excepthook = lambda raised: self._hear("threads that died", raised.exc_value, raised.thread)
        logging.getLogger().addHandler(_Handler(self))

    def of_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what an event loop would log; its exception handler."""
        self._hear("exceptions never retrieved", context.get("exception"), context.get("message"))

    def _warning(
        self, message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
    ) -> None:
        if str(message).startswith("an async stream was left open"):
            return  # on purpose, by the scenarios
        if _NOT_OURS.fullmatch(str(message)):
            self.not_ours += 1
            return
        self._hear(category.__name__, None, f"{filename}:{lineno}: {message}")

    def _hear(self, kind: str, error: BaseException | None, what: object) -> None:
        self.counts[kind] += 1
        told = "".join(traceback.format_exception(error)) if error is not None else ""
        self._tell(f"{kind}: {what} {told}".strip())

    def log(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._hear(f"log records of {record.name}", error, record.getMessage())


class _Handler(logging.Handler):
    def __init__(self, noise: Noise) -> None:
        super().__init__(logging.WARNING)
        self._noise = noise

    def emit(self, record: logging.LogRecord) -> None:
        self._noise.log(record)


class Watch:
    """Takes samples, and ends the process if a step hangs.

    Args:
        longest: Seconds a step may take.
        connections: Tells how many connections the server holds.
        dying: Called before the process ends because of a step that hangs.
    """

    def __init__(self, longest: float, connections: Callable[[], int], dying: Callable[[str], None]) -> None:
        self.samples: list[tuple[float, Sample]] = []
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.recent: deque[str] = deque(maxlen=40)
        self.longest = 0.0  # seconds a step took
        self._limit = longest
        self._connections = connections
        self._dying = dying
        self._steps: dict[object, tuple[str, float]] = {}
        self._started = time.monotonic()

    def sample(self) -> Sample:
        """Return what is open now."""
        tasks = 0
        for loop in tuple(self.loops):
            try:
                tasks += len(asyncio.all_tasks(loop))
            except RuntimeError:  # they changed meanwhile
                continue
        there = _PROC.exists()
        return Sample(
            len(os.listdir(_PROC / "fd")) if there else 0,
            int((_PROC / "statm").read_text().split()[1]) * _PAGE / 2**20 if there else 0.0,
            sys.getallocatedblocks(),
            threading.active_count(),
            tasks,
            self._connections(),
        )

    def look(self) -> None:
        """Take a sample, and end the process if a step has taken too long."""
        now = time.monotonic()
        faulthandler.dump_traceback_later(2 * self._limit, exit=True)  # if even this is not reached any more
        self.samples.append((now - self._started, self.sample()))
        for what, since in tuple(self._steps.values()):
            if now - since > self._limit:
                faulthandler.dump_traceback(all_threads=True)
                for loop in tuple(self.loops):
                    for task in asyncio.all_tasks(loop):
                        task.print_stack(file=sys.stderr)
                self._dying(f"hangs for {now - since:.0f} s: {what}")
                os._exit(3)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Have a step watched."""
        key = object()
        begun = time.monotonic()
        self._steps[key] = what, begun
        try:
            yield
        finally:
            del self._steps[key]
            self.longest = max(self.longest, time.monotonic() - begun)


def held() -> Counter[str]:
    """Count the objects of clients, connections and streams, after a collection."""
    for _ in range(3):
        gc.collect()
    kinds = (type(one) for one in gc.get_objects())
    return Counter(
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in kinds
        if kind.__module__.startswith(_OF_CONNECTIONS) and kind.__name__ not in _VALUES
    )
