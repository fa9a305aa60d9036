"""Chat v1: answers, streams, functions and structured answers (reference, section 4), and the methods of chat v2."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, Unpack, overload

from gigachat import models
from gigachat._engine.calls import Call, StreamCall
from gigachat._engine.endpoint import (
    Async,
    Blocking,
    Mode,
    Resource,
    endpoint,
    namespace,
    overloaded_endpoint,
    overloaded_procedure,
    procedure,
    stream_endpoint,
)
from gigachat._engine.failures import ERROR, failure_text
from gigachat._engine.parsing import read_chunks, read_completion
from gigachat.api import chat_v2
from gigachat.api.answer_files import AnswerFileReader
from gigachat.api.arguments import (
    chat_request,
    check_roles,
    field_of,
    payload_fields,
    refuse_class,
    refuse_keywords,
    with_described,
)
from gigachat.api.attachments import attach_file, kind_of, with_files
from gigachat.api.runs import RunsV2
from gigachat.api.streaming import ACCEPT, ChatAccumulator, finish_reason, finished, text
from gigachat.api.structured_chats import ModelT, StructuredChats, ValueT
from gigachat.context import chat_url_cvar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from pydantic import BaseModel, TypeAdapter

    from gigachat.api.arguments import Function
    from gigachat.api.attachments import FileReference
    from gigachat.api.chat_v2 import ChatCompletionFields
    from gigachat.api.chat_v2 import Payload as PayloadV2
    from gigachat.api.uploads import UploadTypes
    from gigachat.types import MessageFields, ModelName

    Message: TypeAlias = models.Messages | MessageFields | Mapping[str, Any]
    Payload: TypeAlias = str | models.Chat | Mapping[str, Any] | Sequence[Message]


class BaseChatFields(TypedDict, total=False):
    """Fields of a chat that may be given by keyword to each method that chats."""

    messages: Sequence[Message]
    model: ModelName | str | None
    assistant_id: str | None
    temperature: float | None
    top_p: float | None
    n: int | None
    max_tokens: int | None
    repetition_penalty: float | None
    update_interval: float | None
    profanity_check: bool | None
    function_call: Literal["auto", "none"] | models.ChatFunctionCall | Mapping[str, Any] | None
    flags: Sequence[str] | None
    function_ranker: models.FunctionRanker | Mapping[str, Any] | None
    additional_fields: Mapping[str, Any] | None
    reasoning_effort: str | None
    reasoning_max_tokens: int | None
    files: Sequence[FileReference] | None


class ChatOptions(BaseChatFields, total=False):
    """Fields of a chat that may be given by keyword, but its functions and its storage."""

    response_format: models.JsonSchemaResponseFormat | Mapping[str, Any] | None


class StructuredChatFields(BaseChatFields, total=False):
    """Fields of a chat that may be given by keyword, but the form of its answer."""

    functions: Sequence[Function] | None
    storage: models.Storage | Mapping[str, Any] | None


class ChatFields(StructuredChatFields, ChatOptions, total=False):
    """Fields of a chat that may be given by keyword; None means not given (reference, section 4.1)."""


_METHODS = ("chat", "stream")
_TRANSCRIBE = "Transcribe the recording word for word, in its own language. Write the text of the recording only."
_NOT_SENT = ("additional_fields", "stop")
_OF_V2 = {
    "attachments": "belongs to messages; a chat takes files=[...]",
    "tools": "belongs to chats v2; a chat v1 takes functions=[...]",
    "tool_choice": "belongs to another API; a chat v1 takes function_call=",
    "tool_config": "belongs to chats v2; a chat v1 takes function_call=",
    "model_options": "belongs to chats v2; a chat v1 takes the options themselves",
}


class ChatNamespace(StructuredChats[Mode], RunsV2[Mode]):
    """Chats v2; called itself it is the chat v1."""

    # Overloads, because pyright does not take an object for a callable whose `__call__` is a descriptor.
    @overload
    def __call__(
        self: Resource[Blocking], payload: Payload | None = None, **fields: Unpack[ChatFields]
    ) -> models.ChatCompletion: ...
    @overload
    def __call__(
        self: Resource[Async], payload: Payload | None = None, **fields: Unpack[ChatFields]
    ) -> Coroutine[Any, Any, models.ChatCompletion]: ...
    @overloaded_endpoint
    def __call__(self: Any, payload: Payload | None = None, **fields: Unpack[ChatFields]) -> Call[Any]:
        """Return the model's answer (reference, section 4).

        Args:
            payload: The user's text, a `Chat`, its fields as a mapping, or a list of messages.
            **fields: Fields of the chat, merged over the payload. `functions` takes descriptions, Python functions and
                `Tool`s; `files` attaches files of `attach` or `upload_file`, or their ids, to the last message.
        """
        return _call(self, payload, fields)

    if not TYPE_CHECKING:  # to a type checker, a class with `__getattr__` has every attribute

        def __getattr__(self, name: str) -> Any:
            """Say how a chat is asked to those who know the name from another client."""
            if name == "completions":
                raise AttributeError("there is no chat.completions: giga.chat(...), or giga.chat.create(...) of API v2")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    @endpoint
    def create(
        self, payload: PayloadV2 | None = None, **fields: Unpack[ChatCompletionFields]
    ) -> Call[models.ChatCompletionResponse]:
        """Return the model's answer by API v2 (reference, section 5).

        Args:
            payload: The user's text, a `ChatCompletionRequest`, its fields as a mapping, or a list of messages.
            **fields: Fields of the request, merged over the payload. Options of the model may be given by themselves
                (`temperature=0.2, max_tokens=100`): they are sent inside `model_options`. `tools` takes names of the
                service's tools, `ChatTool`s, descriptions of own functions, Python functions and `Tool`s; `tool_config`
                `"auto"`, `"none"`, `"any"` or the name of the tool that must be used.
        """
        return chat_v2.chat_call(self, payload, fields)

    @stream_endpoint
    def stream(
        self, payload: PayloadV2 | None = None, **fields: Unpack[ChatCompletionFields]
    ) -> StreamCall[models.PrimaryChatCompletionChunk, models.ChatCompletionResponse]:
        """Return the model's answer by API v2 as a stream of events (reference, section 5.7).

        The request is sent when the first event is read, or on entering `with`.

        Args:
            payload: The user's text, a `ChatCompletionRequest`, its fields as a mapping, or a list of messages.
            **fields: Fields of the request, as for `create`.
        """
        return chat_v2.stream_call(self, payload, fields)


class BlockingChatNamespace(ChatNamespace[Blocking]):
    """Return the model's answer: the call itself by API v1, `create` by API v2."""

    _mode = Blocking


