"""Replies ordered by tests: a text, a message or a whole answer of either version, parsed into pieces.

They are sent as they are; only their shape is checked.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from gigachat.server.engine import FunctionCall, Piece, Reasoning, Stop
from gigachat.server.tokens import phrases
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.responses import compact
from gigachat.server.wire.shapes import STATE_NAMES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

T = TypeVar("T")
_KINDS: Mapping[type, str] = {str: "a text", list: "a list", dict: "a dictionary"}
BESIDE = ("error_details", "additional_data")
"""Fields of an answer of either version that may also be written beside a message."""
_BESIDE_TEXT = ("inline_data", "logprobs")
_OF_V1 = (
    *("content", "reasoning_content", "function_call", "function_calls", "functions_state_id", "finish_reason"),
    "error_details",
)

Payload: TypeAlias = "bytes | str | Mapping[str, Any] | tuple[str, Mapping[str, Any]]"
"""One event of a hand-made stream; with a name it is a pair."""


@dataclass(frozen=True, slots=True)
class Part:
    """A content part of v2 that is sent as it is."""

    role: str
    fields: Mapping[str, Any]
    state_id: str | None = None
    """That of its message."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """An ordered answer.

    Args:
        pieces: What is to be sent.
        envelope: The other fields of the answer, by the names of its version.
        messages: The messages of a v2 order, to be sent as they are in an answer that is not streamed.
        state_id: State id of the first message that has one.
        body: The whole body of a v1 order, to be sent as it is in an answer that is not streamed.
    """

    pieces: Sequence[Piece | Part]
    envelope: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] | None = None
    state_id: str | None = None
    body: Mapping[str, Any] | None = None


def check_order(answer: object) -> object:
    """Return an answer that can be sent.

    Raises:
        ValueError: It cannot; the message names the field.
    """
    if isinstance(answer, Refusal):
        return answer
    if not isinstance(answer, (str, Mapping)):
        raise ValueError(f"write a text or a dictionary, not {type(answer).__name__}")
    read_order(answer)
    if not isinstance(answer, str):
        _json(answer)
    return answer


def read_order(answer: str | Mapping[str, Any] | Refusal) -> Ordered:
    """Return an order read; see `GigaChatServer.reply` for what it may be.

    Raises:
        Refusal: The order is a refusal.
        ValueError: It is not an answer of either version.
    """
    if isinstance(answer, Refusal):
        raise answer
    if isinstance(answer, str):
        return Ordered(list(phrases(answer)))
    if "messages" in answer:
        return _v2(_objects(answer, "messages"), {name: answer[name] for name in answer if name != "messages"})
    if isinstance(answer.get("content"), list):
        outside = ("finish_reason", *BESIDE)
        parts = [_with_id(part) for part in _objects(answer, "content")]
        message = {name: value for name, value in answer.items() if name not in outside}
        message = {"role": "assistant", **message, "content": parts}
        return _v2([message], {name: answer[name] for name in outside if name in answer})
    if "choices" in answer:
        choices = _objects(answer, "choices")
        said = _field(choices[0], "message", dict) if choices else None
        if said is None:
            raise ValueError("choices must contain an object with a message")
        envelope = {name: answer[name] for name in answer if name != "choices"}
        return _v1(said, _field(choices[0], "finish_reason", str), envelope, body=answer)
    if answer.keys().isdisjoint(_OF_V1):
        raise ValueError(f"a message has one of {', '.join(_OF_V1)}; a whole answer has choices or messages")
    return _v1(answer, _field(answer, "finish_reason", str), {name: answer[name] for name in BESIDE if name in answer})


def _with_id(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part with an id of its call, if it has a call."""
    call = _field(part, "function_call", dict)
    if call is None or call.get("id") is not None:
        return part
    return {**part, "function_call": {**call, "id": str(uuid.uuid4())}}


def _v1(
    message: Mapping[str, Any],
    reason: str | None,
    envelope: Mapping[str, Any],
    *,
    body: Mapping[str, Any] | None = None,
) -> Ordered:
    """Return an order of v1 read; to a whole `body` nothing is added."""
    thoughts = _field(message, "reasoning_content", str) or ""
    pieces: list[Piece | Part] = [Reasoning(one) for one in phrases(thoughts)]
    cut: list[Piece | Part] = [*phrases(_field(message, "content", str) or "")]
    beside = {name: message[name] for name in _BESIDE_TEXT if message.get(name) is not None}
    if beside:
        cut[-1:] = [Part("assistant", {"text": "".join(map(str, cut[-1:])), **beside})]
    pieces += cut
    calls = _calls(message)
    pieces += [Part("assistant", {"function_call": message["function_call"]}) for _ in calls] if body else calls
    if reason is not None:
        pieces.append(Stop(reason))
    return Ordered(pieces, envelope, None, _field(message, "functions_state_id", str), body)


def _v2(messages: Sequence[Mapping[str, Any]], envelope: Mapping[str, Any]) -> Ordered:
    messages = [{**message, "role": _field(message, "role", str) or "assistant"} for message in messages]
    pieces: list[Piece | Part] = []
    for message in messages:
        role = message["role"]
        state_id = _state_id(message)
        for part in _objects(message, "content"):
            _calls(part)
            if any(_field(file, "id", str) is None for file in _objects(part, "files")):
                raise ValueError("each of files must have an id")
            cut = list(phrases(_field(part, "text", str) or ""))
            pieces += [Part(role, {"text": one}, state_id) for one in cut[:-1]]
            pieces.append(Part(role, {**part, "text": cut[-1]} if cut else part, state_id))
    reason = _field(envelope, "finish_reason", str)
    if reason is not None:
        pieces.append(Stop(reason))
    ids = [state_id for state_id in map(_state_id, messages) if state_id is not None]
    return Ordered(pieces, envelope, messages, ids[0] if ids else None)


def _state_id(message: Mapping[str, Any]) -> str | None:
    return next((found for name in STATE_NAMES if (found := _field(message, name, str)) is not None), None)


def _calls(message: Mapping[str, Any]) -> list[FunctionCall]:
    call = _field(message, "function_call", dict)
    calls = [] if call is None else [call]
    return [_call(one) for one in (*calls, *_objects(message, "function_calls"))]


def _call(call: Mapping[str, Any]) -> FunctionCall:
    name = _field(call, "name", str)
    if not name:
        raise ValueError("function_call must have a name")
    return FunctionCall(name, call.get("arguments", {}), _field(call, "id", str))


def _field(fields: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"{name} must be {_KINDS[kind]}, not {type(value).__name__}")
    return value


def _objects(fields: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    values = _field(fields, name, list) or []
    if not all(isinstance(value, dict) for value in values):
        raise ValueError(f"{name} must be a list of dictionaries")
    return values


def literal_event(payload: Payload) -> bytes:
    """Return an event of a literal stream; see `GigaChatServer.stream_events`.

    Raises:
        ValueError: It cannot be one.
    """
    match payload:
        case bytes():
            return payload
        case str():
            return f"data: {payload}\n\n".encode()
        case Mapping():
            return b"data: " + _json(payload) + b"\n\n"
        case (str() as name, Mapping() as value):
            return f"event: {name}\n".encode() + literal_event(value)
    raise ValueError(f"an event is bytes, a text, a dictionary, or a name and a dictionary, not {payload!r}")


def _json(value: Mapping[str, Any]) -> bytes:
    try:
        return compact(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"it cannot be sent as JSON: {error}") from None


async def one_by_one(items: Iterable[T]) -> AsyncGenerator[T, None]:
    """Yield the pieces or the events of an order, as an engine would."""
    for item in items:
        yield item
