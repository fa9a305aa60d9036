"""Streams of chats and threads: the text of a chunk, the end of the answer, chunks joined into a whole response.

Chunks of chats v1 and of threads have the same form (reference, section 4.7).
"""

from __future__ import annotations

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
_APPENDED = ("content", "reasoning_content", "text", "logprobs")


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
            choice.update(part.model_extra or {})
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
    """Pieces of a text or list that grows, until `_whole` joins them: adding each to the whole takes quadratic time."""


def appended(name: str, before: Any, value: Any) -> Any:
    """Return the value of a field that a later chunk adds to or, unless the field is one that grows, replaces."""
    if before is None:
        return value
    if name in _APPENDED:
        pieces = before if isinstance(before, _Pieces) else _Pieces([before])
        pieces.append(value)
        return pieces
    if name != "inline_data":
        return value
    both = {**before, **value}
    for kind in before.keys() & value.keys():
        one, other = before[kind], value[kind]
        if isinstance(one, list) and isinstance(other, list):
            both[kind] = one + other
        elif isinstance(one, dict) and isinstance(other, dict):
            both[kind] = {**one, **other}
    return both


def _whole(value: Any) -> Any:
    if isinstance(value, _Pieces):
        return "".join(value) if isinstance(value[0], str) else [*chain.from_iterable(value)]
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
