"""Streams: events as chunks, each delivered once, until the end mark.

State rules of `EventStream`: new -> open (the request is sent by the first `next_chunks` or `open`) -> ended, failed or
closed. The connection and the slot are held in the open state only, and released on every way out of it. The chunks of
one network piece are delivered at once; an error behind good chunks waits until they are taken. One thread or task
reads at a time; another may call `close`: the reader then sees the end of the stream and releases what is held. Each
read holds a `_Reading`, to which the stream has a weak reference only: a read that was aborted never blocks the next
one. The streams of `stream` wrap it for each mode.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import ref

from gigachat._engine.errors import error_for_status
from gigachat._engine.failures import error_of_details
from gigachat._engine.parsing import json_object, page_advice, x_headers
from gigachat._engine.sse import EventSplitter
from gigachat._engine.transport import Failure
from gigachat.exceptions import (
    APIResponseValidationError,
    GenerationError,
    GigaChatException,
    StreamInterruptedError,
    TotalTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat._engine.calls import StreamCall
    from gigachat._engine.limiter import Slot
    from gigachat._engine.observation import CallObservation, RunObservation
    from gigachat._engine.session import Session
    from gigachat._engine.sse import Event
    from gigachat._engine.transport import Response
    from gigachat.observers import Outcome

ChunkT = TypeVar("ChunkT")
CompletionT = TypeVar("CompletionT")

_REFUSED_TYPES = ("application/json", "text/html", "application/problem+json")
_ERROR_EVENTS = ("error", "response.error")


class _Reading:
    """One call that reads a stream."""

    __slots__ = ("__weakref__",)


class EventStream(Generic[ChunkT, CompletionT]):
    """The stream of one call, in the mode of its session.

    Args:
        session: Sends the call.
        call: The call.
        context: Headers of the context in which the caller made it.
        run: What tells of the run that makes the call.
    """

    def __init__(
        self,
        session: Session,
        call: StreamCall[ChunkT, CompletionT],
        context: Mapping[str, str],
        run: RunObservation | None = None,
    ) -> None:
        self.call = call
        self._session = session
        self._context = context
        self._splitter = EventSplitter()
        self._most_bytes = session.service.max_response_bytes
        self._response: Response | None = None
        self._slot: Slot | None = None
        self._x_headers: dict[str, str | None] = {}
        self._error: GigaChatException | None = None
        self._events: list[Event] = []  # of all chunks, for the completion; the collector does not visit bytes
        self._size = 0  # bytes of their data
        self._marked = False  # whether the end mark came
        self._ended = False
        self._closed = False
        self._lock = threading.Lock()
        self._reading: ref[_Reading] | None = None
        self._run = run
        self._observation: CallObservation | None = None
        self._last: ChunkT | None = None  # the last chunk, or the last one that reports usage

    async def open(self) -> None:
        """Send the request, if it has not been sent."""
        reading = self._begin_reading()
        try:
            await self._send()
        except BaseException as error:
            self._closed = True
            self._tell_failure(error)
            raise
        finally:
            self._reading = None
            if self._is_over():
                await self._release()
        del reading

    async def next_chunks(self) -> Sequence[ChunkT]:
        """Return the chunks of the next piece that brings any; none at the end of the stream.

        Raises:
            GigaChatException: The stream was interrupted, or brought an error.
        """
        reading = self._begin_reading()
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
            if self._observation is not None and chunks:
                self._observation.chunk_came()
        except Failure as failure:
            if not self._closed:
                self._error = _interrupted(failure.error)
        except BaseException as error:
            self._closed = True
            self._tell_failure(error)
            raise
        finally:
            self._reading = None
            if self._is_over():
                await self._release()
        del reading
        if not chunks:
            self._raise_waiting_error()
        return chunks

    def _begin_reading(self) -> _Reading:
        reading = _Reading()
        with self._lock:
            if self._reading is not None and self._reading() is not None:
                raise GigaChatException("the stream is already being read by another thread or task")
            self._reading = ref(reading)
        return reading

    def _is_over(self) -> bool:
        return self._closed or self._ended or self._error is not None

    async def _send(self) -> None:
        if self._response is not None or self._closed:
            return
        self._observation = self._session.observe(self.call.call, self._context, stream=True, run=self._run)
        self._slot, deadline = await self._session.begin()
        if self._closed:
            return  # while it waited for its slot
        if self._slot is not None:
            self._slot.stream = True
        self._response = await self._session.respond(
            self.call.call, self._context, deadline, self._observation, self._slot
        )
        self._x_headers = x_headers(self._response.headers)
        content_type = self._response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type in _REFUSED_TYPES:
            raise await self._not_a_stream(self._response, content_type)
        if self._observation is not None:
            self._observation.stream_began()

    def _raise_waiting_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error from None

    def _take(self, events: Sequence[Event], chunks: list[ChunkT], *, at_end: bool) -> None:
        for event in events:
            name, data = event
            if data == b"[DONE]":
                self._ended = self._marked = True
                return
            try:
                if name in _ERROR_EVENTS:
                    raise self._in_stream(event) or APIResponseValidationError(
                        "the stream brought an error event that cannot be parsed", content=data
                    )
                chunk = self.call.read(event, self._x_headers)
            except APIResponseValidationError as error:
                # An object that is not a chunk may be an error; half an object at the end is an interrupted stream.
                inside = self._in_stream(event)
                self._error = inside or (_interrupted("it ends inside an event") if at_end else error)
                return
            except GigaChatException as error:
                self._error = error
                return
            self._size += len(data)
            if self._size > self._most_bytes:
                self._error = APIResponseValidationError(
                    f"the stream is longer than max_response_bytes={self._most_bytes}"
                )
                return
            chunks.append(chunk)
            self._events.append(event)
            if getattr(chunk, "usage", None) is not None or getattr(self._last, "usage", None) is None:
                self._last = chunk
            if self._observation is not None:
                self._observation.took(chunk)
            is_end = self.call.ends is not None and self.call.ends(chunk)
            failure = self.call.failure(chunk)
            if failure is not None:
                self._marked = is_end
                self._error = GenerationError(failure, completion=self._completion())
                return
            if is_end:
                self._ended = self._marked = True
                return
        if at_end:
            # Without an end mark, the end of the body is an end only behind a chunk that completes the answer.
            self._ended = any(map(self.call.completes, self._chunks()))
            if not self._ended:
                self._error = _interrupted("its end mark is missing")

    def whole(self) -> list[ChunkT]:
        """Return all chunks once more.

        Raises:
            StreamInterruptedError: The stream failed or was closed before its end.
        """
        if not self._ended:
            raise StreamInterruptedError(
                "the stream failed, or was closed, before its end: keep its chunks as you read them to use a part of it"
            )
        return self._chunks()

    def completion(self) -> CompletionT:
        """Return the whole completion; raises as `whole`."""
        completion = self.call.accumulate(self.whole())
        reader_factory = self.call.call.file_reader_factory
        if reader_factory is not None:
            object.__setattr__(completion, "_reader_factory", reader_factory)  # its slot: see `models.answer_files`
        return completion

    def _chunks(self) -> list[ChunkT]:
        return [self.call.read(event, self._x_headers) for event in self._events]

    def _completion(self) -> CompletionT | None:
        try:
            return self.call.accumulate(self._chunks())
        except APIResponseValidationError:
            return None

    def _in_stream(self, event: Event) -> GigaChatException | None:
        assert self._response is not None
        return _error_of(event.data, self._session.service.address(self.call.call), self._response.headers)

    async def _not_a_stream(self, response: Response, content_type: str) -> GigaChatException:
        service = self._session.service
        try:
            content = await response.read(self._most_bytes)
        except Failure as failure:
            return failure.error
        url = service.address(self.call.call)
        reason = page_advice(content) or f"it is {content_type}"
        return _error_of(content, url, response.headers) or APIResponseValidationError(
            f"expected a stream of events (text/event-stream), but the response is none: {reason} ({url})",
            content=content,
        )

    async def close(self) -> None:
        """Release the connection and the slot, or have the reader release them; a second time does nothing."""
        self._closed = True
        if self._reading is None or self._reading() is None:
            await self._release()
        elif (response := self._response) is not None:
            await response.interrupt()

    async def _release(self) -> None:
        self._closed = True
        with self._lock:
            response, self._response = self._response, None
            slot, self._slot = self._slot, None
            observation, self._observation = self._observation, None
        try:
            if response is not None:
                await (response.finish() if self._marked else response.close())
        finally:
            if slot is not None:
                slot.release()
            if response is not None and self._last is not None:
                self._session.service.usage.count(self._last)
                self._last = None
            if observation is not None:
                self._tell_end(observation, "answered" if self._ended else "closed")

    def _tell_failure(self, error: BaseException) -> None:
        if self._observation is not None:
            self._observation.stream_ended("failed", error)

    def _tell_end(self, observation: CallObservation, outcome: Outcome) -> None:
        """Tell the end of the stream, unless its failure was told."""
        completion = self._completion() if observation.reads_content and self._events else None
        observation.stream_ended(outcome, self._error, completion)

    def abandon(self) -> bool:
        """Release the connection and the slot from a finalizer; whether the stream was open in this process."""
        response, slot = self._response, self._slot
        was_open = response is not None and response.abandon()
        if slot is not None:
            slot.release()
        if was_open and self._last is not None:
            self._session.service.usage.count(self._last)
        if was_open and self._observation is not None:
            self._tell_end(self._observation, "abandoned")
        return was_open


def _interrupted(reason: GigaChatException | str) -> StreamInterruptedError | TotalTimeoutError:
    if isinstance(reason, TotalTimeoutError):
        return reason
    error = StreamInterruptedError(f"the stream ended prematurely: {reason}. What it delivered is incomplete")
    error.cause = getattr(reason, "cause", None)
    return error


def _error_of(content: bytes, url: str, headers: Mapping[str, str]) -> GigaChatException | None:
    """Return the error that a JSON object describes, if any."""
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
    return error_of_details(body)
