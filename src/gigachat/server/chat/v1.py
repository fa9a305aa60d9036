"""The v1 chat: `POST /v1/chat/completions`, plain and streamed (reference, section 4).

It turns the pieces of an answer into the recorded shapes, key for key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gigachat.models.chat import Chat
from gigachat.server.chat.answer import Answer, event_stream
from gigachat.server.chat.validation_v1 import check_chat
from gigachat.server.engine import FunctionCall, Piece, Reasoning, Spent, Stop, ToolUse
from gigachat.server.orders.replies import Part
from gigachat.server.state.state import new_state_id
from gigachat.server.wire.responses import DONE, answer, event, unless_gone
from gigachat.server.wire.shapes import read_body

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.chat.validation import CheckedRequest
    from gigachat.server.orders.replies import Ordered
    from gigachat.server.orders.rules import Rule
    from gigachat.server.service import Endpoints, Service

# In the cache of every account (all recordings of v1).
_ALWAYS_CACHED = 2


async def _complete(request: Request, service: Service) -> Response:
    asked = check_chat(await read_body(request, Chat, strict=service.state.strict), service.state)
    if asked.stream:
        return await streamed(request, asked, service, _events)
    work = answered(asked, service, request.headers.get("x-client-id"))
    return answer(request, await unless_gone(request.receive, work))


async def answered(asked: CheckedRequest, service: Service, client_id: str | None = None) -> dict[str, Any]:
    """Return the body of the answer to a chat request, also for a line of a batch.

    Args:
        asked: The checked request; `stream` is ignored.
        service: What answers it.
        client_id: `X-Client-ID` of the end user the answer is for.

    Raises:
        Refusal: As the service would refuse it.
    """
    made = await AnswerV1.begin(asked, service, client_id, _ALWAYS_CACHED)
    rule = service.script.reply(asked.chat.options)
    if rule is not None:
        await asyncio.sleep(rule.after)
        if isinstance(rule.answer, Mapping) and "choices" in rule.answer:
            return dict(rule.answer)
    async for piece in _plain(made.pieces(rule), made):
        made.add(piece)
    return await made.end("message")


async def streamed(
    request: Request,
    asked: CheckedRequest,
    service: Service,
    write: Callable[[AnswerV1, AsyncGenerator[dict[str, Any], None]], AsyncGenerator[bytes, None]],
) -> Response:
    """Answer a v1 chat request with a stream.

    Args:
        request: The request, to notice when its client disconnects.
        asked: The same, checked.
        service: What answers it.
        write: Makes events of the chunks; not called for a literal stream.

    Raises:
        Refusal: As the service would refuse it.
    """
    made = await AnswerV1.begin(asked, service, request.headers.get("x-client-id"), _ALWAYS_CACHED)

    def events(rule: Rule | None) -> AsyncGenerator[bytes, None]:
        return write(made, _chunks(_plain(made.pieces(rule), made), made))

    return await event_stream(request, asked, service, events, event)


_Plain = str | Reasoning | FunctionCall | Stop | Spent


@dataclass(slots=True)
class AnswerV1(Answer):
    """An answer in the shapes of v1, growing."""

    model: str = ""
    usage: Mapping[str, Any] | None = None
    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    call: FunctionCall | None = None
    cost: Spent | None = None

    def obey(self, order: Ordered) -> None:
        """Copy creation time, model and usage of a v1 order; those of v2 have other names and shapes."""
        if order.messages is None:
            self.created = order.envelope.get("created", self.created)
            self.model = order.envelope.get("model", "")
            self.usage = order.envelope.get("usage")

    def add(self, piece: _Plain) -> None:
        """Add a piece."""
        match piece:
            case str():
                self.content.append(piece)
            case Reasoning():
                self.reasoning.append(piece.text)
            case FunctionCall():
                self.call = piece
                self.owe()
            case Stop():
                self.reason = piece.reason
            case Spent():
                self.cost = piece

    def around(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body or chunk that holds this choice."""
        body = {
            "choices": [choice],
            "created": self.created,
            "model": self.model or self.asked.chat.model.resolved,
            "object": self.asked.chat.model.answer_object,
        }
        history = self.asked.history
        if history.kept and history.thread is not None:
            body |= {"thread_id": history.thread.id, "message_id": history.message_id}
        return body

    async def end(self, name: str, delta: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the body, or the chunk that ends a stream, once the answer is paid and in the history.

        Args:
            name: `message` or `delta`.
            delta: The other fields of a chunk.
        """
        last: dict[str, Any] = {} if self.state_id is None else {"functions_state_id": self.state_id}
        if self.call is not None:
            last = {"function_call": {"name": self.call.name, "arguments": self.call.arguments}, **last}
        text = "".join(self.content)
        thoughts = "".join(self.reasoning)
        await self.pay(thoughts + text, [self.call] if self.call else [], self.cost)
        message = {
            "content": text,
            "role": "assistant",
            **({"reasoning_content": thoughts} if thoughts else {}),
            **last,
        }
        shown = message if delta is None else {**delta, **last}
        body = self.around({name: shown, "index": 0, "finish_reason": self.reason})
        # The sum is what is billed, so it leaves the cached tokens out.
        body["usage"] = self.usage or {
            "prompt_tokens": self.prompt.charged,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt.charged + self.completion,
            "precached_prompt_tokens": self.prompt.cached,
        }
        # Kept before the end is sent: the next request may come at once.
        self.keep(message)
        return body


async def _chunks(pieces: AsyncGenerator[_Plain, None], made: AnswerV1) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the chunks of a stream."""
    size = made.chunk_size()
    role: dict[str, Any] = {"role": "assistant"}
    waiting: list[str] = []
    async with aclosing(pieces):
        async for piece in pieces:
            made.add(piece)
            if isinstance(piece, str):
                waiting.append(piece)
                if size is None or len(waiting) < size:
                    continue
                delta = {"content": "".join(waiting)}
                waiting.clear()
            elif isinstance(piece, Reasoning):
                delta = {"reasoning_content": piece.text}
            else:
                continue
            yield made.around({"delta": {**delta, **role}, "index": 0})
            role = {}
    if waiting:
        yield made.around({"delta": {"content": "".join(waiting), **role}, "index": 0})
        role = {}
    # A call comes whole, in the chunk that ends the stream (reference, section 4.7).
    if made.call is not None:
        role = {"role": "assistant"}
    yield await made.end("delta", {"content": "", **role})


async def _events(made: AnswerV1, chunks: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield event(chunk)
    yield DONE


async def _plain(pieces: AsyncGenerator[Piece | Part, None], made: AnswerV1) -> AsyncGenerator[_Plain, None]:
    """Yield the pieces as v1 has them: files of built-in functions are marks in the text (reference, section 4.4)."""
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, ToolUse):
                made.state_id = new_state_id()
                for file in piece.files:
                    yield _mark(made.keep_file(file))
            elif isinstance(piece, Part):
                for one in _of_part(piece):
                    yield one
            else:
                yield piece


def _of_part(part: Part) -> list[_Plain]:
    found: list[_Plain] = [_mark(file["id"]) for file in part.fields.get("files", ())]
    text = part.fields.get("text")
    if text:
        found.append(Reasoning(text) if part.role == "reasoning" else text)
    call = part.fields.get("function_call")
    if call is not None:
        found.append(FunctionCall(call["name"], call.get("arguments", {})))
    return found


def _mark(file_id: str) -> str:
    return f'<img src="{file_id}" fuse="true"/> '


ENDPOINTS: Endpoints = (("POST", "/chat/completions", _complete),)
