"""The v1 chat: `POST /v1/chat/completions`, plain and streamed (reference, section 4).

It writes the parts of an answer in the recorded shapes, key for key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigachat.models.chat import Chat
from gigachat.server.chat.answer import Answer
from gigachat.server.chat.validation_v1 import check_chat
from gigachat.server.wire.requests import read_body
from gigachat.server.wire.responses import DONE, event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.orders.replies import Part
    from gigachat.server.service import Endpoints, Service


async def _complete(request: Request, service: Service) -> Response:
    asked = check_chat(await read_body(request, Chat, strict=service.state.strict), service.state)
    made = await AnswerV1.begin(asked, service, request.headers.get("x-client-id"))
    return await made.respond(request)


@dataclass
class AnswerV1(Answer):
    """An answer in the shapes of v1. One call can be in it."""

    always_cached = 2  # all recordings of v1
    begun: bool = False
    """Whether a chunk was made; the first names the role."""

    def body(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Return the body; a whole one that was ordered is sent as it is."""
        if self.order is not None and self.order.body is not None:
            return dict(self.order.body)
        choice = {"message": self._message(parts), "index": 0, "finish_reason": self.reason}
        return {**self.around(choice), "usage": self.usage(), **self.beside}

    def messages(self, parts: Sequence[Part]) -> Sequence[Mapping[str, Any]]:
        """Return the message."""
        return [self._message(parts)]

    def _message(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Return the message; files of built-in functions are marks in its text (reference, section 4.4)."""
        thoughts = "".join(_text(part) for part in parts if part.role == "reasoning")
        return {
            "content": "".join(_text(part) for part in parts if part.role != "reasoning"),
            "role": "assistant",
            **({"reasoning_content": thoughts} if thoughts else {}),
            **_beside_text(parts),
            **self._call(parts),
        }

    async def delta(self, part: Part) -> bytes:
        """Return the chunk of a part."""
        name = "reasoning_content" if part.role == "reasoning" else "content"
        role = {} if self.begun else {"role": "assistant"}
        self.begun = True
        delta = {name: _text(part), **role, **_beside_text([part])}
        return event(await self.chunk({"delta": delta, "index": 0}))

    async def end(self, parts: Sequence[Part]) -> Sequence[bytes]:
        """Return the last chunk, with the call if there is one (reference, section 4.7), and the end mark."""
        call = self._call(parts)
        role = {} if self.begun and "function_call" not in call else {"role": "assistant"}
        choice = {"delta": {"content": "", **role, **call}, "index": 0, "finish_reason": self.reason}
        return event(await self.chunk(choice)), DONE

    def error(self, body: Mapping[str, Any]) -> bytes:
        """Return the body of a refusal as a chunk."""
        return event(body)

    async def chunk(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        """Return a chunk that holds this choice; the last has the usage."""
        return {**self.around(choice), **({"usage": self.usage(), **self.beside} if "finish_reason" in choice else {})}

    def around(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body or chunk that holds this choice."""
        body = {
            "choices": [choice],
            "created": self._field("created", self.created),
            "model": self._field("model", self.asked.chat.model.resolved),
            "object": self.asked.chat.model.answer_object,
        }
        history = self.asked.history
        if history.kept and history.thread is not None:
            body |= {"thread_id": history.thread.id, "message_id": history.message_id}
        return body

    def usage(self) -> Any:
        """Return the cost; the sum is what is billed, so it leaves the cached tokens out."""
        return self._field("usage", v1_usage(self.prompt.charged, self.completion, self.prompt.cached))

    def _field(self, name: str, usual: Any) -> Any:
        """Return a field of a v1 order, else the usual value; an order of v2 has other names and shapes."""
        ordered = self.order.envelope.get(name) if self.order is not None and self.order.messages is None else None
        return usual if ordered is None else ordered

    def _call(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Return the call, if there is one, and the state id."""
        found: dict[str, Any] = {}
        for call in [part.fields["function_call"] for part in parts if "function_call" in part.fields][:1]:
            found["function_call"] = {"name": call["name"], "arguments": call.get("arguments", {})}
            if call.get("id") is not None:
                found["function_call"]["id"] = call["id"]
        if self.state_id is not None:
            found["functions_state_id"] = self.state_id
        return found


def _beside_text(parts: Sequence[Part]) -> dict[str, Any]:
    """Return what belongs to the text of parts, as a message of v1 has it."""
    found: dict[str, Any] = {}
    for part in parts:
        if part.fields.get("inline_data") is not None:
            found["inline_data"] = {**found.get("inline_data", {}), **part.fields["inline_data"]}
        if part.fields.get("logprobs") is not None:
            found["logprobs"] = [*found.get("logprobs", []), *part.fields["logprobs"]]
    return found


def v1_usage(prompt: int, completion: int, cached: int) -> dict[str, int]:
    """Return the field `usage`."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "precached_prompt_tokens": cached,
    }


def _text(part: Part) -> str:
    marks = (_mark(file["id"], file.get("target")) for file in part.fields.get("files", ()))
    return "".join(marks) + (part.fields.get("text") or "")


def _mark(file_id: str, target: str | None) -> str:
    if target == "3dmodel":
        return f'<div data-model-id="{file_id}" fuse="true"/> '
    return f'<img src="{file_id}" fuse="true"/> '


ENDPOINTS: Endpoints = (("POST", "/chat/completions", _complete),)
