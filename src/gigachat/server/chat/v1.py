"""The v1 chat: `POST /v1/chat/completions`, plain and streamed (reference, section 4).

It turns the pieces of an engine, or of a test's order, into the recorded shapes, key for key. It must not
check requests (see `validation_v1`) nor make up text (see the engines).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gigachat.server.chat.usage import PromptUsage, answer_tokens, prompt_usage
from gigachat.server.chat.validation_v1 import check_chat
from gigachat.server.engine import FunctionCall, Piece, Reasoning, Spent, Stop, ToolUse
from gigachat.server.orders.replies import Part, literal_events, one_by_one, read_order
from gigachat.server.state.state import new_state_id
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.requests import read_object
from gigachat.server.wire.responses import (
    DONE,
    EventStream,
    answer,
    api_headers,
    event,
    started,
    unless_gone,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.chat.validation import CheckedRequest
    from gigachat.server.orders.replies import Ordered
    from gigachat.server.orders.rules import Rule
    from gigachat.server.service import Endpoint, Service
    from gigachat.server.state.state import State

# In the cache of every account (all recordings of v1).
_ALWAYS_CACHED = 2


async def _complete(request: Request, service: Service) -> Response:
    asked = check_chat(read_object(await request.body()), service.state)
    if asked.stream:
        return await streamed(request, asked, service, _events)
    work = answered(asked, service, request.headers.get("x-client-id"))
    return answer(request, await unless_gone(request.receive, work))


async def answered(asked: CheckedRequest, service: Service, client_id: str | None = None) -> dict[str, Any]:
    """Return the answer to a chat request, also to one nobody holds a connection for, such as a line of a batch.

    Args:
        asked: The checked request; `stream` changes nothing.
        service: What answers it.
        client_id: `X-Client-ID` of the end user the answer is for.

    Raises:
        Refusal: As the service would refuse it.
    """
    usage = await prompt_usage(asked.chat, service.engine, service.state, always_cached=_ALWAYS_CACHED)
    reply = service.script.reply(asked.chat.options)
    if reply is not None:
        await asyncio.sleep(reply.after)
        if isinstance(reply.answer, Mapping) and "choices" in reply.answer:
            return dict(reply.answer)
    envelope, pieces = _begun(asked, usage, reply, service, client_id)
    return await _completion(pieces, envelope, service)


async def streamed(
    request: Request,
    asked: CheckedRequest,
    service: Service,
    write: Callable[[Envelope, AsyncGenerator[dict[str, Any], None]], AsyncGenerator[bytes, None]],
) -> Response:
    """Answer a v1 chat request with a stream.

    Args:
        request: The request, to hear when its caller goes away.
        asked: The same, checked.
        service: What answers it.
        write: Makes events of the chunks; a stream that was ordered literally goes past it.

    Raises:
        Refusal: As the service would refuse it.
    """
    usage = await prompt_usage(asked.chat, service.engine, service.state, always_cached=_ALWAYS_CACHED)

    def events(reply: Rule | None) -> AsyncGenerator[bytes, None]:
        envelope, pieces = _begun(asked, usage, reply, service, request.headers.get("x-client-id"))
        return write(envelope, _chunks(pieces, envelope, service, chunk_size(asked, service.pace)))

    return await event_stream(request, asked, service, events, event)


async def event_stream(
    request: Request,
    asked: CheckedRequest,
    service: Service,
    events: Callable[[Rule | None], AsyncGenerator[bytes, None]],
    error: Callable[[dict[str, Any]], bytes],
) -> Response:
    """Answer a chat request of either version with a stream, one that was ordered literally before any other.

    Args:
        request: The request, to hear when its caller goes away.
        asked: The same, checked.
        service: What answers it.
        events: Makes the events, of the answer that was ordered or of the engine's.
        error: Makes the last event of a stream whose engine breaks off.

    Raises:
        Refusal: As the service would refuse it.
    """
    headers = api_headers(request.headers)
    literal = service.script.stream()
    if literal is not None:
        sent = literal_events(literal.payloads)
        return EventStream(sent, headers, pace=service.pace, keep_open=literal.keep_open)
    reply = service.script.reply(asked.chat.options)

    async def begun() -> AsyncGenerator[bytes, None]:
        if reply is not None:
            await asyncio.sleep(reply.after)
        return await started(events(reply))

    sent = _until_refused(await unless_gone(request.receive, begun()), error)
    return EventStream(sent, headers, pace=max(service.pace, asked.update_interval))


async def _until_refused(
    events: AsyncGenerator[bytes, None], error: Callable[[dict[str, Any]], bytes]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        try:
            async for one in events:
                yield one
        except Refusal as refused:
            yield error(refused.body())


def _begun(
    asked: CheckedRequest, usage: PromptUsage, reply: Rule | None, service: Service, client_id: str | None
) -> tuple[Envelope, AsyncGenerator[_Plain, None]]:
    """Open the history and return what surrounds the answer and its pieces, ordered or from the engine."""
    asked.history.open(asked.chat.model, service.state)
    envelope = Envelope(asked, usage, client_id)
    if reply is None:
        return envelope, _plain(service.engine.complete(asked.chat), envelope, service.state)
    order = read_order(reply.answer)
    envelope.obey(order)
    return envelope, _plain(one_by_one(order), envelope, service.state)


def chunk_size(asked: CheckedRequest, pace: float) -> int | None:
    """Return how many phrases go into a chunk: as many as come in `update_interval` seconds; None for all."""
    if asked.update_interval <= 0:
        return 1
    return max(1, round(asked.update_interval / pace)) if pace > 0 else None


@dataclass(slots=True)
class Envelope:
    """What surrounds the text of one answer."""

    asked: CheckedRequest
    prompt: PromptUsage
    client_id: str | None
    """Who alone may read the files made for this answer."""
    created: int = field(default_factory=lambda: int(time.time()))
    model: str = ""
    usage: Mapping[str, Any] | None = None
    state_id: str | None = None

    def obey(self, order: Ordered) -> None:
        """Take over what an order says of the answer."""
        self.state_id = order.state_id
        if order.messages is None:  # what a v2 order says of itself has other names and shapes
            self.created = order.envelope.get("created", self.created)
            self.model = order.envelope.get("model", "")
            self.usage = order.envelope.get("usage")

    def around(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body or chunk that holds this choice; usage is added by the caller."""
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

    def spent(self, completion_tokens: int) -> Mapping[str, Any]:
        """Return the usage: the sum is what is billed, so it leaves the cached tokens out."""
        if self.usage is not None:
            return self.usage
        return {
            "prompt_tokens": self.prompt.charged,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt.charged + completion_tokens,
            "precached_prompt_tokens": self.prompt.cached,
        }


