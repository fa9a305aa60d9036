"""Streams of chats v2: the end mark, objects that are no chunks, chunks joined into a whole response.

Chunks hold pieces of messages (reference, section 5.7), which are joined by author and id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat import models
from gigachat.api.streaming import ChunkAccumulator, appended, joined
from gigachat.exceptions import APIResponseValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DONE = "response.message.done"


def ends(chunk: models.PrimaryChatCompletionChunk) -> bool:
    """Whether a chunk is the end mark."""
    return chunk.event == _DONE


def refuse_error(chunk: models.PrimaryChatCompletionChunk, name: str | None, content: bytes) -> None:
    """Refuse an object without messages that is an error and not a chunk; the stream then raises its class."""
    extra = chunk.model_extra
    if not extra or chunk.finish_reason is not None:
        return
    status = extra.get("status", extra.get("code"))
    if (
        (isinstance(status, int) and 400 <= status <= 599)
        or isinstance(extra.get("error"), dict)
        or (name is None and "message" in extra)
    ):
        raise APIResponseValidationError("the stream contains an object that is not a chunk", content=content)


_LIKE = {"created_at", "event", "messages", "model", "x_headers"}
_LIKE_MESSAGES = ({"content", "role"}, {"content"})
_LIKE_PART = {"text"}


class MessageAccumulator(ChunkAccumulator["models.PrimaryChatCompletionChunk", "models.ChatCompletionResponse"]):
    """Joins the chunks of an answer."""

    def __init__(self) -> None:
        super().__init__()
        self._messages: list[dict[str, Any]] = []
        self._known: dict[tuple[str, ...], dict[str, Any]] = {}  # the last message of each role, and of each id
        self._answer: list[str] = []  # its texts, in the order in which they came
        self._role = ""  # of the chunk joined last
        self._like: tuple[Any, ...] = (None,) * 6

    def add(self, chunks: Sequence[models.PrimaryChatCompletionChunk]) -> Iterator[int]:
        """Take chunks; yield the index of each that is more than text to append, when it is taken."""
        # Dictionaries, for pydantic slows the access to attributes.
        names, model, created_at, event, message_names, role = self._like
        for index, chunk in enumerate(chunks):
            if chunk.__pydantic_fields_set__ == names:
                fields = chunk.__dict__
                messages = fields["messages"]
                if (
                    fields["model"] == model
                    and fields["created_at"] == created_at
                    and fields["event"] == event
                    and messages
                    and len(messages) == 1
                    and messages[0].__pydantic_fields_set__ == message_names
                ):
                    message = messages[0].__dict__
                    content = message["content"]
                    if message["role"] == role and content and len(content) == 1:
                        part = content[0]
                        if part.__pydantic_fields_set__ == _LIKE_PART and (text := part.__dict__["text"]) is not None:
                            self._texts.append(text)
                            continue
            self._take(_with_one_state(chunk))
            self._like = names, model, created_at, event, message_names, role = _like(chunk)
            yield index

    def text(self) -> str:
        """Return the text of the answer so far."""
        self._join_texts()
        return "".join(self._answer)

    def completion(self) -> models.ChatCompletionResponse:
        """Return the completion so far."""
        self._join_texts()
        in_order = sorted(self._messages, key=lambda message: message["role"] == "assistant")
        return joined(models.ChatCompletionResponse, {**self._fields, "messages": in_order})

    def _join(self, chunk: models.PrimaryChatCompletionChunk) -> None:
        self._join_fields(chunk, "messages")
        self._answer.append(chunk.text)
        for piece in chunk.messages or ():
            more = piece.model_dump(exclude_unset=True, by_alias=True)
            self._role = more.pop("role", None) or "assistant"
            message = _message_of(self._messages, self._known, self._role, more)
            for part in more.pop("content", None) or ():
                _append(message["content"], part)
            for name, value in more.items():
                if value is not None:
                    message[name] = appended(name, message.get(name), value)

    def _join_text(self, text: str) -> None:
        _append(self._known[(self._role,)]["content"], {"text": text})
        if self._role == "assistant":
            self._answer.append(text)


def _with_one_state(chunk: models.PrimaryChatCompletionChunk) -> models.PrimaryChatCompletionChunk:
    """Return a chunk, with one name of the state where it has several: a hook of the model would slow all chunks."""
    from gigachat.models.chat_completions import keep_one_state

    for stated in (chunk, *(chunk.messages or ())):
        keep_one_state(stated)
    return chunk


def _like(chunk: models.PrimaryChatCompletionChunk) -> tuple[Any, ...]:
    """Return how to know a chunk that is like this one, but for its text."""
    message = chunk.messages[0] if chunk.messages and len(chunk.messages) == 1 else None
    if message is None or message.model_fields_set not in _LIKE_MESSAGES or len(message.content or ()) != 1:
        return (None,) * 6
    part = message.content[0]  # type: ignore[index]
    if part.model_fields_set != _LIKE_PART or part.text is None or not chunk.model_fields_set <= _LIKE:
        return (None,) * 6
    # Copies: a caller that sets a field of a chunk changes its set.
    names = {*chunk.model_fields_set}, {*message.model_fields_set}
    return names[0], chunk.model, chunk.created_at, chunk.event, names[1], message.role


_IDS = ("message_id", "tools_state_id")


def _message_of(
    messages: list[dict[str, Any]], known: dict[tuple[str, ...], dict[str, Any]], role: str, piece: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the message that a piece belongs to: one with its ids, the last of its role, or a new one.

    Args:
        messages: The messages; a new one is added.
        known: The last message of each role, and of each role and id.
        role: Author of the piece.
        piece: The piece.
    """
    keys = [(role, name, str(piece[name])) for name in _IDS if piece.get(name) is not None]
    for key in (*keys, (role,)):
        found = known.get(key)
        if found is not None and not any(_differ(piece, found, name) for name in _IDS):
            message = found
            break
    else:
        message = {"role": role, "content": []}
        messages.append(message)
    known.update(dict.fromkeys((*keys, (role,)), message))
    return message


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    return None not in (one.get(name), other.get(name)) and one[name] != other[name]


_BESIDE_TEXT = {"files", "function_call", "function_result", "tool_execution"}
"""Keys of parts that are not text."""


def _append(parts: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    """Add a piece of a message: extend the preceding text, or replace the tool's last progress."""
    last = parts[-1] if parts else {}
    if "text" in last and not _BESIDE_TEXT & (piece.keys() | last.keys()):
        for name, value in piece.items():
            if value is not None:
                last[name] = appended(name, last.get(name), value)
    elif _tool_of(piece) and _tool_of(piece) == _tool_of(last):
        last.update(piece)
    else:
        parts.append(piece)


def _tool_of(piece: Mapping[str, Any]) -> Any:
    return (piece.get("tool_execution") or {}).get("name")
