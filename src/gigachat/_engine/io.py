"""The port: all the engine asks of the outside world, and the driver of its coroutines for blocking callers.

A transport implements `Port` twice, once with awaits that suspend and once with awaits that block. Nothing here
does I/O by itself.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import IO

    from gigachat.exceptions import GigaChatException

__all__ = [
    "Failure",
    "Headers",
    "Port",
    "Request",
    "Response",
    "Signal",
    "Stage",
    "Timeouts",
    "Upload",
    "clock",
    "run",
]

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, because every await in it blocks."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking client awaited something that suspends")


if hasattr(time, "CLOCK_BOOTTIME"):

    def clock() -> float:
        """Return seconds on a clock that never jumps and runs on while the machine sleeps."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:  # pragma: no cover - systems without this clock
    clock = time.monotonic


@dataclass(slots=True, frozen=True)
class Timeouts:
    """Longest waits in seconds; None waits for ever."""

    connect: float | None
    read: float | None
    write: float | None
    queue: float | None


@dataclass(slots=True)
class Upload:
    """A file, sent as multipart/form-data with the fields beside it."""

    file: bytes | IO[bytes] = field(repr=False)
    filename: str
    content_type: str
    fields: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of the file's part."""

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent once more from its beginning."""
        if isinstance(self.file, bytes):
            return True
        seekable = getattr(self.file, "seekable", None)
        return seekable is not None and seekable()


@dataclass(slots=True)
class Request:
    """What is sent, whole."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    timeouts: Timeouts
    query: Mapping[str, str | Sequence[str]] | None = field(default=None, repr=False)
    upload: Upload | None = None
    """The body instead of `content`."""
    sign_in: bool = False
    """Sign-in has connections of its own, so that it never waits for the requests that wait for it."""

    @property
    def sendable_again(self) -> bool:
        """Whether its body, once sent, can be sent from its beginning."""
        return self.upload is None or self.upload.repeatable


class Headers(dict[str, str]):
    """Headers of an answer: names are kept in lower case and looked up without regard to case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's value, or the default."""
        return dict.get(self, name.lower(), default)


class Response(Protocol):
    """An answer whose status and headers are here and whose body is still to come."""

    status_code: int
    headers: Headers

    async def read(self) -> bytes:
        """Return the whole body and free the connection; raises Failure."""
        ...

    async def receive(self) -> bytes:
        """Return the next piece of the body, empty at its clean end; raises Failure."""
        ...

    async def finish(self) -> None:
        """Free the connection after an end mark: what is already here is read, so that it can be kept."""
        ...

    async def close(self) -> None:
        """Free the connection at once, whatever is still to come."""
        ...

    async def interrupt(self) -> None:
        """Have another thread or task that waits for a piece get an end or a Failure at once; it is to close then."""
        ...

    def abandon(self) -> None:
        """Free the connection from a finalizer: takes no lock, waits for nothing."""
        ...


class Port(Protocol):
    """The outside world of one colour."""

    def now(self) -> float:
        """Return seconds on the engine's clock."""
        ...

    async def send(self, request: Request) -> Response:
        """Send a request and return when the answer's headers are here.

        Raises:
            Failure: The request may be worth another attempt.
            GigaChatException: It is not.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause the caller."""
        ...

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        """Wait for a signal; whether it came in time."""
        ...

    async def close(self) -> None:
        """Free all connections; later requests are refused."""
        ...


class Stage(Enum):
    """How far a request had come when it failed; decides whether it may be repeated."""

    CONNECTING = auto()
    """The service cannot have received it."""
    WAITING = auto()
    """The service may have received it; no answer came."""
    READING = auto()
    """An answer had begun."""


class Failure(Exception):
    """A request without an answer: the error for the user and how far the request had come."""

    def __init__(self, stage: Stage, error: GigaChatException) -> None:
        super().__init__(stage, error)
        self.stage = stage
        self.error = error


class Signal:
    """A flag, set once, that threads and tasks of any event loop can wait for together."""

    __slots__ = ("_callbacks", "_lock", "_set")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set = False
        self._callbacks: list[Callable[[], object]] = []

    def set(self) -> bool:
        """Wake all who wait, now and later; False if one of them can no longer be told, its loop being closed."""
        with self._lock:
            self._set = True
            callbacks, self._callbacks = self._callbacks, []
        told = True
        for callback in callbacks:
            try:
                callback()
            except RuntimeError:
                told = False
        return told

    def subscribe(self, callback: Callable[[], object]) -> None:
        """Have a callback run once when the flag is set, at once if it is. It must not block."""
        with self._lock:
            if not self._set:
                self._callbacks.append(callback)
                return
        callback()

    def unsubscribe(self, callback: Callable[[], object]) -> None:
        """Forget a callback that has not run."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return self._set
