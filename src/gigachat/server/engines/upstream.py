"""The engine for OpenAI-compatible model servers: Ollama, vLLM, llama.cpp and others.

It translates requests of the service into chat completions of that API, and the answers back.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigachat.server.engine import ChatRequest, FunctionCall, Message, Piece, Reasoning, Spent, Stop
from gigachat.server.engines.openai_client import OpenAIClient
from gigachat.server.wire.errors import Refusal, invalid_params
from gigachat.server.wire.messages import OpenCalls

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from gigachat.server.engines.constrained_output import JsonReader

_REASONS = {"length": "length", "content_filter": "blacklist"}
# Ours, vLLM's and llama.cpp's name of one number.
_PENALTIES = ("repetition_penalty", "repeat_penalty")


class Upstream:
    """An engine over an OpenAI-compatible server, which calls functions in the server's own way.

    Args:
        url: Address of the server: `http://localhost:11434`, with or without `/v1`.
        model: Name of the model there; the first one it lists when None.
        api_key: Its key, if it needs one.
        max_tokens: Longest answer where the request does not say; the server's default when None.
        seed: Sent with every request, to have the same answer to the same one; nothing is sent when None.

    Raises:
        ValueError: An invalid address or key.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        *,
        max_tokens: int | None = None,
        seed: int | None = None,
    ) -> None:
        self._client = OpenAIClient(url, api_key)
        self._model = model
        self._max_tokens = max_tokens
        self._seed = seed

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Yield the answer as the server generates it; closing the generator ends the generation."""
        if request.forced_tool is not None:
            raise invalid_params(f"the local server has no built-in tool {request.forced_tool} behind this model")
        if request.pattern is not None:
            raise invalid_params("a model behind the local server obeys no regex; order the answer with reply()")
        fields, reader = self.translated(request)
        body = {
            "model": await self._model_name(),
            **fields,
            **self._sampling(request),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        calls = _Calls()
        finished: str | None = None
        usage: Mapping[str, Any] = {}
        async with aclosing(self._client.chat(body)) as events:
            async for event in events:
                usage = event.get("usage") or usage
                for choice in (event.get("choices") or ())[:1]:
                    finished = choice.get("finish_reason") or finished
                    # A server that does not stream sends a message.
                    delta = choice.get("delta") or choice.get("message") or {}
                    thought = delta.get("reasoning_content") or delta.get("reasoning")
                    if thought:
                        yield Reasoning(thought)
                    text = _text(delta.get("content"))
                    for piece in [text] if reader is None else reader.feed(text):
                        if piece:
                            yield piece
                    calls.add(delta.get("tool_calls") or ())
        if finished is None:
            raise Refusal(500, "The model server broke off its answer")
        whole = finished not in _REASONS
        for piece in () if reader is None else reader.end(whole=whole):
            yield piece
        made = calls.made(request.preset, whole=whole)
        for call in made if request.several_calls else made[:1]:
            yield call
        if not whole:
            yield Stop(_REASONS[finished])
        if usage:
            yield _spent(usage)

    def translated(self, request: ChatRequest) -> tuple[dict[str, Any], JsonReader | None]:
        """Return messages, functions and format of a request, and the reader of the text; None for plain text."""
        return _native(request), None

    async def _model_name(self) -> str:
        if self._model is None:
            self._model = await self._client.first_model()
        return self._model

    def _sampling(self, request: ChatRequest) -> dict[str, Any]:
        """Return the numbers that steer the choice of tokens, where they are given."""
        options = {**request.options, **(request.options.get("model_options") or {})}
        numbers = {name: options.get(name) for name in ("temperature", "top_p")}
        numbers |= dict.fromkeys(_PENALTIES, options.get("repetition_penalty"))
        numbers["max_tokens"] = self._max_tokens if request.max_tokens is None else request.max_tokens
        numbers["seed"] = self._seed
        return {name: number for name, number in numbers.items() if number is not None}


def answer_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response format of an answer under a JSON Schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def result_text(message: Message) -> str:
    """Return a function's result in words, for where the contract has no place for it."""
    return f"The function {message.name} returned: {message.content}"


