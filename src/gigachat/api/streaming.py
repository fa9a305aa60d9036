"""Streams of chats and threads: the text of a chunk, the end of the answer, chunks joined into a whole response.

Chunks of chats v1 and of threads have the same form (reference, section 4.7).
"""

from __future__ import annotations

import copy
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from gigachat.api.arguments import validated
from gigachat.exceptions import APIResponseValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigachat import models

    Chunk: TypeAlias = models.ChatCompletionChunk | models.ThreadCompletionChunk
    CompletionT = TypeVar("CompletionT", bound=models.APIResponse)

ACCEPT = {"accept": "text/event-stream", "cache-control": "no-store"}
"""Headers of requests for a stream, of v2 too."""
finish_reason = attrgetter("finish_reason")
"""Returns why a choice of an answer ended."""
_IN_PROGRESS = "function_in_progress"  # role of chunks that report a built-in function; not part of the response
_GROWING = ("content", "reasoning_content", "text", "logprobs", "inline_data")


def finished(chunk: Chunk) -> bool:
    """Whether a chunk says why the answer ended."""
    return any(choice.finish_reason is not None for choice in chunk.choices)


def text(chunk: Chunk) -> str:
    """Return the text a chunk adds to the answer."""
    return "".join(
        choice.delta.content or ""
        for choice in chunk.choices
        if choice.index == 0 and choice.delta.role != _IN_PROGRESS
    )


def joined_choices(chunks: Sequence[Chunk]) -> dict[int, dict[str, Any]]:
    """Return the fields of the choices, by index, each with its message, for `joined`."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for part in chunk.choices:
            choice = choices.setdefault(part.index, {"index": part.index, "message": {"role": "assistant"}})
            choice.update((name, value) for name, value in (part.model_extra or {}).items() if name != "message")
            if part.finish_reason is not None:
                choice["finish_reason"] = part.finish_reason
            if part.delta.role == _IN_PROGRESS:
                continue
            message = choice["message"]
            for name, value in part.delta.model_dump(exclude_unset=True).items():
                if value is not None:
                    message[name] = appended(name, message.get(name), value)
    return choices


class _Pieces(list[Any]):
    """Pieces of a value that grows, until `_whole` joins them: adding each to the whole takes quadratic time."""


def appended(name: str, before: Any, value: Any) -> Any:
    """Return the value of a field that a later chunk adds to or, unless the field is one that grows, replaces."""
    if before is None or name not in _GROWING:
        return value
    pieces = before if isinstance(before, _Pieces) else _Pieces([before])
    if type(pieces[-1]) is not type(value):
        return value
    pieces.append(value)
    return pieces


def _joined(pieces: Sequence[Any]) -> Any:
    """Return one value of several of one type."""
    if isinstance(pieces[0], str):
        return "".join(pieces)
    if isinstance(pieces[0], list):
        return [*chain.from_iterable(pieces)]
    if not isinstance(pieces[0], dict):
        return pieces[-1]
    fields: dict[str, Any] = {}  # those of `inline_data`, each a list or an object that grows
    for piece in pieces:
        for name, value in piece.items():
            before = fields.get(name)
            if isinstance(value, list) and isinstance(before, list):
                before += value
            elif isinstance(value, dict) and isinstance(before, dict):
                before |= value
            else:
                fields[name] = copy.copy(value)
    return fields


def _whole(value: Any) -> Any:
    if isinstance(value, _Pieces):
        return _joined(value)
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return [*map(_whole, value)] if isinstance(value, list) else value


def joined(kind: type[CompletionT], chunks: Sequence[models.APIResponse], **fields: Any) -> CompletionT:
    """Join the chunks of a stream into the response that the call has without streaming.

    Args:
        kind: Class of the response.
        chunks: The chunks. A later value of a field takes the place of an earlier one, or is added to it.
        fields: Fields of the response that are not taken from the chunks.

    Raises:
        APIResponseValidationError: The fields do not fit.
    """
    whole: dict[str, Any] = {}
    for chunk in chunks:
        own = chunk.model_dump(exclude={"choices", "event", *fields}, exclude_unset=True, by_alias=True)
        for name, value in own.items():
            if value is not None:
                whole[name] = appended(name, whole.get(name), value)
    return validated(
        kind,
        _whole({**whole, **fields}),
        lambda reason: APIResponseValidationError(f"the chunks cannot be joined into {kind.__name__}: {reason}"),
    )
