"""Streams in the form of v1, of chats and of threads: what a chunk adds, and whether one ends the answer.

`chat` and `threads` join chunks into a whole response (reference, section 4.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gigachat import models

    Chunk: TypeAlias = models.ChatCompletionChunk | models.ThreadCompletionChunk

__all__ = ["ACCEPT", "IN_PROGRESS", "finished", "text"]

ACCEPT = {"accept": "text/event-stream", "cache-control": "no-store"}
"""Headers of requests for a stream, of v2 too."""
IN_PROGRESS = "function_in_progress"
"""Role of chunks that report the progress of a built-in function; they are not part of the response."""


def finished(chunk: Chunk) -> bool:
    """Whether a chunk says why the answer ended."""
    return any(choice.finish_reason is not None for choice in chunk.choices)


def text(chunk: Chunk) -> str:
    """Return the text a chunk adds to the answer."""
    return "".join(
        choice.delta.content or "" for choice in chunk.choices if choice.index == 0 and choice.delta.role != IN_PROGRESS
    )
