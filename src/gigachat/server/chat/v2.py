"""The v2 chat: `POST /v2/chat/completions`, plain and streamed (reference, section 5).

It turns the pieces of an answer into the recorded shapes, key for key: messages of content parts, named events and no
end mark.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from gigachat.models.chat_completions import ChatCompletionRequest
from gigachat.server.chat.answer import Answer, event_stream
from gigachat.server.chat.validation_v2 import check_chat_v2
from gigachat.server.engine import FunctionCall, Piece, Reasoning, Source, Spent, Stop, ToolUse
from gigachat.server.orders.replies import Part
from gigachat.server.state.state import new_state_id
from gigachat.server.wire.responses import answer, named_event, unless_gone
from gigachat.server.wire.shapes import read_body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.orders.replies import Ordered
    from gigachat.server.orders.rules import Rule
    from gigachat.server.service import Endpoints, Service

# Nothing of a prompt that was never seen (all recordings of v2).
_ALWAYS_CACHED = 0


async def _complete(request: Request, service: Service) -> Response:
    body = await read_body(request, ChatCompletionRequest, strict=service.state.strict)
    asked = check_chat_v2(body, service.state)
    made = await _AnswerV2.begin(asked, service, request.headers.get("x-client-id"), _ALWAYS_CACHED)

    def parts(rule: Rule | None) -> AsyncGenerator[Part, None]:
        # After the result of a function the engine's answer has a state too (recorded).
        if rule is None and asked.chat.messages[-1].role == "function":
            made.state_id = new_state_id()
        return _parts(made.pieces(rule), made)

    if asked.stream:
        error = partial(named_event, "response.error")
        return await event_stream(request, asked, service, lambda rule: _events(parts(rule), made), error)

    async def answered(rule: Rule | None) -> dict[str, Any]:
        if rule is not None:
            await asyncio.sleep(rule.after)
        said = [piece async for piece in parts(rule)]
        messages = list(made.messages) if made.messages is not None else _joined(said, made)
        made.keep_last(messages)
        return {**made.head(), "messages": messages, **made.tail()}

    work = answered(service.script.reply(asked.chat.options))
    return answer(request, await unless_gone(request.receive, work))


@dataclass(slots=True)
class _AnswerV2(Answer):
    """An answer in the shapes of v2."""

    order: Mapping[str, Any] = field(default_factory=dict)
    """What an order says of the answer; it goes before all else."""
    messages: Sequence[Mapping[str, Any]] | None = None
    """The messages of an order."""

    def obey(self, order: Ordered) -> None:
        """Copy the envelope of a v2 order; that of v1 has other names and shapes."""
        if order.messages is not None:
            self.order = order.envelope
            self.messages = order.messages

    def head(self) -> dict[str, Any]:
        """Return what begins a body or an event."""
        body = {
            "model": self.order.get("model", self.asked.chat.model.resolved),
            "created_at": self.order.get("created_at", self.created),
        }
        history = self.asked.history
        if history.kept and history.thread is not None:
            body["thread_id"] = history.thread.id
        return body

    def tail(self) -> dict[str, Any]:
        """Return what ends a body or a stream; cached tokens are no part of the sums (reference, section 5.6)."""
        usage = {
            "input_tokens": self.prompt.charged,
            "input_tokens_details": {"prompt_tokens": self.prompt.charged, "cached_tokens": self.prompt.cached},
            "output_tokens": self.completion,
            "total_tokens": self.prompt.charged + self.completion,
        }
        rest = {name: value for name, value in self.order.items() if name not in ("model", "created_at")}
        return {"finish_reason": self.reason, "usage": usage} | rest

    def message(self, role: str, parts: Sequence[Mapping[str, Any]], *, state: bool = True) -> dict[str, Any]:
        """Return a message of the answer, or a piece of one."""
        message: dict[str, Any] = {"role": role}
        if role == "assistant":
            if self.asked.history.kept:
                message["message_id"] = self.asked.history.message_id
            if state and self.state_id is not None:
                message["tool_state_id"] = self.state_id
        return {**message, "content": list(parts)}

    def keep_last(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Add the last message that is no reasoning to the history."""
        said = next((one for one in reversed(messages) if one.get("role") == "assistant"), None)
        if said is not None:
            self.keep(said)


