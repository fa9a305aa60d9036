"""Iterators of items that arrive in groups, in each mode."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from gigachat._engine.session import run

T = TypeVar("T")

NextItems: TypeAlias = Callable[[], Coroutine[Any, Any, Sequence[T]]]
"""Returns the next items; none at the end, and after an exception."""


class Items(Generic[T]):
    """An iterator for blocking callers.

    Args:
        next_items: Returns the next items; none at the end.
    """

    def __init__(self, next_items: NextItems[T]) -> None:
        self._next_items = next_items
        self._ready: deque[T] = deque()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        ready = self._ready
        if not ready:
            ready.extend(run(self._next_items()))
            if not ready:
                raise StopIteration
        return ready.popleft()


class AsyncItems(Generic[T]):
    """An async iterator.

    Args:
        next_items: Returns the next items; none at the end.
    """

    def __init__(self, next_items: NextItems[T]) -> None:
        self._next_items = next_items
        self._ready: deque[T] = deque()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        ready = self._ready
        if not ready:
            ready.extend(await self._next_items())
            if not ready:
                raise StopAsyncIteration
        return ready.popleft()
