"""Streams of the events of a run, in each mode."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Generic, Never, Protocol, Self, TypeVar

from gigachat._engine.items import AsyncItems, Items
from gigachat._engine.session import run
from gigachat.tools.runs import RunEvent, RunText

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from gigachat.tools.runs import RunResult

CompletionT = TypeVar("CompletionT")
MessageT = TypeVar("MessageT")
UsageT = TypeVar("UsageT")
SourceCompletionT = TypeVar("SourceCompletionT", covariant=True)
SourceUsageT = TypeVar("SourceUsageT", covariant=True)


class RunSource(Protocol[SourceCompletionT, MessageT, SourceUsageT]):
    """What a stream of events reads: a run, or a turn of a conversation."""

    messages: list[MessageT]

    async def advance(self) -> Sequence[RunEvent[SourceCompletionT, MessageT, SourceUsageT]]:
        """Run until there are events, and return them; none at the end."""
        ...

    async def finish(self) -> RunResult[SourceCompletionT, MessageT, SourceUsageT]:
        """Run to the end and return the result."""
        ...

    async def close(self) -> None:
        """Release what is held; no event follows."""
        ...

    def abandon(self) -> bool:
        """Release what is held from a finalizer; whether it was open in this process."""
        ...


class RunStream(Items[RunEvent[CompletionT, MessageT, UsageT]], Generic[CompletionT, MessageT, UsageT]):
    """A run for blocking callers: an iterator of events and a context manager.

    The first request is sent when the first event is read. `close`, and leaving `with`, release the connection of an
    answer that is being streamed.
    """

    def __init__(self, source: RunSource[CompletionT, MessageT, UsageT]) -> None:
        super().__init__(source.advance)
        self._source = source

    @property
    def messages(self) -> list[MessageT]:
        """The conversation so far; it can be sent at any moment."""
        return self._source.messages

    @property
    def text_stream(self) -> Iterator[str]:
        """The text of all answers, piece by piece."""
        for event in self:
            if isinstance(event, RunText):
                yield event.text

    def get_final_result(self) -> RunResult[CompletionT, MessageT, UsageT]:
        """Run to the end and return the result; a run that failed or was closed early raises."""
        return run(self._source.finish())

    def close(self) -> None:
        """Release the connection; no event follows."""
        self._ready.clear()
        run(self._source.close())

    def __getstate__(self) -> Never:
        raise TypeError("a stream cannot be pickled: the result of the run can")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._source.abandon()


class AsyncRunStream(AsyncItems[RunEvent[CompletionT, MessageT, UsageT]], Generic[CompletionT, MessageT, UsageT]):
    """A run for async callers: an async iterator of events and an async context manager. It is not awaited itself."""

    def __init__(self, source: RunSource[CompletionT, MessageT, UsageT]) -> None:
        super().__init__(source.advance)
        self._source = source

    @property
    def messages(self) -> list[MessageT]:
        """The conversation so far; it can be sent at any moment."""
        return self._source.messages

    @property
    async def text_stream(self) -> AsyncIterator[str]:
        """The text of all answers, piece by piece."""
        async for event in self:
            if isinstance(event, RunText):
                yield event.text

    async def get_final_result(self) -> RunResult[CompletionT, MessageT, UsageT]:
        """Run to the end and return the result; a run that failed or was closed early raises."""
        return await self._source.finish()

    async def close(self) -> None:
        """Release the connection; no event follows."""
        self._ready.clear()
        await self._source.close()

    aclose = close

    def __getstate__(self) -> Never:
        raise TypeError("a stream cannot be pickled: the result of the run can")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def __del__(self) -> None:
        if self._source.abandon():
            message = "an async run was left open: read it to its end, or open it with `async with`"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)