async def _events(pieces: AsyncGenerator[Part, None], made: _AnswerV2) -> AsyncGenerator[bytes, None]:
    """Yield the events of a stream.

    Function calls come whole, in the event that ends the stream (reference, section 5.7).
    """
    size = made.chunk_size()
    said: list[Part] = []
    calls: list[Part] = []
    waiting: list[Part] = []
    # No recording shows where a state id comes in a stream of text; here the first piece of the message has it.
    named = False

    def delta(parts: Sequence[Part]) -> bytes:
        nonlocal named
        [role] = {part.role for part in parts}
        message = made.message(role, _merged(parts), state=not named)
        named = named or role == "assistant"
        return named_event("response.message.delta", {**made.head(), "messages": [message]})

    async with aclosing(pieces):
        async for piece in pieces:
            said.append(piece)
            if "function_call" in piece.fields:
                calls.append(piece)
                continue
            if waiting and (piece.role != waiting[0].role or "text" not in piece.fields):
                yield delta(waiting)
                waiting.clear()
            waiting.append(piece)
            if "text" not in piece.fields or (size is not None and len(waiting) >= size):
                yield delta(waiting)
                waiting.clear()
    if waiting:
        yield delta(waiting)
    done = made.head()
    if calls:
        done["messages"] = [made.message("assistant", [part.fields for part in calls])]
    # Kept before the end is sent: the next request may come at once.
    made.keep_last(_joined(said, made))
    yield named_event("response.message.done", {**done, **made.tail()})


async def _parts(pieces: AsyncGenerator[Piece | Part, None], made: _AnswerV2) -> AsyncGenerator[Part, None]:
    """Yield the pieces as content parts, and note what they cost and how the answer ended."""
    said: list[str] = []
    calls: list[FunctionCall] = []
    spent: Spent | None = None
    sources: Sequence[Source] = ()
    held: str | None = None
    """A text held back while it may be the last, to which the sources of a search belong."""
    async with aclosing(pieces):
        async for piece in pieces:
            match piece:
                case str():
                    said.append(piece)
                    if not sources:
                        yield Part("assistant", {"text": piece})
                        continue
                    if held is not None:
                        yield Part("assistant", {"text": held})
                    held = piece
                case Reasoning():
                    said.append(piece.text)
                    yield Part("reasoning", {"text": piece.text})
                case FunctionCall():
                    calls.append(piece)
                    made.owe()
                    yield Part("assistant", {"function_call": {"name": piece.name, "arguments": piece.arguments}})
                case ToolUse():
                    made.state_id = made.state_id or new_state_id()
                    sources = [*sources, *piece.sources]
                    for file in piece.files:
                        shown = {"id": made.keep_file(file), "mime": file.mime, "target": file.target}
                        yield Part("assistant", {"files": [shown]})
                case Stop():
                    made.reason = piece.reason
                case Spent():
                    spent = piece
                case Part():
                    said.append(piece.fields.get("text") or "")
                    if "function_call" in piece.fields:
                        made.owe()
                    yield piece
    await made.pay("".join(said), calls, spent)
    if sources:
        yield Part("assistant", {"text": held or "", "inline_data": _inline_data(sources)})


def _inline_data(sources: Sequence[Source]) -> dict[str, Any]:
    numbered = {str(number): {"url": one.url, "title": one.title} for number, one in enumerate(sources, 1)}
    return {"images": [], "sources": numbered}


def _joined(parts: Sequence[Part], made: _AnswerV2) -> list[dict[str, Any]]:
    """Return the messages the parts make up: neighbours of one role are one message."""
    messages: list[dict[str, Any]] = []
    speaking: list[Part] = []
    for part in parts:
        if speaking and part.role != speaking[0].role:
            messages.append(made.message(speaking[0].role, _merged(speaking)))
            speaking = []
        speaking.append(part)
    role = speaking[0].role if speaking else "assistant"
    messages.append(made.message(role, _merged(speaking) or [{"text": ""}]))
    return messages


def _merged(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Return the content of a message: neighbouring texts are joined, with the other fields of the last of them."""
    merged: list[dict[str, Any]] = []
    for part in parts:
        before = merged[-1] if merged else {}
        if before.keys() == {"text"} and "text" in part.fields:
            merged[-1] = {**part.fields, "text": before["text"] + part.fields["text"]}
        else:
            merged.append(dict(part.fields))
    return merged


ENDPOINTS: Endpoints = (("POST", "/chat/completions", _complete),)
