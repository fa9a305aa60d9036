"""Streams of chats and threads: the text of a chunk, the end of the answer, chunks joined into a whole response.

Chunks of chats v1 and of threads have the same form (reference, section 4.7). Most chunks of a stream are like the one
before them, but for their text. Of these, only the text is kept. Others are joined before they are delivered, so that a
caller may change them.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from gigachat import models
from gigachat.api.arguments import validated
from gigachat.exceptions import APIResponseValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Chunk: TypeAlias = models.ChatCompletionChunk | models.ThreadCompletionChunk
    CompletionT = TypeVar("CompletionT", bound=models.APIResponse)

ChunkT = TypeVar("ChunkT")
MadeT = TypeVar("MadeT")

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


class _Pieces(list[Any]):
    """Pieces of a value that grows, until `whole` joins them: adding each to the whole takes quadratic time."""


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


def whole(value: Any) -> Any:
    """Return a value whose growing parts are joined; the value itself keeps them apart."""
    if isinstance(value, _Pieces):
        return _joined(value)
    if isinstance(value, dict):
        return {name: whole(one) for name, one in value.items()}
    return [*map(whole, value)] if isinstance(value, list) else value


class ChunkAccumulator(ABC, Generic[ChunkT, MadeT]):
    """Joins the chunks of one stream into the response that the call has without streaming."""

    def __init__(self) -> None:
        self._texts: list[str] = []  # of chunks like the one that was joined last
        self._fields: dict[str, Any] = {}  # of the response, in common with the chunks

    @abstractmethod
    def add(self, chunks: Sequence[ChunkT]) -> Iterator[int]:
        """Take chunks; yield the index of each that is more than text to append, when it is taken."""

    @abstractmethod
    def text(self) -> str:
        """Return the whole text so far."""

    @abstractmethod
    def completion(self) -> MadeT:
        """Return the completion so far."""

    @abstractmethod
    def _join(self, chunk: ChunkT) -> None:
        """Join a chunk to those before it."""

    @abstractmethod
    def _join_text(self, text: str) -> None:
        """Join chunks that are like the one joined last, but for their text."""

    def _take(self, chunk: ChunkT) -> None:
        self._join_texts()
        self._join(chunk)

    def _join_texts(self) -> None:
        if self._texts:
            self._join_text("".join(self._texts))
            self._texts = []

    def _join_fields(self, chunk: models.APIResponse, *apart: str) -> None:
        """Join the fields of a chunk, without some: a later value replaces an earlier one, or is added to it."""
        own = chunk.model_dump(exclude={"event", *apart}, exclude_unset=True, by_alias=True)
        for name, value in own.items():
            if value is not None:
                self._fields[name] = appended(name, self._fields.get(name), value)


_LIKE = {"choices", "created", "model", "object_", "x_headers"}
_LIKE_CHOICES = ({"delta", "index"}, {"delta"})
_LIKE_DELTAS: Mapping[frozenset[str], str] = {
    frozenset(("content",)): "content",
    frozenset(("content", "role")): "content",
    frozenset(("reasoning_content",)): "reasoning_content",
    frozenset(("reasoning_content", "role")): "reasoning_content",
}


class ChoiceAccumulator(ChunkAccumulator["Chunk", MadeT]):
    """Joins chunks of choices."""

    _apart: tuple[str, ...] = ("choices",)

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, dict[str, Any]] = {}
        self._joined_field = ""
        self._like: tuple[Any, ...] = (None,) * 8

    def add(self, chunks: Sequence[Chunk]) -> Iterator[int]:
        """Take chunks; yield the index of each that is more than text to append, when it is taken."""
        # Dictionaries, for pydantic slows the access to attributes.
        names, model, created, kind, choice_names, delta_names, role, field = self._like
        for index, chunk in enumerate(chunks):
            if chunk.__pydantic_fields_set__ == names:
                fields = chunk.__dict__
                choices = fields["choices"]
                if (
                    fields["model"] == model
                    and fields["created"] == created
                    and fields["object_"] == kind
                    and len(choices) == 1
                    and choices[0].__pydantic_fields_set__ == choice_names
                ):
                    choice = choices[0].__dict__
                    delta = choice["delta"]
                    if choice["index"] == 0 and delta.__pydantic_fields_set__ == delta_names:
                        delta = delta.__dict__
                        text = delta[field]
                        if text is not None and delta["role"] is role:
                            self._texts.append(text)
                            continue
            self._take(chunk)
            self._like = names, model, created, kind, choice_names, delta_names, role, field = _like(chunk)
            yield index

    def text(self) -> str:
        """Return the text of the first choice so far."""
        self._join_texts()
        message = self._choices.get(0, {}).get("message", {})
        return whole(message.get("content")) or ""

    def choices(self) -> dict[int, dict[str, Any]]:
        """Return the fields of the choices so far, by index, each with its message."""
        self._join_texts()
        return self._choices

    def _join(self, chunk: Chunk) -> None:
        self._join_fields(chunk, *self._apart)
        for part in chunk.choices:
            choice = self._choices.setdefault(part.index, {"index": part.index, "message": {"role": "assistant"}})
            choice.update((name, value) for name, value in (part.model_extra or {}).items() if name != "message")
            if part.finish_reason is not None:
                choice["finish_reason"] = part.finish_reason
            if part.delta.role == _IN_PROGRESS:
                continue
            message = choice["message"]
            for name, value in part.delta.model_dump(exclude_unset=True).items():
                if value is not None:
                    message[name] = appended(name, message.get(name), value)
        self._joined_field = _like(chunk)[-1]

    def _join_text(self, text: str) -> None:
        message, name = self._choices[0]["message"], self._joined_field
        message[name] = appended(name, message.get(name), text)


class ChatAccumulator(ChoiceAccumulator["models.ChatCompletion"]):
    """Joins the chunks of a chat."""

    def completion(self) -> models.ChatCompletion:
        """Return the completion so far."""
        choices = [choice for _, choice in sorted(self.choices().items())]
        return joined(models.ChatCompletion, {**self._fields, "choices": choices})


def _like(chunk: Chunk) -> tuple[Any, ...]:
    """Return how to know a chunk that is like this one, but for its text; the last item is the name of the text."""
    choice = chunk.choices[0] if len(chunk.choices) == 1 else None
    if choice is None or choice.index != 0 or choice.model_fields_set not in _LIKE_CHOICES:
        return (None,) * 8
    delta = choice.delta
    field = _LIKE_DELTAS.get(frozenset(delta.model_fields_set))
    if field is None or delta.role == _IN_PROGRESS or not chunk.model_fields_set <= _LIKE:
        return (None,) * 8
    # Copies: a caller that sets a field of a chunk changes its set.
    names = {*chunk.model_fields_set}, {*choice.model_fields_set}, {*delta.model_fields_set}
    return names[0], chunk.model, chunk.created, chunk.object_, *names[1:], delta.role, field


def joined(kind: type[CompletionT], fields: Mapping[str, Any]) -> CompletionT:
    """Make a response of the joined fields of chunks.

    Args:
        kind: Class of the response.
        fields: The fields.

    Raises:
        APIResponseValidationError: The fields do not fit.
    """
    return validated(
        kind,
        whole(fields),
        lambda reason: APIResponseValidationError(f"the chunks cannot be joined into {kind.__name__}: {reason}"),
    )
