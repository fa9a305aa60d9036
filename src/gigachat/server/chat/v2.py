"""The v2 chat: `POST /v2/chat/completions`, plain and streamed (reference, section 5).

It writes the parts of an answer in the recorded shapes, key for key: messages of content parts, named events and no
end mark.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gigachat.models.chat_completions import ChatCompletionRequest
from gigachat.server.chat.answer import Answer, are_joined, as_one
from gigachat.server.chat.validation_v2 import check_chat_v2
from gigachat.server.state.state import new_state_id
from gigachat.server.wire.requests import read_body
from gigachat.server.wire.responses import named_event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.engine import Piece
    from gigachat.server.orders.replies import Part
    from gigachat.server.service import Endpoints, Service


async def _complete(request: Request, service: Service) -> Response:
    asked = check_chat_v2(await read_body(request, ChatCompletionRequest, strict=service.state.strict), service.state)
    made = await _AnswerV2.begin(asked, service, request.headers.get("x-client-id"))
    return await made.respond(request)


@dataclass
class _AnswerV2(Answer):
    """An answer in the shapes of v2."""

    always_cached = 0  # all recordings of v2
    sent_states: set[str] = field(default_factory=set)
    """State ids that have been sent. No recording shows in which event; here the first of a message has it."""

    async def pieces(self) -> AsyncGenerator[Piece | Part, None]:
        """Return the pieces; after the result of a function the engine's answer has a state too (recorded)."""
        pieces = await super().pieces()
        if self.order is None and self.asked.chat.messages[-1].role == "function":
            self.state_id = new_state_id()
        return pieces

    def body(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Return the body; the messages of an order are sent as they are."""
        return {**self._head(), "messages": self._messages(parts), **self._tail()}

    def messages(self, parts: Sequence[Part]) -> Sequence[Mapping[str, Any]]:
        """Return the assistant's messages."""
        said = [one for one in self._messages(parts) if one.get("role") == "assistant"]
        return said or [self._message("assistant", (), self.state_id)]

    async def delta(self, part: Part) -> bytes:
        """Return the event of a part."""
        state_id = self.state_of(part)
        message = self._message(part.role, [part.fields], None if state_id in self.sent_states else state_id)
        if part.role == "assistant" and state_id is not None:
            self.sent_states.add(state_id)
        return named_event("response.message.delta", {**self._head(), "messages": [message]})

    async def end(self, parts: Sequence[Part]) -> Sequence[bytes]:
        """Return the event that ends the stream, with the calls (reference, section 5.7)."""
        calls = [part for part in parts if "function_call" in part.fields]
        messages = [
            self._message("assistant", [part.fields for part in group], state_id)
            for state_id, group in groupby(calls, self.state_of)
        ]
        called = {"messages": messages} if messages else {}
        return (named_event("response.message.done", {**self._head(), **called, **self._tail()}),)

    def error(self, body: Mapping[str, Any]) -> bytes:
        """Return the event of a refusal."""
        return named_event("response.error", body)

    @property
    def _envelope(self) -> Mapping[str, Any]:
        """The fields of a v2 order, which have precedence; an order of v1 has other names and shapes."""
        return self.order.envelope if self.order is not None and self.order.messages is not None else {}

    def _head(self) -> dict[str, Any]:
        """Return what begins a body or an event."""
        body = {
            "model": self._envelope.get("model", self.asked.chat.model.resolved),
            "created_at": self._envelope.get("created_at", self.created),
        }
        history = self.asked.history
        if history.kept and history.thread is not None:
            body["thread_id"] = history.thread.id
        return body

    def _tail(self) -> dict[str, Any]:
        """Return what ends a body or a stream; cached tokens are no part of the sums (reference, section 5.6)."""
        usage = {
            "input_tokens": self.prompt.charged,
            "input_tokens_details": {"prompt_tokens": self.prompt.charged, "cached_tokens": self.prompt.cached},
            "output_tokens": self.completion,
            "total_tokens": self.prompt.charged + self.completion,
        }
        rest = {name: value for name, value in self._envelope.items() if name not in ("model", "created_at")}
        return {"finish_reason": self.reason, "usage": usage} | self.beside | rest

    def _messages(self, parts: Sequence[Part]) -> Sequence[Mapping[str, Any]]:
        """Return the messages that the parts make up: neighbours of one role are one message."""
        if self.order is not None and self.order.messages is not None:
            return self.order.messages
        spoken = [(role, _content(group)) for role, group in groupby(parts, lambda part: part.role)]
        said = spoken or [("assistant", [{"text": ""}])]
        return [self._message(role, content, self.state_id) for role, content in said]

    def _message(self, role: str, content: Sequence[Mapping[str, Any]], state_id: str | None) -> dict[str, Any]:
        """Return a message of the answer, or a piece of one."""
        message: dict[str, Any] = {"role": role}
        if role == "assistant":
            if self.asked.history.kept:
                message["message_id"] = self.asked.history.message_id
            if state_id is not None:
                message["tool_state_id"] = state_id
        return {**message, "content": list(content)}


def _content(parts: Iterable[Part]) -> list[Mapping[str, Any]]:
    """Return the content of a message, neighbouring texts joined."""
    groups: list[list[Part]] = []
    for part in parts:
        if groups and are_joined(groups[-1][-1], part):
            groups[-1].append(part)
        else:
            groups.append([part])
    return [as_one(group).fields for group in groups]


ENDPOINTS: Endpoints = (("POST", "/chat/completions", _complete),)
