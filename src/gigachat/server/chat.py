"""The v1 chat: `POST /v1/chat/completions`, plain and streamed (reference, section 4).

It turns the pieces of an engine, or of a test's order, into the recorded shapes, key for key. It must not
check requests (see `checks`) nor make up text (see the engines).
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from gigachat.server.answers import DONE, EventStream, answer, api_headers, event, gone, started
from gigachat.server.checks import V1Request, check_chat
from gigachat.server.counting import phrases
from gigachat.server.engines import ChatRequest, Engine, FunctionCall, Piece, Reasoning, Stop
from gigachat.server.errors import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from gigachat.server.script import Events, Reply, Script
    from gigachat.server.state import PromptCache, State

# Tokens of the frame around the messages; two of them are in the cache of every account (all recordings).
_FRAME = 8
_MESSAGE_FRAME = 3
_ALWAYS_CACHED = 2
# Of the second generation (reference, section 14); that of the third is not published.
_CONTEXT_WINDOW = 128_000


async def complete_chat(request: Request, state: State, script: Script, engine: Engine, pace: float) -> Response:
    """Answer one chat request.

    Args:
        request: The request, let in already.
        state: What the server remembers.
        script: What tests ordered.
        engine: What answers when nothing was ordered.
        pace: Seconds between the chunks of a stream.

    Raises:
        Refusal: As the service would refuse it.
    """
    asked = check_chat(await request.body(), state.calls)
    usage = prompt_usage(asked.chat, engine, state.prompts)
    if asked.stream:
        literal = script.stream()
        if literal is not None:
            headers = api_headers(request.headers)
            sent = _literal_events(literal)
            return EventStream(sent, headers, pace=pace, cut=script.cut(), keep_open=literal.keep_open)
    reply = script.reply()
    if reply is not None and reply.after > 0 and await gone(request.receive, reply.after):
        return Response()
    envelope = _Envelope(asked.chat, usage)
    if reply is None:
        pieces = engine.complete(asked.chat)
    else:
        if not asked.stream and isinstance(reply.answer, Mapping) and "choices" in reply.answer:
            return answer(request, reply.answer)
        pieces = _ordered_pieces(reply, envelope)
    if asked.stream:
        events = await started(_events(pieces, envelope, engine, state, _chunk_size(asked, pace)))
        pause = max(pace, asked.update_interval)
        return EventStream(events, api_headers(request.headers), pace=pause, cut=script.cut())
    return answer(request, await _completion(pieces, envelope, engine, state))


@dataclass(slots=True)
class PromptUsage:
    """What a prompt costs: tokens to pay and tokens found in the cache (reference, section 4.3)."""

    charged: int
    cached: int


def prompt_usage(chat: ChatRequest, engine: Engine, cache: PromptCache) -> PromptUsage:
    """Return the cost of a prompt and remember its beginnings; at least one token is always charged.

    Raises:
        Refusal: 413 when the prompt is larger than the context window.
    """
    functions = chat.options.get("functions") or ()
    described = json.dumps(functions, ensure_ascii=False) if functions else ""
    total = _FRAME + engine.count(described)
    key = hash((chat.model.id, described))
    keys: list[int] = []
    sizes: list[int] = []
    for message in chat.messages:
        text = message.content
        if message.function_call is not None:
            text += json.dumps(message.function_call.arguments, ensure_ascii=False)
        total += _MESSAGE_FRAME + engine.count(text)
        key = hash((key, message.role, message.name, text))
        keys.append(key)
        sizes.append(total)
    if total > _CONTEXT_WINDOW:
        raise Refusal(413)
    known = cache.hit(keys)
    cached = min(sizes[known - 1] if known else _ALWAYS_CACHED, total - 1)
    return PromptUsage(total - cached, cached)


@dataclass(slots=True)
class _Envelope:
    """What surrounds the text of one answer."""

    chat: ChatRequest
    prompt: PromptUsage
    created: int = field(default_factory=lambda: int(time.time()))
    model: str = ""
    usage: Mapping[str, Any] | None = None
    state_id: str | None = None
    """State id a test ordered for the call."""

    def around(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body or chunk that holds this choice; usage is added by the caller."""
        return {
            "choices": [choice],
            "created": self.created,
            "model": self.model or self.chat.model.resolved,
            "object": self.chat.model.answer_object,
        }

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


