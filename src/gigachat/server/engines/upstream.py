"""The engine for OpenAI-compatible model servers: Ollama, vLLM, llama.cpp and others.

It translates requests of the service into chat completions of that API, and the answers back.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gigachat.server.engine import ChatRequest, Embedding, FunctionCall, Message, Piece, Reasoning, Spent, Stop
from gigachat.server.engines.constrained_output import generated_schema, instruction, reader
from gigachat.server.engines.embedders import as_recorded, hashed_embeddings
from gigachat.server.engines.openai_client import Wire
from gigachat.server.tokens import count_all
from gigachat.server.wire.errors import Refusal, invalid_params

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from gigachat.server.catalogue import Model

_REASONS = {"length": "length", "content_filter": "blacklist"}
# Ours, vLLM's and llama.cpp's name of one number.
_PENALTIES = ("repetition_penalty", "repeat_penalty")


class Upstream:
    """An engine over an OpenAI-compatible server.

    Args:
        url: Address of the server: `http://localhost:11434`, with or without `/v1`.
        model: Name of the model there; the first one it lists when None.
        api_key: Its key, if it wants one.
        embeddings_model: Name of the model there that makes vectors; hashed ones are made here when None.
        tools: How functions are called: `native`, by the server's own way, or `schema`, by constrained generation, for
            models that call unreliably.
        seed: Sent with every request, to have the same answer to the same one; nothing is sent when None.

    Raises:
        ValueError: An invalid address or key, or an unknown way of calling.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        embeddings_model: str | None = None,
        *,
        tools: Literal["native", "schema"] = "native",
        seed: int | None = None,
    ) -> None:
        if tools not in ("native", "schema"):
            raise ValueError("tools is native or schema")
        self._wire = Wire(url, api_key)
        self._model = model
        self._embeddings_model = embeddings_model
        self._seed = {} if seed is None else {"seed": seed}
        self._constrained = tools == "schema"

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Yield the answer as the server generates it; closing the generator ends the generation."""
        if request.forced_tool is not None:
            raise invalid_params(f"the local server has no built-in tool {request.forced_tool} behind this model")
        native = not self._constrained and request.pattern is None
        reading = None if native else reader(request)
        calls = _Calls()
        finished: str | None = None
        usage: Mapping[str, Any] = {}
        body = {
            "model": await self._model_name(),
            **(_native(request) if native else _by_schema(request)),
            **_sampling(request),
            **self._seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        async with aclosing(self._wire.events("/chat/completions", body)) as events:
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
                    for piece in [text] if reading is None else reading.feed(text):
                        if piece:
                            yield piece
                    calls.add(delta.get("tool_calls") or ())
        if finished is None:
            raise Refusal(500, "The model server broke off its answer")
        whole = finished not in _REASONS
        for piece in () if reading is None else reading.end(whole=whole):
            yield piece
        made = calls.made(request.preset, whole=whole)
        for call in made if request.several_calls else made[:1]:
            yield call
        if finished in _REASONS:
            yield Stop(_REASONS[finished])
        if usage:
            yield _spent(usage)

    async def embed(self, texts: Sequence[str], model: Model) -> Sequence[Embedding]:
        """Return the vectors of the server's model, made longer by zeros; hashed ones when it has none.

        Raises:
            Refusal: 422 when the server's vectors are longer than the model's, 500 when they are not vectors.
        """
        if self._embeddings_model is None:
            return await hashed_embeddings(texts, model)
        # Half of a surrogate pair is no text to others.
        inputs = [text.encode("utf-8", "replace").decode() for text in texts]
        wanted = {"model": self._embeddings_model, "input": inputs, "encoding_format": "float"}
        answer = await self._wire.post("/embeddings", wanted)
        vectors = _vectors(answer.get("data"), len(texts))
        longest = max(map(len, vectors))
        if longest > model.dimensions:
            raise invalid_params(
                f"{self._embeddings_model} makes vectors of {longest} values, {model.id} has {model.dimensions}; "
                "EmbeddingsGigaR has 2560"
            )
        # The server reports the sum only.
        whole = (answer.get("usage") or {}).get("prompt_tokens")
        counts = [int(whole)] if whole and len(texts) == 1 else await self.count(texts)
        return [
            Embedding(as_recorded(vector, model.dimensions), count)
            for vector, count in zip(vectors, counts, strict=True)
        ]

    async def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Return the numbers of tokens by rule of thumb: the contract has no way to ask."""
        return await count_all(texts)

    def break_off(self) -> None:
        """End all generations in progress; callable from any thread."""
        self._wire.break_off()

    async def _model_name(self) -> str:
        if self._model is None:
            listed = (await self._wire.get("/models")).get("data") or ()
            if not listed:
                raise Refusal(503, "The model server has no models")
            self._model = str(listed[0]["id"])
        return self._model


