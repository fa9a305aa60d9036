"""The protocol between the engine and a transport.

A transport sends one request and returns its response. Sign-in, retries and endpoints are the engine's. There is one
transport for each mode: its coroutines suspend in async mode and block in blocking mode. This module does no I/O.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from typing import IO

    from gigachat._engine.signals import Signal
    from gigachat.exceptions import GigaChatException

T = TypeVar("T")

# Seconds on a clock that never jumps and, where the system has one, includes the time the machine sleeps.
clock = partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic


class Timeouts(NamedTuple):
    """Longest waits in seconds; None waits for ever."""

    connect: float | None
    read: float | None
    write: float | None
    queue: float | None
    total: float | None = None
    """Longest time of the whole call."""


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
        """Whether it can be sent again from its beginning."""
        if isinstance(self.file, bytes):
            return True
        seekable = getattr(self.file, "seekable", None)
        return seekable is not None and seekable()


@dataclass(slots=True)
class Request:
    """A request as it is sent; names of headers are in lower case."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    timeouts: Timeouts
    query: Mapping[str, str | Sequence[str]] | None = field(default=None, repr=False)
    upload: Upload | None = None
    """The body instead of `content`."""
    sign_in: bool = False
    """Sign-in takes no connection from requests that wait for it, and is seen by no hook."""
    deadline: float | None = None
    """Time on the engine's clock at which `timeouts.total` ends."""

    @property
    def sendable_again(self) -> bool:
        """Whether its body can be sent again from its beginning."""
        return self.upload is None or self.upload.repeatable


class Response(Protocol):
    """A response whose status and headers have been received and whose body has not been read."""

    @property
    def status_code(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """HTTP headers, their names in lower case."""
        ...

    async def read(self, limit: int, option: str = "max_response_bytes=") -> bytes:
        """Return the whole decoded body and release the connection.

        Args:
            limit: Most bytes.
            option: What sets the limit, for the error.

        Raises:
            Failure: The body is not complete.
            APIResponseValidationError: It has more than `limit` bytes, or cannot be decoded.
        """
        ...

    async def receive(self) -> bytes:
        """Return the next piece of the decoded body, empty at its end; raises as `read`."""
        ...

    async def finish(self) -> None:
        """Release the connection after an end mark: bytes already received are read, so that it can be reused."""
        ...

    async def close(self) -> None:
        """Release the connection at once, whatever is still to come."""
        ...

    async def interrupt(self) -> None:
        """Wake the thread or task that waits in `receive`; it must close the response."""
        ...

    def abandon(self) -> bool:
        """Release the connection from a finalizer, without waiting; whether it was open in this process."""
        ...


class Transport(Protocol):
    """The I/O that the engine needs; one object for each mode."""

    @property
    def blocking(self) -> bool:
        """Whether its awaits block."""
        ...

    def now(self) -> float:
        """Return seconds on the engine's clock."""
        ...

    async def send(self, request: Request) -> Response:
        """Send a request and return when the headers of the response are received.

        Raises:
            Failure: Another attempt may succeed.
            GigaChatException: No other attempt can succeed.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause the caller."""
        ...

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        """Wait for a signal; whether it was set in time."""
        ...

    async def gather(self, tasks: Iterable[Callable[[], Coroutine[Any, Any, T]]], limit: int) -> list[T | Exception]:
        """Run coroutines of this mode side by side; return their results or exceptions, in the order of the tasks.

        Args:
            tasks: Functions that return the coroutines, taken from the iterable when their turn comes.
            limit: Most coroutines in progress. A single one runs in the caller's thread or task.
        """
        ...

    async def call(self, function: Callable[[], Any], timeout: float | None, *, awaited: bool) -> Any:
        """Call a function of the user, which may block, and return its result.

        A blocking caller runs it in its own thread if it needs no timeout and is not async, and an async function in
        an event loop of its own. An async caller runs a function that is not async in a thread.

        Args:
            function: Function without arguments.
            timeout: Longest wait in seconds.
            awaited: Whether the result is awaited.

        Raises:
            OverdueError: The function did not return in time.
        """
        ...

    async def close(self) -> None:
        """Close idle connections and refuse further requests; requests in progress finish."""
        ...


class Stage(Enum):
    """The progress of a request when it failed. It decides whether the request may be retried."""

    CONNECTING = auto()
    """The service cannot have received it."""
    WAITING = auto()
    """The service may have received it; no response came."""
    READING = auto()
    """A response had begun."""


class Failure(Exception):
    """A request without a complete response: the error for the caller, and the stage."""

    def __init__(self, stage: Stage, error: GigaChatException) -> None:
        super().__init__(stage, error)
        self.stage = stage
        self.error = error
