"""Streams: events as chunks, each delivered once, until the end mark.

State rules of `EventStream`: new -> open (the request is sent by the first `next_chunks` or `open`) -> ended, failed or
closed. The connection and the slot are held in the open state only, and released on every way out of it. The events of
one network piece are parsed and delivered in batches; an error behind good chunks waits until they are taken. What a
stream has received and not delivered when it is closed is parsed for its usage. One thread or task reads at a time.
Another one may call `close`: the reader then sees the end of the stream and releases what is held. Each read holds a
`_Reading`, to which the stream has a weak reference only: a read that was aborted never blocks the next one. The
streams of `stream` wrap it for each mode.
"""

from __future__ import annotations

import threading
from copy import copy
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import ref

from gigachat._engine.errors import error_for_status
from gigachat._engine.failures import error_of_details
from gigachat._engine.parsing import json_object, page_advice, x_headers
from gigachat._engine.sse import END, EventSplitter, Run
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
    from gigachat._engine.transport import Response
    from gigachat.observers import Outcome

ChunkT = TypeVar("ChunkT")
CompletionT = TypeVar("CompletionT")

_REFUSED_TYPES = ("application/json", "text/html", "application/problem+json")
_BATCH = 32  # events: so few chunks at a time live and die without the garbage collector
_NOTHING = Run(None, [])


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
        self._headers: Mapping[str, str] = {}
        self._x_headers: dict[str, str | None] = {}
        self._error: GigaChatException | None = None
        self._accumulator = call.accumulator()
        self._runs: list[Run] = []  # events that are received and not parsed
        self._size = 0  # bytes of the data of parsed events
        self._at_end = False  # whether the body has ended
        self._completed = False  # whether a chunk completes the answer
        self._marked = False  # whether the end mark came
        self._ended = False
        self._closed = False
        self._lock = threading.Lock()
        self._reading: ref[_Reading] | None = None
        self._run = run
        self._observation: CallObservation | None = None
        self._last: ChunkT | CompletionT | None = None  # that reports usage, or is more than text

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
        """Return the next chunks, all of one piece of the body; none at the end of the stream.

        Raises:
            GigaChatException: The stream was interrupted, or brought an error.
        """
        reading = self._begin_reading()
        chunks: list[ChunkT] = []
        try:
            if self._response is None:
                self._raise_waiting_error()
                await self._send()
            while not chunks and not self._is_over():
                if not self._runs:
                    assert self._response is not None
                    piece = await self._response.receive()
                    if self._closed:
                        break
                    self._at_end = not piece
                    self._runs = self._splitter.runs(piece) if piece else self._splitter.last_runs()
                chunks = self._take()
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
            # What came with the end is delivered first, so that it does not matter which events come together.
            if self._closed or (self._is_over() and not chunks):
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
        self._headers = self._response.headers
        self._x_headers = x_headers(self._headers)
        content_type = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type in _REFUSED_TYPES:
            raise await self._not_a_stream(self._response, content_type)
        if self._observation is not None:
            self._observation.stream_began()

    def _raise_waiting_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error from None

    def _take(self) -> list[ChunkT]:
        """Return the chunks of the next events, up to the one that ends or fails the stream."""
        name, data = self._next_batch()
        chunks: list[ChunkT] = []
        error: GigaChatException | None = None
        size = self._size + sum(map(len, data))
        if size > self._most_bytes:
            data, error = self._within_bound(data)
        self._size = size
        try:
            self.call.read(name, data, self._x_headers, chunks)
        except APIResponseValidationError as invalid:
            # An object that is not a chunk may be an error; half an object at the end is an interrupted stream.
            inside = self._in_stream(data[len(chunks)])
            error = inside or (_interrupted("it ends inside an event") if self._at_end else invalid)
        except GigaChatException as failed:
            error = failed
        for index in self._accumulator.add(chunks):
            if self._is_last(chunks[index]):
                self._runs = []
                return chunks[: index + 1]
        if error is not None:
            self._error = error
            self._runs = []
        elif len(chunks) < len(data):
            self._ended = self._marked = True
            self._runs = []
        elif self._at_end and not self._runs:
            # Without an end mark, the end of the body is an end only behind a chunk that completes the answer.
            self._ended = self._completed
            if not self._ended:
                self._error = _interrupted("its end mark is missing")
        return chunks

    def _next_batch(self) -> Run:
        if not self._runs:
            return _NOTHING
        run = self._runs[0]
        if len(run.data) <= _BATCH:
            del self._runs[0]
            return run
        batch = Run(run.name, run.data[:_BATCH])
        del run.data[:_BATCH]
        return batch

    def _within_bound(self, data: list[bytes]) -> tuple[list[bytes], GigaChatException | None]:
        """Return the events before the one that makes the stream too long, and the error for it."""
        size = self._size
        for index, one in enumerate(data):
            if one == END:
                break
            size += len(one)
            if size > self._most_bytes:
                message = f"the stream is longer than max_response_bytes={self._most_bytes}"
                return data[:index], APIResponseValidationError(message)
        return data, None

    def _is_last(self, chunk: ChunkT) -> bool:
        """Note a chunk that is more than text; whether it ends or fails the stream."""
        if getattr(chunk, "usage", None) is not None or getattr(self._last, "usage", None) is None:
            self._last = copy(chunk)  # the caller may change its own
        if self._observation is not None:
            self._observation.took(chunk)
        self._completed = self._completed or self.call.completes(chunk)
        is_end = self.call.ends is not None and self.call.ends(chunk)
        failure = self.call.failure(chunk)
        if failure is not None:
            self._error = GenerationError(failure, completion=self._completion())
        else:
            self._ended = is_end
        self._marked = is_end
        return is_end or failure is not None

    def _take_rest(self, observation: CallObservation | None) -> None:
        """Parse what has come and will not be delivered, for its usage and its end mark."""
        error = self._error
        while self._runs:
            for chunk in self._take():
                if observation is not None:
                    observation.took(chunk)
        self._error = error
        if self.call.sums_usage and self._last is not None:
            self._last = self._completion() or self._last
            if observation is not None:
                observation.took(self._last)

    def text(self) -> str:
        """Return the text of all chunks.

        Raises:
            StreamInterruptedError: The stream failed or was closed before its end.
        """
        self._refuse_part()
        return self._accumulator.text()

    def _refuse_part(self) -> None:
        if not self._ended:
            raise StreamInterruptedError(
                "the stream failed, or was closed, before its end: keep its chunks as you read them to use a part of it"
            )

    def completion(self) -> CompletionT:
        """Return the whole completion; raises as `text`."""
        self._refuse_part()
        completion = self._accumulator.completion()
        reader_factory = self.call.call.file_reader_factory
        if reader_factory is not None:
            object.__setattr__(completion, "_reader_factory", reader_factory)  # its slot: see `models.answer_files`
        return completion

    def _completion(self) -> CompletionT | None:
        try:
            return self._accumulator.completion()
        except APIResponseValidationError:
            return None

    def _in_stream(self, data: bytes) -> GigaChatException | None:
        return _error_of(data, self._session.service.address(self.call.call), self._headers)

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
            if response is not None:  # a second thread or task that releases has none
                self._take_rest(observation)
                await (response.finish() if self._marked else response.close())
        finally:
            if slot is not None:
                slot.release()
            if response is not None and self._last is not None:
                self._session.service.usage.count(self._last)
            if observation is not None:
                self._tell_end(observation, "answered" if self._ended else "closed")

    def _tell_failure(self, error: BaseException) -> None:
        observation, self._observation = self._observation, None
        if observation is not None:
            observation.stream_ended("failed", error)

    def _tell_end(self, observation: CallObservation, outcome: Outcome) -> None:
        """Tell the end of the stream."""
        completion = self._completion() if observation.reads_content and self._last is not None else None
        observation.stream_ended(outcome, self._error, completion)

    def abandon(self) -> bool:
        """Release the connection and the slot from a finalizer; whether the stream was open in this process."""
        response, slot = self._response, self._slot
        was_open = response is not None and response.abandon()
        if slot is not None:
            slot.release()
        observation = self._observation
        if was_open:
            self._take_rest(observation)
            if self._last is not None:
                self._session.service.usage.count(self._last)
            if observation is not None:
                self._tell_end(observation, "abandoned")
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
