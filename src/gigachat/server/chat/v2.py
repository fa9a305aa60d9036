"""The v2 chat: `POST /v2/chat/completions`, plain and streamed (reference, section 5).

It turns the pieces of an engine, or of a test's order, into the recorded shapes, key for key: messages of content
parts, named events and no end mark. It must not check requests (see `validation_v2`) nor make up text (see the
engines).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from gigachat.server.chat.usage import PromptUsage, answer_tokens, prompt_usage
from gigachat.server.chat.v1 import chunk_size, event_stream
from gigachat.server.chat.validation_v2 import check_chat_v2
from gigachat.server.engine import FunctionCall, Piece, Reasoning, Source, Spent, Stop, ToolUse
from gigachat.server.orders.replies import Part, one_by_one, read_order
from gigachat.server.state.state import new_state_id
from gigachat.server.wire.requests import read_object
from gigachat.server.wire.responses import answer, named_event, unless_gone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.chat.validation import CheckedRequest
    from gigachat.server.orders.replies import Ordered
    from gigachat.server.orders.rules import Rule
    from gigachat.server.service import Endpoint, Service
    from gigachat.server.state.state import State

# Nothing of a prompt that was never seen (all recordings of v2).
_ALWAYS_CACHED = 0


async def _complete(request: Request, service: Service) -> Response:
    asked = check_chat_v2(read_object(await request.body()), service.state)
    usage = await prompt_usage(asked.chat, service.engine, service.state, always_cached=_ALWAYS_CACHED)
    envelope = _Envelope(asked, usage, request.headers.get("x-client-id"))

    def events(reply: Rule | None) -> AsyncGenerator[bytes, None]:
        return _events(_begun(envelope, reply, service), envelope, chunk_size(asked, service.pace))

    if asked.stream:
        return await event_stream(request, asked, service, events, partial(named_event, "response.error"))
    reply = service.script.reply(asked.chat.options)
    return answer(request, await unless_gone(request.receive, _answered(envelope, reply, service)))


async def _answered(envelope: _Envelope, reply: Rule | None, service: Service) -> dict[str, Any]:
    if reply is not None:
        await asyncio.sleep(reply.after)
    return await _completion(_begun(envelope, reply, service), envelope)


def _begun(envelope: _Envelope, reply: Rule | None, service: Service) -> AsyncGenerator[Part, None]:
    """Open the history and return the pieces of the answer, ordered or from the engine."""
    asked = envelope.asked
    asked.history.open(asked.chat.model, service.state)
    if reply is not None:
        order = read_order(reply.answer)
        envelope.obey(order)
        return _parts(one_by_one(order), envelope, service)
    # After the result of a function the answer has a state too (recorded).
    if asked.chat.messages[-1].role == "function":
        envelope.state_id = new_state_id()
    return _parts(service.engine.complete(asked.chat), envelope, service)


@dataclass(slots=True)
class _Envelope:
    """What surrounds the messages of one answer."""

    asked: CheckedRequest
    prompt: PromptUsage
    client_id: str | None
    """Who alone may read the files made for this answer."""
    created: int = field(default_factory=lambda: int(time.time()))
    order: Mapping[str, Any] = field(default_factory=dict)
    """What an order says of the answer; it goes before all else."""
    messages: Sequence[Mapping[str, Any]] | None = None
    """The messages of an order."""
    state_id: str | None = None
    reason: str = "stop"
    spent: int = 0

    def obey(self, order: Ordered) -> None:
        """Take over what an order says of the answer."""
        self.state_id = order.state_id
        if order.messages is not None:  # what a v1 order says of itself has other names and shapes
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
            "output_tokens": self.spent,
            "total_tokens": self.prompt.charged + self.spent,
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

    def keep(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Add what was said to the thread; thoughts are not kept."""
        said = next((one for one in reversed(messages) if one.get("role") == "assistant"), None)
        if said is not None:
            self.asked.history.keep(self.asked.new_messages, said, self.reason)


async def _completion(pieces: AsyncGenerator[Part, None], envelope: _Envelope) -> dict[str, Any]:
    parts = [piece async for piece in pieces]
    messages = list(envelope.messages) if envelope.messages is not None else _joined(parts, envelope)
    envelope.keep(messages)
    return {**envelope.head(), "messages": messages, **envelope.tail()}


