"""Chat v1: answers, streams, functions and structured answers (reference, section 4)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Coroutine, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar, Unpack, overload

from gigachat import models
from gigachat._engine.call import Call, StreamCall, parse, read_model
from gigachat._engine.endpoint import (
    Async,
    Blocking,
    Mode,
    Resource,
    endpoint,
    overloaded_endpoint,
    streaming,
)
from gigachat.context import chat_url_cvar
from gigachat.exceptions import (
    APIResponseValidationError,
    ContentFilterFinishReasonError,
    LengthFinishReasonError,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gigachat._engine.sse import Event

    Message: TypeAlias = models.Messages | Mapping[str, Any]
    Payload: TypeAlias = str | models.Chat | Mapping[str, Any] | Sequence[Message]

__all__ = ["Chat", "ChatFields", "ChatNamespace"]

ModelT = TypeVar("ModelT", bound="BaseModel")


class ChatFields(TypedDict, total=False):
    """Fields of a chat that may be given by keyword; None means not given (reference, section 4.1)."""

    messages: Sequence[Message]
    model: str | None
    temperature: float | None
    top_p: float | None
    n: int | None
    max_tokens: int | None
    repetition_penalty: float | None
    update_interval: float | None
    profanity_check: bool | None
    function_call: Literal["auto", "none"] | models.ChatFunctionCall | Mapping[str, Any] | None
    functions: Sequence[models.Function | Mapping[str, Any]] | None
    flags: Sequence[str] | None
    storage: models.Storage | Mapping[str, Any] | None
    function_ranker: models.FunctionRanker | Mapping[str, Any] | None
    response_format: models.JsonSchemaResponseFormat | Mapping[str, Any] | None
    additional_fields: Mapping[str, Any] | None
    reasoning_effort: Literal["low", "medium", "high"] | None


class ChatNamespace(Resource[Mode]):
    """Chats; called itself it is the v1 chat."""

    def __init__(self, parent: Resource[Any], mode: type[Blocking | Async]) -> None:
        self._engine = parent._engine
        self._options = parent._options
        self._mode = mode

    @endpoint
    def __call__(self, payload: Payload | None = None, **fields: Unpack[ChatFields]) -> Call[models.ChatCompletion]:
        """Return the model's answer (reference, section 4).

        Args:
            payload: The user's text, a `Chat`, its fields as a mapping, or a list of messages.
            **fields: Fields of the chat, merged over the payload.

        Raises:
            ValueError, TypeError: The payload is no chat; nothing is sent.
            GigaChatException: There is no good answer.
        """
        return _call(self, payload, fields)


class Chat(Resource[Mode]):
    """Chat v1 on the client itself."""

    @cached_property
    def chat(self) -> ChatNamespace[Mode]:
        """Chats: `client.chat("…")`."""
        return ChatNamespace(self, self._mode)

    @streaming
    def stream(
        self, payload: Payload | None = None, **fields: Unpack[ChatFields]
    ) -> StreamCall[models.ChatCompletionChunk, models.ChatCompletion]:
        """Return the model's answer as a stream of chunks (reference, section 4.7).

        The request goes out with the first chunk asked for, or on entering the stream with `with`.

        Args:
            payload: The user's text, a `Chat`, its fields as a mapping, or a list of messages.
            **fields: Fields of the chat, merged over the payload.

        Raises:
            ValueError, TypeError: The payload is no chat; nothing is sent.
            GigaChatException: While reading: there is no good answer, or it breaks off.
        """
        call = _call(self, payload, fields, stream=True)
        call.headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        return StreamCall(call, _read_chunk, _finished, _text, _accumulated)

    @overload
    def chat_parse(
        self: Resource[Blocking],
        payload: Payload | None = None,
        *,
        response_format: type[ModelT],
        strict: bool = True,
        **fields: Any,
    ) -> tuple[models.ChatCompletion, ModelT]: ...
    @overload
    def chat_parse(
        self: Resource[Async],
        payload: Payload | None = None,
        *,
        response_format: type[ModelT],
        strict: bool = True,
        **fields: Any,
    ) -> Coroutine[Any, Any, tuple[models.ChatCompletion, ModelT]]: ...
    @overloaded_endpoint
    def chat_parse(
        self: Any,
        payload: Payload | None = None,
        *,
        response_format: type[BaseModel],
        strict: bool = True,
        **fields: Any,
    ) -> Call[Any]:
        """Return the answer and, made of it, an instance of a pydantic model (reference, section 4.6).

        Args:
            payload: As in `chat`.
            response_format: The pydantic model class of the wanted answer.
            strict: Whether the service keeps exactly to the schema.
            **fields: Fields of the chat, merged over the payload.

        Raises:
            LengthFinishReasonError: The answer was cut by the token limit.
            ContentFilterFinishReasonError: The service restricted the topic.
            APIResponseValidationError: The answer does not fit; attribute `completion`.
            ValueError, TypeError: The payload is no chat; nothing is sent.
            GigaChatException: There is no good answer.
        """
        return _parse_call(self, payload, fields, response_format, strict)


def _call(
    resource: Resource[Any], payload: Any, fields: Mapping[str, Any], *, stream: bool = False
) -> Call[models.ChatCompletion]:
    body: Any
    if isinstance(payload, str) and payload and not fields:
        # Text alone leaves nothing to validate.
        engine = resource._engine
        message = {"role": "user", "content": payload}
        body = {"model": engine.model, "messages": [message], **engine.chat_defaults}
        if stream:
            body["stream"] = True
    else:
        body = request = _request(resource, payload, fields, stream)
        if request.additional_fields:
            body = request.model_dump(exclude_none=True, by_alias=True)
            body = {**body.pop("additional_fields"), **body}
    return Call("POST", chat_url_cvar.get(), read_model(models.ChatCompletion), json=body)


def _request(resource: Resource[Any], payload: Any, fields: Mapping[str, Any], stream: bool) -> models.Chat:
    """Return the chat that a payload stands for, with the client's defaults. The caller's objects are not changed."""
    data = _payload_fields(payload)
    for name, value in fields.items():
        if value is not None:
            data[name] = value
    if inspect.isclass(data.get("response_format")):
        raise TypeError("response_format= takes a schema here; for a class use chat_parse(..., response_format=...)")
    engine = resource._engine
    if not data.get("model") and not _goes_on(data.get("storage")):
        data["model"] = engine.model
    for name, default in engine.chat_defaults.items():
        if data.get(name) is None:
            data[name] = default
    if stream or "stream" in data:
        data["stream"] = stream or None  # the method decides
    try:
        chat: models.Chat = models.Chat.__pydantic_validator__.validate_python(data)
        return chat
    except ValueError as error:
        problem = _problem(error)
    raise ValueError(problem)


def _payload_fields(payload: Any) -> dict[str, Any]:
    if isinstance(payload, str):
        if not payload:
            raise ValueError("the message is empty")
        return {"messages": [{"role": "user", "content": payload}]}
    if payload is None:
        return {}
    if isinstance(payload, Mapping):
        return dict(payload)
    if isinstance(payload, models.Chat):
        return dict(payload)
    if isinstance(payload, Sequence) and not isinstance(payload, bytes | bytearray):
        return {"messages": payload}
    raise TypeError(
        f"a chat is text, a Chat, a mapping of its fields or a list of messages, not {type(payload).__name__}"
    )


def _goes_on(storage: Any) -> bool:
    """Whether the service knows the model from the assistant or thread."""
    if isinstance(storage, Mapping):
        return bool(storage.get("assistant_id") or storage.get("thread_id"))
    return isinstance(storage, models.Storage) and bool(storage.assistant_id or storage.thread_id)


def _problem(error: ValueError) -> str:
    """Return what is wrong with a chat, in one line and without its content."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors(include_input=False, include_url=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _place(first["loc"])).lstrip(".")
    if place == "function_call":
        return "function_call is 'auto', 'none' or {'name': '…'}"
    if first["type"] == "too_short":
        return "messages is empty: give at least one message"
    if place == "messages" and first["type"] == "missing":
        return "no messages: give a text, or messages=[...]"
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def _place(location: Sequence[int | str]) -> list[int | str]:
    # Without the names pydantic gives to the members of a union.
    return [part for part in location if isinstance(part, int) or (part.isidentifier() and part.islower())]