_Plain = str | Reasoning | FunctionCall | Stop | Spent


@dataclass(slots=True)
class _Said:
    """The message of an answer, growing."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    call: FunctionCall | None = None
    reason: str = "stop"
    spent: Spent | None = None

    def add(self, piece: _Plain) -> None:
        match piece:
            case str():
                self.content.append(piece)
            case Reasoning():
                self.reasoning.append(piece.text)
            case FunctionCall():
                self.call = piece
                self.reason = "function_call"
            case Stop():
                self.reason = piece.reason
            case Spent():
                self.spent = piece

    def message(self, last: Mapping[str, Any]) -> dict[str, Any]:
        """Return the message with the fields a call or a tool adds to it."""
        message: dict[str, Any] = {"content": "".join(self.content), "role": "assistant"}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        return {**message, **last}

    def last(self, envelope: Envelope, state: State) -> dict[str, Any]:
        """Return what a call or a built-in function adds to the message; a call's result is owed from now on."""
        if self.call is None:
            return {} if envelope.state_id is None else {"functions_state_id": envelope.state_id}
        state_id = envelope.state_id or new_state_id()
        state.calls.add(state_id)
        call = {"name": self.call.name, "arguments": self.call.arguments}
        return {"function_call": call, "functions_state_id": state_id}

    async def usage(self, envelope: Envelope, service: Service) -> Mapping[str, Any]:
        """Return what prompt and answer cost, as the engine tells or by its count, and take it off the balance."""
        if self.spent is not None:
            envelope.prompt = PromptUsage.of(self.spent)
            completion = self.spent.completion
        else:
            calls = [] if self.call is None else [self.call]
            completion = await answer_tokens("".join([*self.reasoning, *self.content]), calls, service.engine)
        service.state.pay(envelope.asked.chat.model, envelope.prompt.charged + completion)
        return envelope.spent(completion)


async def _completion(pieces: AsyncGenerator[_Plain, None], envelope: Envelope, service: Service) -> dict[str, Any]:
    said = _Said()
    async for piece in pieces:
        said.add(piece)
    message = said.message(said.last(envelope, service.state))
    body = envelope.around({"message": message, "index": 0, "finish_reason": said.reason})
    body["usage"] = await said.usage(envelope, service)
    envelope.asked.history.keep(envelope.asked.new_messages, message, said.reason)
    return body


async def _chunks(
    pieces: AsyncGenerator[_Plain, None], envelope: Envelope, service: Service, size: int | None
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the chunks of a stream; `size` pieces of text go into one chunk, all of them when None."""
    said = _Said()
    role: dict[str, Any] = {"role": "assistant"}
    waiting: list[str] = []
    async with aclosing(pieces):
        async for piece in pieces:
            said.add(piece)
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
            yield envelope.around({"delta": {**delta, **role}, "index": 0})
            role = {}
    if waiting:
        yield envelope.around({"delta": {"content": "".join(waiting), **role}, "index": 0})
        role = {}
    # A call comes whole, in the chunk that ends the stream (reference, section 4.7).
    if said.call is not None:
        role = {"role": "assistant"}
    last = said.last(envelope, service.state)
    delta = {"content": "", **role, **last}
    chunk = envelope.around({"delta": delta, "index": 0, "finish_reason": said.reason})
    chunk["usage"] = await said.usage(envelope, service)
    # Kept before it is said to be done: the next request may come at once. Who has gone before that heard no answer.
    envelope.asked.history.keep(envelope.asked.new_messages, said.message(last), said.reason)
    yield chunk


async def _events(envelope: Envelope, made: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(made):
        async for chunk in made:
            yield event(chunk)
    yield DONE


async def _plain(
    pieces: AsyncGenerator[Piece | Part, None], envelope: Envelope, state: State
) -> AsyncGenerator[_Plain, None]:
    """Yield the pieces as v1 knows them: files of built-in functions are marks in the text (reference, section 4.4)."""
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, ToolUse):
                envelope.state_id = new_state_id()
                for file in piece.files:
                    kept = state.files.add(file.name, file.content, file.mime, client_id=envelope.client_id)
                    yield _mark(kept["id"])
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


ENDPOINTS: Sequence[tuple[str, str, Endpoint]] = (("POST", "/chat/completions", _complete),)
