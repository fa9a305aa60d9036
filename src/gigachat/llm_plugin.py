"""Models of GigaChat for the command `llm`, version 0.36 or newer: `llm -m gigachat/GigaChat-2 "…"`.

`llm` loads this module when it starts; the client is imported by the first request. The key is that of
`llm keys set gigachat`, or the environment authorizes, as for every client.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llm.parts import AttachmentPart, StreamEvent, TextPart, ToolCallPart, ToolResultPart
from pydantic import Field

import llm
from gigachat import catalogue
from gigachat.exceptions import GigaChatException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

    from gigachat import models

_PREFIX = "gigachat/"
_KEY = "gigachat"
_TYPES = frozenset({"image/jpeg", "image/png", "image/tiff", "image/bmp", "application/pdf", "text/plain"})
_STATE = "functions_state_id"


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register the chat models."""
    for model in catalogue.MODELS.values():
        if model.type == "chat":
            register(Chat(model.name), AsyncChat(model.name))


@llm.hookimpl
def register_embedding_models(register: Callable[..., None]) -> None:
    """Register the models for vectors."""
    for model in catalogue.MODELS.values():
        if model.type == "embedder":
            register(Embedder(model.name))


class _Options(llm.Options):
    temperature: float | None = Field(default=None, description="Sampling temperature.")
    top_p: float | None = Field(default=None, description="Share of the probability mass to sample from.")
    max_tokens: int | None = Field(default=None, description="Most tokens of the answer.")
    repetition_penalty: float | None = Field(default=None, description="Penalty for repeated words.")
    profanity_check: bool | None = Field(default=None, description="Whether the service filters profanity.")


class _OptionalKey:
    """A model that needs no key if the environment authorizes."""

    needs_key = _KEY

    def get_key(self, explicit_key: str | None = None) -> str | None:
        """Return the key of the caller, or of `llm keys set`; None if there is none."""
        key: str | None = llm.get_key(input=explicit_key, alias=_KEY)
        return key


class _Chat(_OptionalKey):
    can_stream = True
    supports_schema = True
    supports_tools = True
    attachment_types = _TYPES
    Options = _Options

    def __init__(self, name: str) -> None:
        self.model_id = _PREFIX + name


class Chat(_Chat, llm.KeyModel):
    """A chat model."""

    def execute(
        self, prompt: Any, stream: bool, response: Any, conversation: Any, key: str | None
    ) -> Iterator[StreamEvent]:
        """Ask the model."""
        from gigachat import GigaChat

        try:
            with GigaChat(credentials=key) as giga:
                files = {id(one): giga.upload_file(_file(one)).id_ for one in _attachments(prompt)}
                request = _request(self.model_id, prompt, files)
                if stream:
                    with giga.stream(request) as chunks:
                        for text in chunks.text_stream:
                            yield StreamEvent("text", text)
                        completion = chunks.get_final_completion()
                else:
                    completion = giga.chat(request)
                    yield StreamEvent("text", completion.choices[0].message.content)
                yield from _rest(completion, response)
        except GigaChatException as error:
            raise llm.ModelError(str(error)) from error


class AsyncChat(_Chat, llm.AsyncKeyModel):
    """A chat model for async programs."""

    async def execute(
        self, prompt: Any, stream: bool, response: Any, conversation: Any, key: str | None
    ) -> AsyncIterator[StreamEvent]:
        """Ask the model."""
        from gigachat import AsyncGigaChat

        try:
            async with AsyncGigaChat(credentials=key) as giga:
                files = {id(one): (await giga.upload_file(_file(one))).id_ for one in _attachments(prompt)}
                request = _request(self.model_id, prompt, files)
                if stream:
                    async with giga.stream(request) as chunks:
                        async for text in chunks.text_stream:
                            yield StreamEvent("text", text)
                        completion = await chunks.get_final_completion()
                else:
                    completion = await giga.chat(request)
                    yield StreamEvent("text", completion.choices[0].message.content)
                for event in _rest(completion, response):
                    yield event
        except GigaChatException as error:
            raise llm.ModelError(str(error)) from error