def _read_chunk(event: Event, x_headers: dict[str, str | None]) -> models.ChatCompletionChunk:
    chunk = parse(models.ChatCompletionChunk, event.data)
    vars(chunk)["x_headers"] = x_headers  # past pydantic's setter: there are thousands of chunks
    return chunk


_IN_PROGRESS = "function_in_progress"


def _finished(chunk: models.ChatCompletionChunk) -> bool:
    return any(choice.finish_reason is not None for choice in chunk.choices)


def _text(chunk: models.ChatCompletionChunk) -> str:
    # How a built-in function gets on is no part of the answer.
    return "".join(
        choice.delta.content or ""
        for choice in chunk.choices
        if choice.index == 0 and choice.delta.role != _IN_PROGRESS
    )


def _accumulated(chunks: list[models.ChatCompletionChunk]) -> models.ChatCompletion:
    """Put the chunks of a stream together as the answer they would have been without streaming."""
    choices: dict[int, dict[str, Any]] = {}
    whole: dict[str, Any] = {"choices": choices}
    for chunk in chunks:
        extra = chunk.model_dump(exclude={"choices", "usage"}, exclude_unset=True, by_alias=True)
        whole.update({name: value for name, value in extra.items() if value is not None})
        whole["x_headers"] = chunk.x_headers
        if chunk.usage is not None:
            whole["usage"] = chunk.usage
        for part in chunk.choices:
            choice = choices.setdefault(part.index, {"index": part.index, "message": {}})
            choice.update(part.model_extra or {})
            if part.finish_reason is not None:
                choice["finish_reason"] = part.finish_reason
            message = choice["message"]
            if part.delta.role == _IN_PROGRESS:
                continue
            for name, value in part.delta.model_dump(exclude_unset=True).items():
                if name in ("content", "reasoning_content"):
                    message[name] = f"{message.get(name, '')}{value or ''}"
                elif value is not None:
                    message[name] = value
    for choice in choices.values():
        choice["message"].setdefault("role", "assistant")
    whole["choices"] = [choices[index] for index in sorted(choices)]
    try:
        return models.ChatCompletion.model_validate(whole)
    except ValueError as error:
        problem = _problem(error)
    raise APIResponseValidationError(f"the chunks cannot be put together as ChatCompletion: {problem}")