def _text(content: Any) -> str:
    """Return the text of a content, which some models send in parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content or ""


def _sampling(request: ChatRequest) -> dict[str, Any]:
    """Return the numbers that steer the choice of tokens, where the request has them."""
    options = {**request.options, **(request.options.get("model_options") or {})}
    numbers = {name: options[name] for name in ("temperature", "top_p") if options.get(name) is not None}
    if options.get("repetition_penalty") is not None:
        numbers |= dict.fromkeys(_PENALTIES, options["repetition_penalty"])
    if request.max_tokens is not None:
        numbers["max_tokens"] = request.max_tokens
    return numbers


def _native(request: ChatRequest) -> dict[str, Any]:
    """Return messages, tools and format as the contract has them."""
    body: dict[str, Any] = {"messages": list(_native_messages(request.messages))}
    if request.functions:
        body["tools"] = [{"type": "function", "function": _described(one)} for one in request.functions]
        body["tool_choice"] = "auto"
        if request.forced is not None:
            body["tool_choice"] = {"type": "function", "function": {"name": request.forced}}
    if request.schema is not None:
        body["response_format"] = _format(request.schema)
    if request.effort is not None:
        body["reasoning_effort"] = request.effort
    return body


def _described(function: Mapping[str, Any]) -> dict[str, Any]:
    described = {name: function[name] for name in ("name", "description") if name in function}
    return {**described, "parameters": function.get("parameters") or {"type": "object", "properties": {}}}


def _native_messages(messages: Sequence[Message]) -> Iterable[dict[str, Any]]:
    waiting: list[str] = []
    for number, message in enumerate(messages):
        content = message.content
        if message.role == "function":
            ids = [one for one in waiting if one.partition(" ")[2] == message.name] or waiting
            if ids:
                waiting.remove(ids[0])
                called = ids[0].partition(" ")[0]
                yield {"role": "tool", "tool_call_id": called, "name": message.name, "content": content}
            else:
                yield {"role": "user", "content": _result(message)}
        elif message.calls:
            waiting = [f"call_{number}_{place} {call.name}" for place, call in enumerate(message.calls)]
            calls = [
                {
                    "id": called.partition(" ")[0],
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
                }
                for called, call in zip(waiting, message.calls, strict=True)
            ]
            yield {"role": "assistant", "content": content, "tool_calls": calls}
        elif message.role in ("system", "user", "assistant"):
            waiting = []
            yield {"role": message.role, "content": content}
        elif message.role != "reasoning":
            yield {"role": "user", "content": content}


def _by_schema(request: ChatRequest) -> dict[str, Any]:
    """Return messages and format for constrained generation, in roles that every model knows."""
    told = instruction(request)
    said: list[tuple[str, str]] = [] if told is None else [("system", told)]
    for message in request.messages:
        match message.role:
            case "reasoning":
                continue
            case "function":
                said.append(("user", _result(message)))
            case "assistant":
                calls = (
                    json.dumps({"function": one.name, "arguments": one.arguments}, ensure_ascii=False)
                    for one in message.calls
                )
                said.append(("assistant", "\n".join(filter(None, [message.content, *calls]))))
            case "system":
                # What the user wrote as the system's message leads.
                said.insert(0, ("system", message.content))
            case _:
                said.append(("user", message.content))
    messages: list[dict[str, Any]] = []
    for role, text in said:
        # Some templates take turns only.
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n\n{text}"
        else:
            messages.append({"role": role, "content": text})
    schema = generated_schema(request)
    return {"messages": messages} if schema is None else {"messages": messages, "response_format": _format(schema)}


def _result(message: Message) -> str:
    return f"The function {message.name} returned: {message.content}"


def _format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)}}


def _vectors(data: Any, count: int) -> list[Sequence[float]]:
    """Return the vectors of an answer in the order of the texts.

    Raises:
        Refusal: 500 when there are not so many.
    """
    try:
        vectors = [one["embedding"] for _, one in sorted(enumerate(data), key=lambda one: one[1].get("index", one[0]))]
    except (TypeError, LookupError, AttributeError):
        vectors = []
    if len(vectors) != count or not all(isinstance(one, list) for one in vectors):
        raise Refusal(500, f"The model server sent no vectors of {count} texts")
    return vectors


@dataclass(slots=True)
class _Call:
    """One call, as far as it has come."""

    id: str | None
    name: str = ""
    arguments: str = ""


class _Calls:
    """Calls of the server's own way, which come in pieces, each under the number of its call.

    Some servers give all calls the same number, or none; others give each piece an id of its own: only a name under a
    new id begins another call.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._latest: dict[int, _Call] = {}

    def add(self, parts: Iterable[Mapping[str, Any]]) -> None:
        """Add pieces of calls."""
        for place, part in enumerate(parts):
            function = part.get("function") or {}
            name, written = function.get("name") or "", function.get("arguments") or ""
            number = place if part.get("index") is None else part["index"]
            call = self._latest.get(number)
            if call is None or (name and part.get("id") not in (None, call.id)):
                call = self._latest[number] = _Call(part.get("id"))
                self._calls.append(call)
            call.name += name
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
