"""Streams as users read them, in each mode: iterators of chunks over one `EventStream`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Generic, Never, TypeVar, overload

from gigachat._engine.items import AsyncItems, Items
from gigachat._engine.session import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

    from pydantic import TypeAdapter

    from gigachat._engine.event_stream import EventStream
    from gigachat._engine.partials import Partials

ChunkT = TypeVar("ChunkT")
CompletionT = TypeVar("CompletionT")
ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")

_ONE_ONLY = "a stream cannot be copied or pickled: get_final_completion() returns what can"


class Stream(Items[ChunkT], Generic[ChunkT, CompletionT]):
    """A streamed response for blocking callers: an iterator of chunks and a context manager.

    The request is sent when the first chunk is read, or on entering. The connection is released at the end of the
    stream, by an error, by `close`, on leaving `with`, and when the stream is no longer referenced. `break` alone does
    not release it.
    """

    def __init__(self, source: EventStream[ChunkT, CompletionT]) -> None:
        super().__init__(source.next_chunks)
        self._source = source

    @property
    def text_stream(self) -> Iterator[str]:
        """The text of the chunks that have any."""
        for chunk in self:
            text = self._source.call.text(chunk)
            if text:
                yield text

    @overload
    def partials(self, into: type[list[ItemT]] | TypeAdapter[list[ItemT]]) -> Iterator[list[ItemT]]: ...
    @overload
    def partials(self, into: type[ValueT] | TypeAdapter[ValueT]) -> Iterator[ValueT | dict[str, Any]]: ...
    def partials(self, into: Any) -> Iterator[Any]:
        """Return the values of a structured answer as it arrives (reference, section 4.6).

        The request must ask for JSON of this type: `stream(..., response_format={"schema": into})`.

        Args:
            into: Type of the whole value, or its `TypeAdapter`.

        Returns:
            An iterator. For a list, each item is a longer list of the finished elements. For other types, it is the
            JSON so far, a dictionary: texts may be cut and properties missing. The last item is the whole value.

        Raises:
            TypeError, ValueError: `into` is no type, or has no JSON Schema.
        """
        return self._values(_partials(into))

    def _values(self, partials: Partials) -> Iterator[Any]:
        for chunk in self:
            value = partials.feed(self._source.call.text(chunk))
            if value is not None:
                yield value
        yield _whole_value(partials, self._source)

    def get_final_completion(self) -> CompletionT:
        """Read the rest and return the whole completion; a stream that failed or was closed early raises."""
        for _ in self:
            pass
        return self._source.completion()

    def get_final_text(self) -> str:
        """Read the rest and return the whole text; a stream that failed or was closed early raises."""
        for _ in self:
            pass
        return self._source.text()

    def close(self) -> None:
        """Release the connection; no chunk follows. May be called from another thread or task than the reader's.

        A request that is being sent or retried at that moment is closed as soon as its response begins.
        """
        self._ready.clear()
        run(self._source.close())

    if not TYPE_CHECKING:  # type checkers refuse it by themselves

        async def __aenter__(self):
            raise TypeError("this stream is blocking: open it with `with`; astream and AsyncGigaChat give async ones")

        async def __aexit__(self, *error):
            """Exist: `async with` looks for it before it enters."""

    def __enter__(self) -> Stream[ChunkT, CompletionT]:
        run(self._source.open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> Never:
        raise TypeError(_ONE_ONLY)

    def __del__(self) -> None:
        self._source.abandon()


class AsyncStream(AsyncItems[ChunkT], Generic[ChunkT, CompletionT]):
    """A streamed response for async callers: an async iterator of chunks and an async context manager.

    It is not awaited itself. It sends the request and releases the connection as `Stream` does, and on cancellation.
    """

    def __init__(self, source: EventStream[ChunkT, CompletionT]) -> None:
        super().__init__(source.next_chunks)
        self._source = source

    @property
    async def text_stream(self) -> AsyncIterator[str]:
        """The text of the chunks that have any."""
        async for chunk in self:
            text = self._source.call.text(chunk)
            if text:
                yield text

    @overload
    def partials(self, into: type[list[ItemT]] | TypeAdapter[list[ItemT]]) -> AsyncIterator[list[ItemT]]: ...
    @overload
    def partials(self, into: type[ValueT] | TypeAdapter[ValueT]) -> AsyncIterator[ValueT | dict[str, Any]]: ...
    def partials(self, into: Any) -> AsyncIterator[Any]:
        """Return the values of a structured answer as it arrives (reference, section 4.6).

        The request must ask for JSON of this type: `stream(..., response_format={"schema": into})`.

        Args:
            into: Type of the whole value, or its `TypeAdapter`.

        Returns:
            An async iterator. For a list, each item is a longer list of the finished elements. For other types, it is
            the JSON so far, a dictionary: texts may be cut and properties missing. The last item is the whole value.

        Raises:
            TypeError, ValueError: `into` is no type, or has no JSON Schema.
        """
        return self._values(_partials(into))

    async def _values(self, partials: Partials) -> AsyncIterator[Any]:
        async for chunk in self:
            value = partials.feed(self._source.call.text(chunk))
            if value is not None:
                yield value
        yield _whole_value(partials, self._source)

    async def get_final_completion(self) -> CompletionT:
        """Read the rest and return the whole completion; a stream that failed or was closed early raises."""
        async for _ in self:
            pass
        return self._source.completion()

    async def get_final_text(self) -> str:
        """Read the rest and return the whole text; a stream that failed or was closed early raises."""
        async for _ in self:
            pass
        return self._source.text()

    async def close(self) -> None:
        """Release the connection; no chunk follows. May be called from another thread or task than the reader's.

        A request that is being sent or retried at that moment is closed as soon as its response begins.
        """
        self._ready.clear()
        await self._source.close()

    aclose = close

    if not TYPE_CHECKING:  # type checkers refuse it by themselves

        def __iter__(self):
            raise TypeError("this stream is async: read it with `async for`")

        def __enter__(self):
            raise TypeError("this stream is async: open it with `async with`")

        def __exit__(self, *error):
            """Exist: `with` looks for it before it enters."""

    async def __aenter__(self) -> AsyncStream[ChunkT, CompletionT]:
        await self._source.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __getstate__(self) -> Never:
        raise TypeError(_ONE_ONLY)

    def __del__(self) -> None:
        if self._source.abandon():
            message = "an async stream was left open: read it to its end, or open it with `async with`"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)


def _partials(into: Any) -> Partials:
    from gigachat._engine.partials import Partials
    from gigachat._engine.value_type import value_type  # here, for it loads pydantic

    return Partials(value_type(into))


def _whole_value(partials: Partials, source: EventStream[Any, CompletionT]) -> Any:
    from gigachat._engine.value_type import read_value

    completion = source.completion()
    # The stream itself has raised a failure.
    return read_value(partials.kind, completion, None, *source.call.answer(completion))