def _parse_call(
    resource: Resource[Any], payload: Any, fields: Mapping[str, Any], response_format: Any, strict: bool
) -> Call[Any]:
    if not inspect.isclass(response_format) or not hasattr(response_format, "model_validate_json"):
        raise TypeError("response_format= takes a pydantic model class")
    asked = models.JsonSchemaResponseFormat.model_validate({"schema": response_format, "strict": strict})
    call = _call(resource, payload, {**fields, "response_format": asked})
    read = call.read

    def read_both(content: bytes, headers: Mapping[str, str]) -> tuple[models.ChatCompletion, Any]:
        completion = read(content, headers)
        return completion, _parsed(completion, response_format)

    return Call(call.method, call.path, read_both, json=call.json)


_CODE_FENCE = re.compile(r"\s*```\w*\n(.*?)\n?\s*```\s*", re.DOTALL)


def _parsed(completion: models.ChatCompletion, response_format: Any) -> Any:
    if not completion.choices:
        raise APIResponseValidationError("the answer has no choices", completion=completion)
    choice = completion.choices[0]
    if choice.finish_reason == "length":
        raise LengthFinishReasonError(completion)
    if choice.finish_reason == "blacklist":
        raise ContentFilterFinishReasonError(completion)
    text = choice.message.content
    fenced = _CODE_FENCE.fullmatch(text)
    try:
        return response_format.model_validate_json(fenced[1] if fenced else text)
    except ValueError as error:
        problem = _problem(error)
    raise APIResponseValidationError(
        f"the answer does not fit {response_format.__name__}: {problem}", completion=completion
    )