class AsyncChatNamespace(ChatNamespace[Async]):
    """Return the model's answer, awaited: the call itself by API v1, `create` by API v2."""

    _mode = Async


class Chat(Resource[Mode]):
    """Chat v1 on the client itself."""

    @namespace
    def chat(self) -> ChatNamespace[Mode]:
        """Chats: `client.chat("…")` by API v1, `client.chat.create("…")` by API v2."""
        kind: Any = AsyncChatNamespace if self._mode is Async else BlockingChatNamespace
        chats: ChatNamespace[Mode] = kind(self)
        return chats

    @stream_endpoint
    def stream(
        self, payload: Payload | None = None, **fields: Unpack[ChatFields]
    ) -> StreamCall[models.ChatCompletionChunk, models.ChatCompletion]:
        """Return the model's answer as a stream of chunks (reference, section 4.7).

        The request is sent when the first chunk is read, or on entering `with`.

        Args:
            payload: The user's text, a `Chat`, its fields as a mapping, or a list of messages.
            **fields: Fields of the chat, merged over the payload.
        """
        call = _call(self, payload, fields, stream=True)
        call.headers = ACCEPT
        read = read_chunks(models.ChatCompletionChunk)
        return StreamCall(call, read, finished, text, ChatAccumulator, failure, _answer)

    @procedure
    async def transcribe(
        self, file: UploadTypes, *, prompt: str = _TRANSCRIBE, model: ModelName | str | None = None
    ) -> models.ChatCompletion:
        """Return the answer to a recording, by default its text (reference, sections 6 and 9.2).

        Args:
            file: Audio, as for `attach`.
            prompt: What the model is asked to do with it.
            model: Name of the model.

        Raises:
            ValueError, TypeError: It is no audio, or larger than the service takes; nothing is sent.
        """
        chat = request(self, prompt, {"model": model}, stream=False)
        uploaded = await attach_file(self._session, file, "audio")
        chat.messages = with_files(chat.messages, [uploaded.id_])  # the service has accepted its size
        return await self._session.send(call_for(self, chat))

    @overload
    def chat_parse(
        self: Resource[Blocking],
        payload: Payload | None = None,
        *,
        response_format: type[ModelT],
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatFields],
    ) -> tuple[models.ChatCompletion, ModelT]: ...
    @overload
    def chat_parse(
        self: Resource[Blocking],
        payload: Payload | None = None,
        *,
        into: type[ValueT] | TypeAdapter[ValueT],
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatFields],
    ) -> tuple[models.ChatCompletion, ValueT]: ...
    @overload
    def chat_parse(
        self: Resource[Async],
        payload: Payload | None = None,
        *,
        response_format: type[ModelT],
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatFields],
    ) -> Coroutine[Any, Any, tuple[models.ChatCompletion, ModelT]]: ...
    @overload
    def chat_parse(
        self: Resource[Async],
        payload: Payload | None = None,
        *,
        into: type[ValueT] | TypeAdapter[ValueT],
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatFields],
    ) -> Coroutine[Any, Any, tuple[models.ChatCompletion, ValueT]]: ...
    @overloaded_procedure
    async def chat_parse(
        self: Any,
        payload: Payload | None = None,
        *,
        into: Any = None,
        response_format: type[BaseModel] | None = None,
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatFields],
    ) -> Any:
        """Return the answer, and its JSON as a value of a type (reference, section 4.6).

        Args:
            payload: As in `chat`.
            into: Any type that pydantic validates, or its `TypeAdapter`: a model, a dataclass, `list[int]`. The answer
                to a type whose JSON is not an object is `{"value": …}`; words and code fences around it are ignored.
            response_format: A pydantic model class, in place of `into`.
            strict: Whether the service keeps exactly to the schema.
            simplify: Whether `gigachat.schema.simplify` is applied to the schema, for models that refuse it.
            repair: How often to ask again if the answer does not fit. The usage of the completion is the sum of all.
            **fields: Fields of the chat, merged over the payload.

        Raises:
            GenerationError: The service failed to generate.
            LengthFinishReasonError: The answer was cut by the token limit.
            ContentFilterFinishReasonError: The service restricted the topic.
            RefusalError: The model answered in words.
            InvalidJSONError: The answer has no text, or its JSON is invalid.
            SchemaMismatchError: The JSON does not fit. All of these have `completions` and their `usage`.
        """
        from gigachat.api.structured_output import Form, parsed, wanted

        form = Form(models.JsonSchemaResponseFormat, models.Messages, _answer, failure)
        kind, asked = wanted(form, into, response_format, strict=strict, simplify=simplify)
        return await parsed(self._session, _call(self, payload, {**fields, **asked}), kind, form, repair)


