"""Streams: events off the wire as chunks, once each, until the end mark.

State rules of `EventStream`: new -> open (the request goes out with the first `more` or `open`) -> ended, failed or
closed. The connection and the permit are held in `open` only and freed on every way out of it. What one network piece
brings is handed over at once; an error behind good chunks waits until they are taken. One thread or task reads at a
time; another may close meanwhile, and he who reads then finds the end and frees what is held. `Stream` and
`AsyncStream` are two thin faces; the blocking one never touches an event loop.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from gigachat._engine.call import NO_OPTIONS, StreamCall, json_object, x_headers
from gigachat._engine.io import Failure, run
from gigachat._engine.perform import respond
from gigachat._engine.sse import EventSplitter
from gigachat.exceptions import (
    APIResponseValidationError,
    GigaChatException,
    StreamInterruptedError,
    error_for_status,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from types import TracebackType

    from gigachat._engine.call import RequestOptions
    from gigachat._engine.io import Port, Response
    from gigachat._engine.limits import Permit
    from gigachat._engine.perform import Engine
    from gigachat._engine.sse import Event

__all__ = ["AsyncStream", "EventStream", "Stream"]

ChunkT = TypeVar("ChunkT")
CompletionT = TypeVar("CompletionT")

_REFUSED_TYPES = ("application/json", "text/html", "application/problem+json")
_ERROR_EVENTS = ("error", "response.error")


class EventStream(Generic[ChunkT, CompletionT]):
    """The stream of one call, in the mode of its port."""

    def __init__(
        self,
        engine: Engine,
        port: Port,
        call: StreamCall[ChunkT, CompletionT],
        options: RequestOptions = NO_OPTIONS,
    ) -> None:
        self.call = call
        self._engine = engine
        self._port = port
        self._options = options
        self._splitter = EventSplitter()
        self._response: Response | None = None
        self._permit: Permit | None = None
        self._x_headers: dict[str, str | None] = {}
        self._error: GigaChatException | None = None
        self._events: list[Event] = []  # of the chunks handed over; bytes, for they cost the collector nothing
        self._marked = False  # whether the end mark came
        self._ended = False
        self._closed = False
        self._reading = threading.Lock()  # held while somebody reads, never waited for

    async def open(self) -> None:
        """Send the request, if it has not been sent."""
        self._begin_reading()
        try:
            await self._send()
        except BaseException:
            self._closed = True
            raise
        finally:
            if self._end_reading():
                await self.close()

    async def more(self) -> Sequence[ChunkT]:
        """Return the chunks of the next piece that brings any; none at the end of the stream.

        Raises:
            GigaChatException: The stream broke, or brought an error.
        """
        self._begin_reading()
        chunks: list[ChunkT] = []
        try:
            if self._response is None:
                self._raise_waiting_error()
                await self._send()
            while not chunks and not self._closed and not self._ended and self._error is None:
                assert self._response is not None
                piece = await self._response.receive()
                if not self._closed:
                    events = self._splitter.feed(piece) if piece else self._splitter.finish()
                    self._take(events, chunks, at_end=not piece)
        except Failure as failure:
            if not self._closed:
                self._error = _interrupted(str(failure.error), failure.__cause__)
        except BaseException:
            self._closed = True
            raise
        finally:
            if self._end_reading():
                await self.close()
        if not chunks:
            self._raise_waiting_error()
        return chunks

    def _begin_reading(self) -> None:
        if not self._reading.acquire(blocking=False):
            raise GigaChatException("another thread or task is reading this stream: one at a time can")

    def _end_reading(self) -> bool:
        """Let others read or close; return whether what is held is to be freed."""
        self._reading.release()
        return self._closed or self._ended or self._error is not None

    async def _send(self) -> None:
        if self._response is not None or self._closed:
            return
        self._permit = await self._engine.permit(self._port)
        if self._permit is not None:
            self._permit.stream = True
        self._response = await respond(self._engine, self._port, self.call.call, self._options)
        self._x_headers = x_headers(self._response.headers)
        content_type = self._response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type in _REFUSED_TYPES:
            raise await self._not_a_stream(self._response, content_type)

    def _raise_waiting_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _take(self, events: Sequence[Event], chunks: list[ChunkT], *, at_end: bool) -> None:
        for event in events:
            name, data = event
            if data == b"[DONE]":
                self._ended = self._marked = True
                return
            try:
                if name in _ERROR_EVENTS:
                    raise self._in_stream(event) or APIResponseValidationError(
                        "the stream brought an error event that cannot be read", content=data
                    )
                chunk = self.call.read(event, self._x_headers)
            except APIResponseValidationError as error:
                # An object that is no chunk may be an error; half an object at the end is a broken stream.
                self._error = self._in_stream(event) or (_interrupted("it ends inside an event") if at_end else error)
                return
            except GigaChatException as error:
                self._error = error
                return
            chunks.append(chunk)
            self._events.append(event)
            if self.call.ends is not None and self.call.ends(chunk):
                self._ended = self._marked = True
                return
        if at_end:
            # Without an end mark, a clean end of the body is an end only behind a chunk that completes the answer.
            self._ended = any(map(self.call.completes, self.chunks(len(self._events))))
            if not self._ended:
                self._error = _interrupted("its end mark is missing")

    def chunks(self, count: int) -> list[ChunkT]:
        """Return the first so many chunks once more."""
        return [self.call.read(event, self._x_headers) for event in self._events[:count]]

    def _in_stream(self, event: Event) -> GigaChatException | None:
        assert self._response is not None
        return _error_of(event.data, self._engine.url(self.call.call.path), self._response.headers)

    async def _not_a_stream(self, response: Response, content_type: str) -> GigaChatException:
        try:
            content = await response.read()
        except Failure as failure:
            failure.error.__cause__ = failure.__cause__
            return failure.error
        return _error_of(content, self._engine.url(self.call.call.path), response.headers) or (
            APIResponseValidationError(
                f"expected a stream of events (text/event-stream), got {content_type}", content=content
            )
        )

    async def close(self) -> None:
        """Free the connection and the permit, or have them freed by who is reading; a second time does nothing."""
        self._closed = True
        if not self._reading.acquire(blocking=False):
            if (response := self._response) is not None:
                await response.interrupt()
            return
        try:
            response, self._response = self._response, None
            permit, self._permit = self._permit, None
            try:
                if response is not None:
                    await (response.finish() if self._marked else response.close())
            finally:
                if permit is not None:
                    permit.release()
        finally:
            self._reading.release()

    def __del__(self) -> None:
        response, permit = getattr(self, "_response", None), getattr(self, "_permit", None)
        if response is not None:
            response.abandon()
        if permit is not None:
            permit.release()


def _interrupted(reason: str, cause: BaseException | None = None) -> StreamInterruptedError:
    error = StreamInterruptedError(f"the stream was broken off before its end: {reason}. What came is incomplete")
    error.__cause__ = cause
    return error


def _error_of(content: bytes, url: str, headers: Mapping[str, str]) -> GigaChatException | None:
    """Return the error that a JSON object stands for, if it does."""
    try:
        body = json_object(content)
    except APIResponseValidationError:
        return None
    if isinstance(body.get("error"), dict):
        body = body["error"]
    status = body.get("status", body.get("code"))
    if isinstance(status, int) and 400 <= status <= 599:
        return error_for_status(url, status, content, headers)
    if isinstance(body.get("message"), str):
        return error_for_status(url, 500, content, headers)
    return None


class Stream(Generic[ChunkT, CompletionT]):
    """A streamed answer for blocking callers: an iterator of chunks and a context manager.

    The request goes out with the first chunk asked for, or on entering. Closing, `break`, an exception and garbage
    collection free the connection.
    """

    def __init__(self, source: EventStream[ChunkT, CompletionT]) -> None:
        self._source = source
        self._ready: deque[ChunkT] = deque()
        self._taken = 0

    def __iter__(self) -> Iterator[ChunkT]:
        return self

    def __next__(self) -> ChunkT:
        ready = self._ready
        if not ready:
            ready.extend(run(self._source.more()))
            if not ready:
                raise StopIteration
        self._taken += 1
        return ready.popleft()

    @property
    def text_stream(self) -> Iterator[str]:
        """The text of the chunks that have any."""
        for chunk in self:
            text = self._source.call.text(chunk)
            if text:
                yield text

    def get_final_completion(self) -> CompletionT:
        """Read the rest and return the whole: text, usage, function call, reasoning."""
        for _ in self:
            pass
        return self._source.call.accumulate(self._source.chunks(self._taken))

    def get_final_text(self) -> str:
        """Read the rest and return the whole text."""
        for _ in self:
            pass
        return "".join(map(self._source.call.text, self._source.chunks(self._taken)))

    def close(self) -> None:
        """Free the connection; no chunk comes after. Also from another thread or task than the one that reads."""
        self._ready.clear()
        run(self._source.close())

    def __enter__(self) -> Stream[ChunkT, CompletionT]:
        run(self._source.open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(Generic[ChunkT, CompletionT]):
    """A streamed answer for async callers: an async iterator of chunks and an async context manager.

    It is not awaited itself. The request goes out with the first chunk asked for, or on entering. Closing, `break`
    followed by garbage collection, an exception and cancellation free the connection.
    """

    def __init__(self, source: EventStream[ChunkT, CompletionT]) -> None:
        self._source = source
        self._ready: deque[ChunkT] = deque()
        self._taken = 0

    def __aiter__(self) -> AsyncIterator[ChunkT]:
        return self

    async def __anext__(self) -> ChunkT:
        ready = self._ready
        if not ready:
            ready.extend(await self._source.more())
            if not ready:
                raise StopAsyncIteration
        self._taken += 1
        return ready.popleft()

    @property
    async def text_stream(self) -> AsyncIterator[str]:
        """The text of the chunks that have any."""
        async for chunk in self:
            text = self._source.call.text(chunk)
            if text:
                yield text

    async def get_final_completion(self) -> CompletionT:
        """Read the rest and return the whole: text, usage, function call, reasoning."""
        async for _ in self:
            pass
        return self._source.call.accumulate(self._source.chunks(self._taken))

    async def get_final_text(self) -> str:
        """Read the rest and return the whole text."""
        async for _ in self:
            pass
        return "".join(map(self._source.call.text, self._source.chunks(self._taken)))

    async def close(self) -> None:
        """Free the connection; no chunk comes after. Also from another thread or task than the one that reads."""
        self._ready.clear()
        await self._source.close()

    aclose = close

    async def __aenter__(self) -> AsyncStream[ChunkT, CompletionT]:
        await self._source.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