async def _completion(
    pieces: AsyncGenerator[Piece, None], envelope: _Envelope, engine: Engine, state: State
) -> dict[str, Any]:
    content: list[str] = []
    reasoning: list[str] = []
    call: FunctionCall | None = None
    reason = "stop"
    async for piece in pieces:
        match piece:
            case str():
                content.append(piece)
            case Reasoning():
                reasoning.append(piece.text)
            case FunctionCall():
                call = piece
                reason = "function_call"
            case Stop():
                reason = piece.reason
    message: dict[str, Any] = {"content": "".join(content), "role": "assistant"}
    if reasoning:
        message["reasoning_content"] = "".join(reasoning)
    spent = engine.count("".join([*reasoning, *content]))
    if call is not None:
        message.update(_call_fields(call, envelope, state))
        spent += _call_tokens(call, engine)
    body = envelope.around({"message": message, "index": 0, "finish_reason": reason})
    body["usage"] = envelope.spent(spent)
    return body


async def _events(
    pieces: AsyncGenerator[Piece, None], envelope: _Envelope, engine: Engine, state: State, size: int | None
) -> AsyncGenerator[bytes, None]:
    """Yield the events of a stream; `size` pieces of text go into one chunk, all of them when None."""
    spent = 0
    reason = "stop"
    role: dict[str, Any] = {"role": "assistant"}
    waiting: list[str] = []
    last: dict[str, Any] | None = None
    async with aclosing(pieces):
        async for piece in pieces:
            delta: dict[str, Any]
            match piece:
                case str():
                    spent += engine.count(piece)
                    waiting.append(piece)
                    if size is None or len(waiting) < size:
                        continue
                    delta = {"content": "".join(waiting)}
                    waiting.clear()
                case Reasoning():
                    spent += engine.count(piece.text)
                    delta = {"reasoning_content": piece.text}
                case FunctionCall():
                    spent += _call_tokens(piece, engine)
                    last = _call_fields(piece, envelope, state)
                    reason = "function_call"
                    continue
                case Stop():
                    reason = piece.reason
                    continue
            yield event(envelope.around({"delta": {**delta, **role}, "index": 0}))
            role = {}
    if waiting:
        yield event(envelope.around({"delta": {"content": "".join(waiting), **role}, "index": 0}))
        role = {}
    # A call comes whole, in the chunk that ends the stream (reference, section 4.7).
    delta = {"content": "", "role": "assistant", **last} if last is not None else {"content": "", **role}
    chunk = envelope.around({"delta": delta, "index": 0, "finish_reason": reason})
    chunk["usage"] = envelope.spent(spent)
    yield event(chunk)
    yield DONE


def _chunk_size(asked: V1Request, pace: float) -> int | None:
    """Return how many phrases go into a chunk: as many as come in `update_interval` seconds."""
    if asked.update_interval <= 0:
        return 1
    return max(1, round(asked.update_interval / pace)) if pace > 0 else None


def _call_fields(call: FunctionCall, envelope: _Envelope, state: State) -> dict[str, Any]:
    state_id = envelope.state_id or _uuid7()
    state.calls.add(state_id)
    return {
        "function_call": {"name": call.name, "arguments": call.arguments},
        "functions_state_id": state_id,
    }


def _call_tokens(call: FunctionCall, engine: Engine) -> int:
    return engine.count(call.name) + engine.count(json.dumps(call.arguments, ensure_ascii=False))


async def _ordered_pieces(reply: Reply, envelope: _Envelope) -> AsyncGenerator[Piece, None]:
    """Yield the pieces of an ordered answer, and put what it says of itself into the envelope."""
    order = reply.answer
    if isinstance(order, str):
        for phrase in phrases(order):
            yield phrase
        return
    message: Mapping[str, Any] = order
    reason = order.get("finish_reason")
    if "choices" in order:
        choice = order["choices"][0]
        message = choice["message"]
        reason = choice.get("finish_reason")
        envelope.created = order.get("created", envelope.created)
        envelope.model = order.get("model", "")
        envelope.usage = order.get("usage")
    if message.get("reasoning_content"):
        for phrase in phrases(message["reasoning_content"]):
            yield Reasoning(phrase)
    for phrase in phrases(message.get("content") or ""):
        yield phrase
    call = message.get("function_call")
    if call is not None:
        envelope.state_id = message.get("functions_state_id")
        yield FunctionCall(call["name"], call.get("arguments", {}))
    if reason is not None:
        yield Stop(reason)


async def _literal_events(order: Events) -> AsyncGenerator[bytes, None]:
    for payload in _encoded(order.payloads):
        yield payload


def _encoded(payloads: Sequence[bytes | str | Mapping[str, Any]]) -> list[bytes]:
    """Return what goes on the wire: bytes as they are, a text as one `data:` line, anything else as JSON."""
    encoded: list[bytes] = []
    for payload in payloads:
        if isinstance(payload, bytes):
            encoded.append(payload)
        elif isinstance(payload, str):
            encoded.append(f"data: {payload}\n\n".encode())
        else:
            encoded.append(event(payload))
    return encoded


def _uuid7() -> str:
    """Return a uuid of version 7, time first, as the service's state ids are (reference, section 4.3)."""
    value = (time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(uuid.UUID(int=value))