def _native(request: ChatRequest) -> dict[str, Any]:
    """Return messages, tools and format as the contract has them."""
    body: dict[str, Any] = {"messages": list(_messages(request.messages))}
    if request.functions:
        offered = [one for one in request.functions if not request.must_call or one["name"] in request.must_call]
        body["tools"] = [{"type": "function", "function": _described(one)} for one in offered]
        body["tool_choice"] = "required" if request.must_call else "auto"
        if len(request.must_call) == 1:
            body["tool_choice"] = {"type": "function", "function": {"name": request.must_call[0]}}
    if request.schema is not None:
        body["response_format"] = answer_format(request.schema)
    if request.effort is not None:
        body["reasoning_effort"] = request.effort
    return body


def _described(function: Mapping[str, Any]) -> dict[str, Any]:
    described = {name: function[name] for name in ("name", "description") if name in function}
    return {**described, "parameters": function.get("parameters") or {"type": "object", "properties": {}}}


def _messages(messages: Sequence[Message]) -> Iterable[dict[str, Any]]:
    """Yield the messages; results carry the ids of their calls, which are made here."""
    open_calls = OpenCalls()
    ids: list[str] = []
    for number, message in enumerate(messages):
        content = message.content
        if message.role == "function":
            try:
                called = open_calls.take(message)
            except LookupError:
                called = None
            if called is not None:
                yield {"role": "tool", "tool_call_id": ids[called], "name": message.name, "content": content}
            else:
                yield {"role": "user", "content": result_text(message)}
        elif message.calls:
            made = [(f"call_{number}_{place}", call) for place, call in enumerate(message.calls)]
            open_calls.add(message.calls)
            ids += [call_id for call_id, _ in made]
            tool_calls = [
                {
                    "id": call_id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
                }
                for call_id, call in made
            ]
            yield {"role": "assistant", "content": content, "tool_calls": tool_calls}
        elif message.role != "reasoning":
            open_calls, ids = OpenCalls(), []
            yield {"role": message.role if message.role in ("system", "assistant") else "user", "content": content}


def _text(content: Any) -> str:
    """Return the text of a content, which some models send in parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content or ""


@dataclass(slots=True)
class _Call:
    """One call, as far as it has come."""

    number: int | None
    name: str
    arguments: str = ""


class _Calls:
    """Calls in the server's own way, which come in pieces.

    A name begins a call. Numbers alone don't tell calls apart: some servers give all calls the same one, or none.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def add(self, parts: Iterable[Mapping[str, Any]]) -> None:
        """Add pieces of calls."""
        for part in parts:
            function = part.get("function") or {}
            number = part.get("index")
            if function.get("name"):
                self._calls.append(_Call(number, function["name"]))
            written = function.get("arguments") or ""
            for call in [call for call in self._calls if call.number == number][-1:]:
                call.arguments += written if isinstance(written, str) else json.dumps(written)

    def made(self, preset: Mapping[str, Any], *, whole: bool) -> list[FunctionCall]:
        """Return the complete calls.

        Args:
            preset: Arguments given.
            whole: Whether the server finished the answer.

        Raises:
            Refusal: Arguments are no JSON object.
        """
        calls: list[FunctionCall] = []
        for call in self._calls:
            try:
                read = json.loads(call.arguments or "{}")
            except (ValueError, RecursionError):
                read = None
            if isinstance(read, dict):
                calls.append(FunctionCall(call.name, {**read, **preset}))
            elif whole:
                raise Refusal(500, f"The model server sent arguments that are no JSON object: {call.arguments[:500]}")
        return calls


def _spent(usage: Mapping[str, Any]) -> Spent:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Spent(usage.get("prompt_tokens") or 0, cached, usage.get("completion_tokens") or 0)
