"""Responses of pyreqwest: their bodies are read as they come, and decoded and bounded here."""

from __future__ import annotations

import sys
from abc import abstractmethod
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import httpcore2
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.request import StreamRequest

from gigachat._engine.side_by_side import OverdueError
from gigachat._engine.transport import Stage, clock
from gigachat._transport import connections, event_loops, forks
from gigachat._transport.errors import failure, forget_variables
from gigachat._transport.pyreqwest_errors import translated
from gigachat._transport.pyreqwest_waiting import NotAwaitedError, Reading, awaited, result_at_once, result_of
from gigachat._transport.pyreqwest_workers import call
from gigachat._transport.responses import BodyReader

if TYPE_CHECKING:
    from pyreqwest.bytes import Bytes
    from pyreqwest.http import HeaderMap
    from pyreqwest.request import SyncStreamRequest
    from pyreqwest.response import Response, SyncResponse

    from gigachat._engine.limiter import Slot
    from gigachat._engine.transport import Request

_DRAIN_PIECES = 16
_ERRORS = (PyreqwestError, NotAwaitedError, httpcore2.ReadTimeout)


class BodyResponse(BodyReader):
    """A response whose body has not been read.

    Args:
        request: What was sent.
        opened: The request of pyreqwest, which holds the connection until it is left.
        response: Its response.
        slot: The slot of the connection.
    """

    __slots__ = ("_left", "_opened", "_process", "_reader", "_reading", "_released", "_request", "_slot")

    def __init__(self, request: Request, opened: Any, response: Response | SyncResponse, slot: Slot | None) -> None:
        super().__init__(response.status, _headers(response.headers))
        length = self.headers.get("content-length", "")
        unknown = self._encoded or "transfer-encoding" in self.headers or not length.isdecimal()
        self._left = None if unknown else int(length)  # bytes of the body still to come
        self._request = request
        self._opened = opened
        self._reader: Any = response.body_reader
        self._slot = slot
        self._reading = Reading()
        self._process = forks.process
        self._released = False

    @abstractmethod
    async def _raw_piece(self, timeout: float | None = None) -> bytes:
        """Return the next piece of the body, empty at its end; raises NotAwaitedError."""

    async def receive(self) -> bytes:
        """Return the next piece of the decoded body, empty at its end."""
        if self._encoded:
            return await self._decoded()
        piece = b"" if self._released and not self._left else await self._next_piece()
        if self._left is not None:
            self._left -= len(piece)
        if not piece or self._left == 0:
            await self._end()  # the next piece would be empty, and waiting for it costs as much as for the others
        return piece

    async def _next_piece(self) -> bytes:
        if self._process != forks.process:
            raise forks.inherited_response()
        outer = sys.exception()
        try:
            if self._request.deadline is not None and clock() >= self._request.deadline:
                raise httpcore2.ReadTimeout
            return await self._raw_piece()
        except BaseException as error:
            forget_variables(error, outer)
            self._give_up()
            if isinstance(error, _ERRORS):
                interrupted = httpcore2.ReadError(connections.ABORTED) if isinstance(error, NotAwaitedError) else error
                about, stage = translated(interrupted, Stage.READING)
                raise failure(about, self._request, stage, outer=outer) from None
            raise

    async def _end(self) -> None:
        # The runtime has put the connection back already.
        self._released = True
        if self._slot is not None:
            self._slot.release()

    async def finish(self) -> None:
        """Release the connection after an end mark: bytes already received are read, so that it can be reused."""
        if self._released or self._process != forks.process:
            return
        try:
            wait = 10 * connections.DRAIN_WAIT  # the bytes come through another thread
            for _ in range(_DRAIN_PIECES):
                if not await self._raw_piece(wait):
                    await self._end()
                    return
        except (PyreqwestError, NotAwaitedError):
            pass
        finally:
            self._give_up()

    async def close(self) -> None:
        """Release the connection at once."""
        self._give_up()

    @abstractmethod
    async def interrupt(self) -> None:
        """Wake the reader."""

    def abandon(self) -> bool:
        """Release the connection from a finalizer; whether it was open in this process."""
        try:
            return self._give_up()
        except BaseException:  # of a signal handler: finalizers ignore it, and the caller has more to release
            return True

    def _give_up(self) -> bool:
        if self._released:
            return False
        self._released = True
        inherited = self._process != forks.process
        try:
            if inherited:
                forks.keep(self._opened, self._reader)  # the runtime that would close it is in the parent
            else:
                leave(self._opened)
        finally:
            if self._slot is not None:
                self._slot.release()
        return not inherited