async def _events(
    pieces: AsyncGenerator[Part, None], envelope: _Envelope, size: int | None
) -> AsyncGenerator[bytes, None]:
    """Yield the events of a stream; `size` pieces of text go into one event, all of them when None.

    Function calls come whole, in the event that ends the stream (reference, section 5.7).
    """
    said: list[Part] = []
    calls: list[Part] = []
    waiting: list[Part] = []
    # Where a state is named beside texts was not seen; here the first piece of the message names it.
    named = False

    def delta(parts: Sequence[Part]) -> bytes:
        nonlocal named
        [role] = {part.role for part in parts}
        message = envelope.message(role, _merged(parts), state=not named)
        named = named or role == "assistant"
        return named_event("response.message.delta", {**envelope.head(), "messages": [message]})

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
    done = envelope.head()
    if calls:
        done["messages"] = [envelope.message("assistant", [part.fields for part in calls])]
    # Kept before it is said to be done: the next request may come at once. Who has gone before that heard no answer.
    envelope.keep(_joined(said, envelope))
    yield named_event("response.message.done", {**done, **envelope.tail()})


async def _parts(
    pieces: AsyncGenerator[Piece | Part, None], envelope: _Envelope, service: Service
) -> AsyncGenerator[Part, None]:
    """Yield the pieces as content parts, and put into the envelope what they cost and how the answer ended."""
    state = service.state
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
                    _owe(envelope, state)
                    yield Part("assistant", {"function_call": {"name": piece.name, "arguments": piece.arguments}})
                case ToolUse():
                    envelope.state_id = envelope.state_id or new_state_id()
                    sources = [*sources, *piece.sources]
                    for file in piece.files:
                        kept = state.files.add(file.name, file.content, file.mime, client_id=envelope.client_id)
                        shown = {"id": kept["id"], "mime": file.mime, "target": file.target}
                        yield Part("assistant", {"files": [shown]})
                case Stop():
                    envelope.reason = piece.reason
                case Spent():
                    spent = piece
                case Part():
                    said.append(piece.fields.get("text") or "")
                    if "function_call" in piece.fields:
                        _owe(envelope, state)
                    yield piece
    if spent is None:
        envelope.spent = await answer_tokens("".join(said), calls, service.engine)
    else:
        envelope.prompt, envelope.spent = PromptUsage.of(spent), spent.completion
    state.pay(envelope.asked.chat.model, envelope.prompt.charged + envelope.spent)
    if sources:
        yield Part("assistant", {"text": held or "", "inline_data": _inline_data(sources)})


def _owe(envelope: _Envelope, state: State) -> None:
    """Note that the answer holds a call: its result is owed under the state id."""
    envelope.reason = "function_call"
    envelope.state_id = envelope.state_id or new_state_id()
    state.calls.add(envelope.state_id)


def _inline_data(sources: Sequence[Source]) -> dict[str, Any]:
    numbered = {str(number): {"url": one.url, "title": one.title} for number, one in enumerate(sources, 1)}
    return {"images": [], "sources": numbered}


def _joined(parts: Sequence[Part], envelope: _Envelope) -> list[dict[str, Any]]:
    """Return the messages the parts make up: neighbours of one role are one message."""
    messages: list[dict[str, Any]] = []
    speaking: list[Part] = []
    for part in parts:
        if speaking and part.role != speaking[0].role:
            messages.append(envelope.message(speaking[0].role, _merged(speaking)))
            speaking = []
        speaking.append(part)
    role = speaking[0].role if speaking else "assistant"
    messages.append(envelope.message(role, _merged(speaking) or [{"text": ""}]))
    return messages


def _merged(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Return the content of a message: neighbouring texts are one, with what comes along with the last of them."""
    merged: list[dict[str, Any]] = []
    for part in parts:
        before = merged[-1] if merged else {}
        if before.keys() == {"text"} and "text" in part.fields:
            merged[-1] = {**part.fields, "text": before["text"] + part.fields["text"]}
        else:
            merged.append(dict(part.fields))
    return merged


ENDPOINTS: Sequence[tuple[str, str, Endpoint]] = (("POST", "/chat/completions", _complete),)
