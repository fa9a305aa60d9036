"""Vectors of many texts: slices for requests side by side, and their vectors in one block of memory.

The texts are taken from the caller's iterable in the caller's own thread or task, some slices ahead.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sized
from functools import partial
from inspect import iscoroutinefunction
from itertools import islice, takewhile
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias

from gigachat.api.embeddings import MOST_TEXTS
from gigachat.exceptions import APIResponseValidationError, RequestEntityTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from gigachat import models
    from gigachat._engine.calls import Call
    from gigachat._engine.session import Session

    Vectors: TypeAlias = npt.NDArray[np.float32]
    Slice: TypeAlias = tuple[int, list[str]]
    Receive: TypeAlias = Callable[[int, list[list[float]]], None]

_MOST_TOKENS = MOST_TEXTS * 512
_CHARACTERS = 3  # of a token, at least on average (reference, section 8.2)
_AHEAD = 4  # slices taken at once, for each request in progress
_FLOAT = 4  # bytes


class EmbeddingJob:
    """Slices of texts that become vectors.

    Args:
        session: Sends the requests.
        describe: Returns the call for the texts of a slice.
        texts: One text, or the texts.
        batch_size: Most texts of a slice.
        concurrency: Most requests in progress.
    """

    def __init__(
        self,
        session: Session,
        describe: Callable[[list[str]], Call[models.Embeddings]],
        texts: str | Iterable[str],
        batch_size: int,
        concurrency: int,
    ) -> None:
        for name, number in (("batch_size", batch_size), ("concurrency", concurrency)):
            if isinstance(number, bool) or not isinstance(number, int):
                raise TypeError(f"{name} must be a whole number, not {type(number).__name__}")
            if number < 1:
                raise ValueError(f"{name} must be 1 or more")
        texts = checked_texts(texts)
        self._session = session
        self._describe = describe
        self._texts = [texts] if isinstance(texts, str) else texts
        self._slices = _slices(self._texts, batch_size)
        self._concurrency = concurrency
        self._lock = threading.Lock()  # of what receives vectors
        self._failure: Exception | None = None

    async def all(self, width: int, progress: Callable[[int, int | None], object] | None) -> Vectors:
        """Return the vectors of all texts.

        Args:
            width: Numbers in a vector, if there are no texts.
            progress: Called with the number of texts done and of all texts, None if that is unknown.
        """
        total = len(self._texts) if isinstance(self._texts, Sized) else None
        block = _Block(total, width)
        done = 0

        def receive(start: int, rows: list[list[float]]) -> None:
            nonlocal done
            block.place(start, rows)
            done += len(rows)
            if progress is not None:
                progress(done, total)

        while slices := list(islice(self._slices, self._concurrency * _AHEAD)):
            await self._embed(slices, receive)
        return block.vectors(done)

    async def next_items(self) -> Sequence[Vectors]:
        """Return the vectors of the next slices, an array for each; none at the end."""
        try:
            slices = list(islice(self._slices, self._concurrency))
            if not slices:
                return ()
            first, count = slices[0][0], sum(len(texts) for _, texts in slices)
            block = _Block(count, 0)
            await self._embed(slices, lambda start, rows: block.place(start - first, rows))
        except BaseException:
            self._slices = iter(())
            raise
        vectors = block.vectors(count)
        return [vectors[start - first : start - first + len(texts)] for start, texts in slices]

    async def _embed(self, slices: list[Slice], receive: Receive) -> None:
        """Send slices side by side. The first failure stops further slices and is raised."""
        tasks = (partial(self._attempt, start, texts, receive) for start, texts in slices)
        await self._session.transport.gather(takewhile(lambda _: self._failure is None, tasks), self._concurrency)
        if self._failure is not None:
            raise self._failure

    async def _attempt(self, start: int, texts: list[str], receive: Receive) -> None:
        try:
            await self._send(start, texts, receive)
        except Exception as error:
            if self._failure is None:
                self._failure = error

    async def _send(self, start: int, texts: list[str], receive: Receive) -> None:
        """Send a slice; a slice that is too large is sent in halves."""
        half = len(texts) // 2
        try:
            answer = await self._session.send(self._describe(texts))
        except RequestEntityTooLargeError as error:
            if half == 0:
                error.text_index = start
                raise
        else:
            rows = _rows(answer, len(texts))
            with self._lock:
                receive(start, rows)
            return
        for begin, part in ((start, texts[:half]), (start + half, texts[half:])):
            if self._failure is None:
                await self._send(begin, part, receive)


def checked_texts(texts: str | Iterable[str]) -> str | Iterable[str]:
    """Return what a caller gives as texts.

    Raises:
        TypeError: It is neither text nor an iterable of texts.
    """
    if isinstance(texts, AsyncIterable):
        raise TypeError("texts must be an iterable that is not async: collect it, [text async for text in texts]")
    if isinstance(texts, Mapping | bytes | bytearray) or not isinstance(texts, Iterable):
        raise TypeError(f"texts are str or an iterable of str, not {type(texts).__name__}")
    return texts


def checked_progress(
    progress: Callable[[int, int | None], object] | None,
) -> Callable[[int, int | None], object] | None:
    """Return a function that is told of progress.

    Raises:
        TypeError: It cannot be called, or would have to be awaited.
    """
    if progress is None:
        return None
    if not callable(progress):
        raise TypeError(f"progress must be a function, not {type(progress).__name__}")
    if iscoroutinefunction(progress) or iscoroutinefunction(type(progress).__call__):
        raise TypeError("progress must not be a coroutine function: it may be called from another thread")
    return progress


def _slices(texts: Iterable[str], batch_size: int) -> Iterator[Slice]:
    """Yield the index of the first text and the texts of each slice."""
    start, texts_of_slice, tokens = 0, list[str](), 0
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {index} must be str, not {type(text).__name__}")
        estimate = len(text) // _CHARACTERS + 1
        if texts_of_slice and (len(texts_of_slice) == batch_size or tokens + estimate > _MOST_TOKENS):
            yield start, texts_of_slice
            start, texts_of_slice, tokens = index, [], 0
        texts_of_slice.append(text)
        tokens += estimate
    if texts_of_slice:
        yield start, texts_of_slice


def _rows(answer: models.Embeddings, count: int) -> list[list[float]]:
    """Return the vectors of a response in the order of the texts."""
    items = answer.data
    if len(items) != count:
        raise APIResponseValidationError(f"the response has {len(items)} vectors for {count} texts")
    if sorted(item.index for item in items) == list(range(count)):
        items = sorted(items, key=lambda item: item.index)
    return [item.embedding for item in items]


class _Block:
    """Vectors as float32 in one block of memory, which becomes the result without a copy.

    Args:
        count: Number of vectors, if it is known: the memory is then taken at once.
        width: Numbers in a vector, if there are no vectors.
    """

    def __init__(self, count: int | None, width: int) -> None:
        self._count = count
        self._width = width
        self._bytes = bytearray()

    def place(self, start: int, rows: list[list[float]]) -> None:
        """Write vectors.

        Args:
            start: Index of the first.
            rows: The vectors.
        """
        width = len(rows[0])
        if not self._bytes:
            self._width = width
            self._bytes = bytearray((self._count or 0) * width * _FLOAT)
        if any(len(row) != self._width for row in rows):
            raise APIResponseValidationError("the vectors of the responses have different lengths")
        row_format = Struct(f"{self._width}f")
        missing = (start + len(rows)) * row_format.size - len(self._bytes)
        if missing > 0:
            self._bytes.extend(bytes(missing))
        for index, row in enumerate(rows, start):
            row_format.pack_into(self._bytes, index * row_format.size, *row)

    def vectors(self, count: int) -> Vectors:
        """Return the first vectors as an array, or as lists if numpy is not installed."""
        try:
            import numpy
        except ImportError:
            view = memoryview(self._bytes)[: count * self._width * _FLOAT]
            lists: Any = view.cast("f", (count, self._width)).tolist() if count else []
            return lists  # type: ignore[no-any-return]
        return numpy.frombuffer(self._bytes, numpy.float32, count * self._width).reshape(count, self._width)
