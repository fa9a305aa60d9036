"""Streams in the form of v1, of chats and of threads: what a chunk adds, and whether one ends the answer.

How chunks are put together is up to those who know the whole (reference, section 4.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from gigachat._engine.call import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigachat import models
    from gigachat._engine.sse import Event

    Chunk: TypeAlias = models.ChatCompletionChunk | models.ThreadCompletionChunk
    ChunkT = TypeVar("ChunkT", bound=Chunk)

__all__ = ["ACCEPT", "IN_PROGRESS", "finished", "read_chunk", "text"]

ACCEPT = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
"""Headers of requests for a stream, of v2 too."""
IN_PROGRESS = "function_in_progress"
"""Role of chunks that tell how a built-in function gets on: no part of the answer."""


def read_chunk(model: type[ChunkT]) -> Callable[[Event, dict[str, str | None]], ChunkT]:
    """Return the reading of an event as a chunk."""

    def read(event: Event, x_headers: dict[str, str | None]) -> ChunkT:
        chunk = parse(model, event.data)
        vars(chunk)["x_headers"] = x_headers  # past pydantic's setter: there are thousands of chunks
        chunk.__pydantic_fields_set__.add("x_headers")
        return chunk

    return read


def finished(chunk: Chunk) -> bool:
    """Whether a chunk says why the answer ended."""
    return any(choice.finish_reason is not None for choice in chunk.choices)


def text(chunk: Chunk) -> str:
    """Return the text a chunk adds to the answer."""
    return "".join(
        choice.delta.content or "" for choice in chunk.choices if choice.index == 0 and choice.delta.role != IN_PROGRESS
    )