def _call(
    resource: Resource[Any], payload: Any, fields: Mapping[str, Any], *, stream: bool = False
) -> Call[models.ChatCompletion]:
    if fields or not payload or not isinstance(payload, str):
        return call_for(resource, request(resource, payload, fields, stream))
    # Text alone leaves nothing to validate.
    service = resource._service
    body = {"model": service.model, "messages": [{"role": "user", "content": payload}], **service.chat_defaults}
    if stream:
        body["stream"] = True
    read = read_completion(models.ChatCompletion, failure, _has_content)
    files = partial(AnswerFileReader, resource)
    return Call("POST", chat_url_cvar.get(), read, json=body, chat=True, file_reader_factory=files)


def call_for(resource: Resource[Any], chat: models.Chat) -> Call[models.ChatCompletion]:
    """Return the call that sends a request."""
    read = read_completion(models.ChatCompletion, failure, _has_content)
    files = partial(AnswerFileReader, resource)
    return Call("POST", chat_url_cvar.get(), read, json=_body(chat), chat=True, file_reader_factory=files)


def _body(chat: models.Chat) -> Mapping[str, Any] | models.Chat:
    if not chat.additional_fields:
        return chat
    return merged_fields(chat)


def merged_fields(chat: models.Chat) -> dict[str, Any]:
    """Return the fields of a chat, and its additional ones beside them; named fields win."""
    named = {name: value for name, value in chat if value is not None and name not in _NOT_SENT}
    return {**(chat.additional_fields or {}), **named}


def stream_call_for(
    resource: Resource[Any], chat: models.Chat
) -> StreamCall[models.ChatCompletionChunk, models.ChatCompletion]:
    """Return the call that sends a request for a stream."""
    call = call_for(resource, chat)
    call.headers = ACCEPT
    read = read_chunks(models.ChatCompletionChunk)
    return StreamCall(call, read, finished, text, ChatAccumulator, failure, _answer)


def request(resource: Resource[Any], payload: Any, fields: Mapping[str, Any], stream: bool) -> models.Chat:
    """Return the chat for a payload, with the client's defaults. The caller's objects are not changed."""
    data = payload_fields(payload, models.Chat)
    if fields:
        refuse_keywords(fields, (*models.Chat.model_fields, "files"), _OF_V2, _METHODS, stream=stream)
    for name, value in fields.items():
        if value is not None and name != "files":
            data[name] = value
    refuse_class(data.get("response_format"), "chat_parse")
    data = with_described(data, "functions")
    service, storage = resource._service, data.get("storage")
    for name, default in service.chat_defaults.items():
        if data.get(name) is None:
            data[name] = default
    has_model = data.get("assistant_id") or field_of(storage, "assistant_id") or field_of(storage, "thread_id")
    chat = chat_request(models.Chat, data, None if has_model else service.model, stream)
    check_roles(chat.messages)
    if files := fields.get("files"):
        chat.messages = with_files(chat.messages, files)
        if "text" in map(kind_of, files) and chat.function_call is None and not chat.functions:
            chat.function_call = "auto"  # documents are read by a built-in function
    return chat


def failure(completion: models.ChatCompletion | models.ChatCompletionChunk) -> str | None:
    """Return what is known about a failure that a completion, or a chunk, reports; None if it reports none."""
    details = completion.error_details
    return failure_text(details) if details or ERROR in map(finish_reason, completion.choices) else None


def _has_content(completion: models.ChatCompletion) -> bool:
    messages = [choice.message for choice in completion.choices]
    return any(message.content or message.function_call is not None for message in messages)


def _answer(completion: models.ChatCompletion) -> tuple[str | None, str]:
    """Return why the answer ended, and its text."""
    choice = next(iter(completion.choices), None)
    return (None, "") if choice is None else (choice.finish_reason, choice.message.content)