class Embedder(_OptionalKey, llm.EmbeddingModel):
    """A model for vectors."""

    batch_size = 1000

    def __init__(self, name: str) -> None:
        self.model_id = _PREFIX + name

    def embed_batch(self, items: Iterable[str | bytes], *, key: str | None = None) -> Iterator[list[float]]:
        """Return the vectors of texts."""
        from gigachat import GigaChat

        texts = [item if isinstance(item, str) else item.decode() for item in items]
        try:
            with GigaChat(credentials=key) as giga:
                for vectors in giga.embed_slices(texts, self.model_id.removeprefix(_PREFIX)):
                    yield from ([float(number) for number in vector] for vector in vectors)
        except GigaChatException as error:
            raise llm.ModelError(str(error)) from error


def _attachments(prompt: Any) -> list[Any]:
    parts = (part for message in prompt.messages for part in message.parts)
    return [part.attachment for part in parts if isinstance(part, AttachmentPart) and part.attachment]


def _file(attachment: Any) -> tuple[str, bytes, str]:
    kind = attachment.resolve_type()
    return f"attachment.{kind.rpartition('/')[2].replace('plain', 'txt')}", attachment.content_bytes(), kind


def _request(model_id: str, prompt: Any, files: Mapping[int, str]) -> dict[str, Any]:
    """Return the chat of a prompt.

    Args:
        model_id: The model.
        prompt: The prompt.
        files: Ids of the uploaded attachments, by their identity.
    """
    request: dict[str, Any] = {"model": model_id.removeprefix(_PREFIX)}
    request["messages"] = [wire for message in prompt.messages for wire in _messages(message, files)]
    request.update(prompt.options.model_dump(exclude_none=True))
    if prompt.schema:
        request["response_format"] = {"type": "json_schema", "schema": prompt.schema, "strict": True}
    if tools := [tool for tool in prompt.tools if isinstance(tool, llm.Tool)]:
        request["functions"] = [
            {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema}
            for tool in tools
        ]
        request["function_call"] = "auto"
    return request


def _messages(message: Any, files: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    """Yield the messages of the service for one of `llm`: each result of a function is a message."""
    texts: list[str] = []
    wire: dict[str, Any] = {"role": message.role}
    for part in message.parts:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, AttachmentPart):
            wire.setdefault("attachments", []).append(files[id(part.attachment)])
        elif isinstance(part, ToolCallPart):
            wire["function_call"] = {"name": part.name, "arguments": part.arguments}
            wire.update({_STATE: (part.provider_metadata or {}).get(_STATE)})
        elif isinstance(part, ToolResultPart):
            yield {"role": "function", "name": part.name, "content": _json(part.output)}
    wire["content"] = "".join(texts)
    if wire["content"] or len(wire) > 2:
        yield {name: value for name, value in wire.items() if value is not None}


def _json(output: str) -> str:
    """Return the output of a function as the JSON object that the service wants."""
    try:
        value = json.loads(output)
    except ValueError:
        value = output
    return json.dumps(value if isinstance(value, dict) else {"result": value}, ensure_ascii=False)


def _rest(completion: models.ChatCompletion, response: Any) -> Iterator[StreamEvent]:
    """Report the usage of a completion, and yield the call in it."""
    usage = completion.usage
    response.set_usage(input=usage.prompt_tokens, output=usage.completion_tokens)
    if completion.model:
        response.set_resolved_model(completion.model)
    response.response_json = completion.model_dump(mode="json", by_alias=True, exclude={"x_headers"}, exclude_none=True)
    message = completion.choices[0].message
    call = message.function_call
    if call is not None:
        state = {_STATE: message.functions_state_id} if message.functions_state_id else None
        identifier = f"call-{message.functions_state_id or call.name}"
        response.add_tool_call(llm.ToolCall(call.name, call.arguments, tool_call_id=identifier))
        # The events are the same call, with what the next request returns to the service.
        yield StreamEvent("tool_call_name", call.name, tool_call_id=identifier, provider_metadata=state)
        yield StreamEvent("tool_call_args", json.dumps(call.arguments), tool_call_id=identifier)
