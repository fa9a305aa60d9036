"""Streams of chats and threads: the text of a chunk, the end of the answer, chunks joined into a whole response.

Chunks of chats v1 and of threads have the same form (reference, section 4.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from gigachat._engine.failures import failure_text
from gigachat.api.arguments import validated
from gigachat.exceptions import APIResponseValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigachat import models

    Chunk: TypeAlias = models.ChatCompletionChunk | models.ThreadCompletionChunk
    CompletionT = TypeVar("CompletionT", bound=models.APIResponse)

ACCEPT = {"accept": "text/event-stream", "cache-control": "no-store"}
"""Headers of requests for a stream, of v2 too."""
_IN_PROGRESS = "function_in_progress"  # role of chunks that report a built-in function; not part of the response
_APPENDED = ("content", "reasoning_content")


def finished(chunk: Chunk) -> bool:
    """Whether a chunk says why the answer ended."""
    return any(choice.finish_reason is not None for choice in chunk.choices)


def chunk_failure(chunk: Chunk) -> str | None:
    """Return what is known about a failure that a chunk reports; None if it reports none."""
    return failure_text(chunk.error_details, [choice.finish_reason for choice in chunk.choices])


def text(chunk: Chunk) -> str:
    """Return the text a chunk adds to the answer."""
    return "".join(
        choice.delta.content or ""
        for choice in chunk.choices
        if choice.index == 0 and choice.delta.role != _IN_PROGRESS
    )


def joined_choices(chunks: Sequence[Chunk]) -> dict[int, dict[str, Any]]:
    """Return the fields of the choices, by index, each with its whole message."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for part in chunk.choices:
            choice = choices.setdefault(part.index, {"index": part.index, "message": {"role": "assistant"}})
            choice.update(part.model_extra or {})
            if part.finish_reason is not None:
                choice["finish_reason"] = part.finish_reason
            if part.delta.role == _IN_PROGRESS:
                continue
            message = choice["message"]
            for name, value in part.delta.model_dump(exclude_unset=True).items():
                if value is not None:
                    message[name] = message.get(name, "") + value if name in _APPENDED else value
    return choices


def joined(kind: type[CompletionT], chunks: Sequence[models.APIResponse], **fields: Any) -> CompletionT:
    """Join the chunks of a stream into the response that the call has without streaming.

    Args:
        kind: Class of the response.
        chunks: The chunks. A later value of a field takes the place of an earlier one.
        fields: Fields of the response that are not taken from the chunks.

    Raises:
        APIResponseValidationError: The fields do not fit.
    """
    whole: dict[str, Any] = {}
    for chunk in chunks:
        own = chunk.model_dump(exclude={"choices", "event", *fields}, exclude_unset=True, by_alias=True)
        whole.update((name, value) for name, value in own.items() if value is not None)
    return validated(
        kind,
        {**whole, **fields},
        lambda reason: APIResponseValidationError(f"the chunks cannot be joined into {kind.__name__}: {reason}"),
    )