def leave(opened: StreamRequest | SyncStreamRequest) -> None:
    """Close a request and its response, whatever is still to come. One that has no response yet cannot be closed."""
    if isinstance(opened, StreamRequest):
        result_at_once(opened.__aexit__(None, None, None))
    else:
        with suppress(RuntimeError):  # it has no response, or was closed
            opened.__exit__(None, None, None)


def _headers(found: HeaderMap) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in _pairs(found):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _pairs(found: HeaderMap) -> list[tuple[str, str]]:
    try:
        return list(found.items())
    except ValueError:  # of a value that is not ASCII, which it does not give away
        return [pair for name in dict.fromkeys(found.keys()) for pair in _ascii_pairs(found, name)]


def _ascii_pairs(found: HeaderMap, name: str) -> list[tuple[str, str]]:
    try:
        return [(name, value) for value in found.getall(name)]
    except ValueError:
        return []


class BlockingResponse(BodyResponse):
    """A response that a thread reads."""

    __slots__ = ()

    async def _raw_piece(self, timeout: float | None = None) -> bytes:
        piece = result_of(self._reader.read_chunk(), self._reading, timeout)
        return b"" if piece is None else piece.to_bytes()

    async def interrupt(self) -> None:
        """Wake the thread that reads."""
        if not self._released and self._process == forks.process:
            self._reading.interrupt()


class WorkerResponse(BodyResponse):
    """A response that a thread reads by blocking calls: they cost least, and no other thread can wake their caller."""

    __slots__ = ("_first",)

    def __init__(self, request: Request, opened: SyncStreamRequest, begun: Begun, slot: Slot | None) -> None:
        super().__init__(request, opened, begun.response, slot)
        self._first: Begun | None = begun

    async def read(self, limit: int, option: str = "max_response_bytes=") -> bytes:
        """Return the whole decoded body and release the connection."""
        piece = None if self._first is None else self._first.piece
        if piece is None or len(piece) != self._left or len(piece) > limit or self._process != forks.process:
            return await super().read(limit, option)
        await self._end()
        return piece.to_bytes()

    async def _raw_piece(self, timeout: float | None = None) -> bytes:
        first, self._first = self._first, None
        if self._reading.interrupted or timeout is not None:
            raise NotAwaitedError
        if first is None:
            piece = call(self._reader.read_chunk, partial(leave, self._opened))
        elif first.error is None:
            piece = first.piece
        else:
            raise first.error
        return b"" if piece is None else piece.to_bytes()

    async def interrupt(self) -> None:
        """Have the next read fail."""
        if not self._released and self._process == forks.process:
            self._reading.interrupt()


class Begun:
    """A response with the first piece of its body, or the error that came in its place.

    Args:
        opened: The request, which is sent.
    """

    __slots__ = ("error", "piece", "response", "status")

    def __init__(self, opened: SyncStreamRequest) -> None:
        self.response = opened.__enter__()
        self.status = self.response.status
        self.piece: Bytes | None = None
        self.error: PyreqwestError | None = None
        try:
            self.piece = self.response.body_reader.read_chunk()  # in the same call of a worker
        except PyreqwestError as error:
            self.error = error


class AsyncResponse(BodyResponse):
    """A response that a task reads."""

    __slots__ = ("_loop",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._loop = event_loops.running_loop()

    async def _raw_piece(self, timeout: float | None = None) -> bytes:
        reading = partial(awaited, self._reader.read_chunk(), self._reading)
        try:
            piece = await (reading() if timeout is None else event_loops.within(timeout, reading))
        except OverdueError:
            raise NotAwaitedError from None
        return b"" if piece is None else piece.to_bytes()

    async def interrupt(self) -> None:
        """Wake the task that reads."""
        if not self._released and self._process == forks.process:
            self._reading.interrupt(self._loop)
