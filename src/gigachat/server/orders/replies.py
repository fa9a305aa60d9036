"""Replies ordered by tests: a text, a message or a whole answer of either version, parsed into pieces.

They are sent as they are; nothing is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from gigachat.server.engine import FunctionCall, Piece, Reasoning, Stop
from gigachat.server.tokens import phrases
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.responses import event, named_event
from gigachat.server.wire.shapes import STATE_NAMES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence


Payload: TypeAlias = "bytes | str | Mapping[str, Any] | tuple[str, Mapping[str, Any]]"
"""One event of a hand-made stream; with a name it is a pair."""


@dataclass(frozen=True, slots=True)
class Part:
    """A content part of v2 that goes out as it is."""

    role: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ordered:
    """An ordered answer.

    Args:
        pieces: What is to be sent.
        envelope: The other fields of the answer, by the names of its version.
        messages: The messages of a v2 order, to go out as they are in an answer that is not streamed.
        state_id: State id of the message.
    """

    pieces: Sequence[Piece | Part]
    envelope: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] | None = None
    state_id: str | None = None


def read_order(answer: str | Mapping[str, Any] | Refusal) -> Ordered:
    """Return an order read; see `GigaChatServer.reply` for what it may be.

    Raises:
        Refusal: The order is a refusal.
    """
    if isinstance(answer, Refusal):
        raise answer
    if isinstance(answer, str):
        return Ordered(list(phrases(answer)))
    if "messages" in answer:
        return _v2(answer["messages"], {name: value for name, value in answer.items() if name != "messages"})
    if isinstance(answer.get("content"), list):
        message = {"role": "assistant", **answer}
        reason = message.pop("finish_reason", None)
        return _v2([message], {} if reason is None else {"finish_reason": reason})
    if "choices" in answer:
        choice = answer["choices"][0]
        envelope = {name: value for name, value in answer.items() if name != "choices"}
        return _v1(choice["message"], choice.get("finish_reason"), envelope)
    return _v1(answer, answer.get("finish_reason"), {})


def _v1(message: Mapping[str, Any], reason: str | None, envelope: Mapping[str, Any]) -> Ordered:
    pieces: list[Piece | Part] = [Reasoning(one) for one in phrases(message.get("reasoning_content") or "")]
    pieces += phrases(message.get("content") or "")
    call = message.get("function_call")
    if call is not None:
        pieces.append(FunctionCall(call["name"], call.get("arguments", {})))
    if reason is not None:
        pieces.append(Stop(reason))
    return Ordered(pieces, envelope, None, message.get("functions_state_id"))


def _v2(messages: Sequence[Mapping[str, Any]], envelope: Mapping[str, Any]) -> Ordered:
    pieces: list[Piece | Part] = []
    for message in messages:
        role = message.get("role", "assistant")
        for part in message.get("content", ()):
            cut = list(phrases(part.get("text") or ""))
            pieces += [Part(role, {"text": one}) for one in cut[:-1]]
            pieces.append(Part(role, {**part, "text": cut[-1]} if cut else part))
    reason = envelope.get("finish_reason")
    if reason is not None:
        pieces.append(Stop(reason))
    ids = [message[name] for message in messages for name in STATE_NAMES if message.get(name) is not None]
    return Ordered(pieces, envelope, messages, ids[0] if ids else None)


async def one_by_one(order: Ordered) -> AsyncGenerator[Piece | Part, None]:
    """Yield the pieces of an order, as an engine would."""
    for piece in order.pieces:
        yield piece


async def literal_events(payloads: Sequence[Payload]) -> AsyncGenerator[bytes, None]:
    """Yield the events of a literal stream: see `GigaChatServer.stream_events`."""
    for payload in payloads:
        if isinstance(payload, bytes):
            yield payload
        elif isinstance(payload, tuple):
            name, value = payload
            yield named_event(name, value)
        elif isinstance(payload, str):
            yield f"data: {payload}\n\n".encode()
        else:
            yield event(payload)
