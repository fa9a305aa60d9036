"""Iterators of items that arrive in groups, in each mode, over one source."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from gigachat._engine.session import run

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """What an iterator takes its items from."""

    def next_items(self) -> Coroutine[Any, Any, Sequence[T_co]]:
        """Return the next items; none at the end, and after an exception."""
        ...


class Items(Iterator[T]):
    """An iterator for blocking callers."""

    def __init__(self, source: Source[T]) -> None:
        self._source = source
        self._ready: deque[T] = deque()

    def __next__(self) -> T:
        if not self._ready:
            self._ready.extend(run(self._source.next_items()))
            if not self._ready:
                raise StopIteration
        return self._ready.popleft()


class AsyncItems(AsyncIterator[T]):
    """An iterator for async callers. It needs no closing: between two items nothing is in progress."""

    def __init__(self, source: Source[T]) -> None:
        self._source = source
        self._ready: deque[T] = deque()

    async def __anext__(self) -> T:
        if not self._ready:
            self._ready.extend(await self._source.next_items())
            if not self._ready:
                raise StopAsyncIteration
        return self._ready.popleft()
