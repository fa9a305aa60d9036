"""Chat v2: calls for completions and streams (reference, section 5). The methods are in `chat`.

Sources disagree on the role of a function's result: unless `function_result_role` decides, it is `function` for the
vendor's hosts, and for other hosts as the message says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict
from urllib.parse import urlsplit

from gigachat import models
from gigachat._engine.calls import Call, StreamCall
from gigachat._engine.failures import ERROR, failure_text
from gigachat._engine.parsing import read_chunks, read_completion
from gigachat._service import is_vendor_host
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
from gigachat.api.attachments import with_files
from gigachat.api.streaming import ACCEPT
from gigachat.api.streaming_v2 import MessageAccumulator, ends, refuse_error
from gigachat.context import chat_completions_url_cvar

if TYPE_CHECKING:
    from gigachat._engine.endpoint import Resource
    from gigachat._engine.service import Service
    from gigachat.api.arguments import Function
    from gigachat.api.attachments import FileReference
    from gigachat.types import ChatMessageFields, ModelName

    Message: TypeAlias = models.ChatMessage | ChatMessageFields | Mapping[str, Any]
    Payload: TypeAlias = str | models.ChatCompletionRequest | Mapping[str, Any] | Sequence[Message]
    Tool: TypeAlias = str | models.ChatTool | models.ChatFunctionSpecification | Function

_PATH = "/chat/completions"


class BaseChatCompletionFields(TypedDict, total=False):
    """Fields of a chat v2 that may be given by keyword to each method that chats."""

    messages: Sequence[Message]
    model: ModelName | str | None
    assistant_id: str | None
    model_options: models.ChatModelOptions | Mapping[str, Any] | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    repetition_penalty: float | None
    update_interval: float | None
    unnormalized_history: bool | None
    top_logprobs: int | None
    preset: str | None
    reasoning: models.ChatReasoning | Mapping[str, Any] | None
    reasoning_effort: str | None
    reasoning_max_tokens: int | None
    parallel_tool_calls: bool | None
    tool_config: str | models.ChatToolConfig | Mapping[str, Any] | None
    tools_state_id: str | None
    ranker_options: models.ChatRankerOptions | Mapping[str, Any] | None
    user_info: models.ChatUserInfo | Mapping[str, Any] | None
    filter_config: models.ChatFilterConfig | Mapping[str, Any] | None
    disable_filter: bool | None
    profanity_check: bool | None
    flags: Sequence[str] | None
    additional_fields: Mapping[str, Any] | None
    files: Sequence[FileReference] | None


class ChatCompletionOptions(BaseChatCompletionFields, total=False):
    """Fields of a chat v2 that may be given by keyword, but its tools and its storage."""

    response_format: models.ChatResponseFormat | models.JsonSchemaResponseFormat | Mapping[str, Any] | None


class StructuredChatCompletionFields(BaseChatCompletionFields, total=False):
    """Fields of a chat v2 that may be given by keyword, but the form of its answer."""

    tools: Sequence[Tool] | None
    storage: bool | models.ChatStorage | Mapping[str, Any] | None


class ChatCompletionFields(StructuredChatCompletionFields, ChatCompletionOptions, total=False):
    """Fields of a chat v2 that may be given by keyword; None means not given (reference, section 5.1)."""


# The state of the tools has three names.
_KNOWN = (*ChatCompletionFields.__annotations__, "tool_state_id", "functions_state_id")
_METHODS = ("chat.create", "chat.stream")
_OF_V1 = {
    "attachments": "belongs to messages v1; a chat takes files=[...]",
    "functions": "belongs to chats v1; a chat v2 takes tools=[...]",
    "function_call": "belongs to chats v1; a chat v2 takes tool_config=",
    "tool_choice": "belongs to another API; a chat v2 takes tool_config=",
}


def stream_call(
    resource: Resource[Any], payload: Any, fields: Mapping[str, Any]
) -> StreamCall[models.PrimaryChatCompletionChunk, models.ChatCompletionResponse]:
    """Return the call for a stream."""
    return stream_call_for(chat_call(resource, payload, fields, stream=True))


def stream_call_for(
    call: Call[models.ChatCompletionResponse],
) -> StreamCall[models.PrimaryChatCompletionChunk, models.ChatCompletionResponse]:
    """Return the call for a stream, given the call that sends its request."""
    call.headers = ACCEPT
    read = read_chunks(models.PrimaryChatCompletionChunk, refuse_error, "messages")
    return StreamCall(call, read, _finished, attrgetter("text"), MessageAccumulator, failure, answer, ends)


def chat_call(
    resource: Resource[Any], payload: Any, fields: Mapping[str, Any], *, stream: bool = False
) -> Call[models.ChatCompletionResponse]:
    """Return the call for an answer."""
    service = resource._service
    body: Any
    if isinstance(payload, str) and payload and not fields:
        # Text alone leaves nothing to validate.
        message = {"role": "user", "content": [{"text": payload}]}
        body = {"model": service.model, "messages": [message], **_defaults(service, {})}
        if stream:
            body["stream"] = True
        return _posted(resource, body)
    return call_for(resource, request(service, payload, fields, stream))


def call_for(resource: Resource[Any], chat: models.ChatCompletionRequest) -> Call[models.ChatCompletionResponse]:
    """Return the call that sends a request."""
    service = resource._service
    if any(map(_has_result, chat.messages)):
        role: str | None = service.settings.function_result_role
        url = chat_completions_url_cvar.get()
        if role is None and is_vendor_host(
            urlsplit(service.v2_urls[0] if url is None else service.url(url)).hostname or ""
        ):
            role = "function"
        messages = [_with_role(one, role) if _has_result(one) else one for one in chat.messages]
        chat = chat.model_copy(update={"messages": messages})
    return _posted(resource, chat)


def _posted(
    resource: Resource[Any], body: Mapping[str, Any] | models.ChatCompletionRequest
) -> Call[models.ChatCompletionResponse]:
    read = read_completion(models.ChatCompletionResponse, failure, _has_content)
    url = chat_completions_url_cvar.get()
    reader_factory = partial(AnswerFileReader, resource)
    return Call(
        "POST",
        _PATH if url is None else url,
        read,
        json=body,
        file_reader_factory=reader_factory,
        v2=url is None,
        chat=True,
    )


def _defaults(service: Service, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the client's settings add to the fields of a request."""
    defaults: dict[str, Any] = {}
    check, flags = service.chat_defaults.get("profanity_check"), service.chat_defaults.get("flags")
    if check is not None and fields.get("profanity_check") is None and fields.get("disable_filter") is None:
        defaults["disable_filter"] = not check
    if flags is not None and fields.get("flags") is None:
        defaults["flags"] = flags
    return defaults


def request(service: Service, payload: Any, fields: Mapping[str, Any], stream: bool) -> models.ChatCompletionRequest:
    """Return the request for a payload, with the client's defaults. The payload is not changed."""
    if fields:
        refuse_keywords(fields, _KNOWN, _OF_V1, _METHODS, stream=stream)
    given = {name: value for name, value in fields.items() if name != "files"}
    data = _merged(payload_fields(payload, models.ChatCompletionRequest), given)
    options = data.get("model_options")
    if isinstance(options, Mapping):
        refuse_class(options.get("response_format"), "chat.parse")
    data = with_described(data, "tools")
    data.update(_defaults(service, data))
    has_model = data.get("assistant_id") or field_of(data.get("storage"), "thread_id")
    request = chat_request(models.ChatCompletionRequest, data, None if has_model else service.model, stream)
    check_roles(request.messages, v2=True)
    if files := fields.get("files"):
        request.messages = with_files(request.messages, files)
    return request


def _merged(payload: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a payload with others over them; of the model's options, too, the later one wins."""
    from gigachat.models.chat_completions import with_options_in_place  # here, for it loads pydantic

    given = dict(fields)
    unnamed = [layer.pop("additional_fields", None) or {} for layer in (payload, given)]
    merged: dict[str, Any] = {}
    for layer in filter(None, (*unnamed, payload, given)):
        layer = with_options_in_place({name: value for name, value in dict(layer).items() if value is not None})
        before, options = merged.get("model_options"), layer.get("model_options")
        if isinstance(before, Mapping) and isinstance(options, Mapping):
            layer["model_options"] = {**before, **options}
        if "profanity_check" in layer and "disable_filter" not in layer:
            merged.pop("disable_filter", None)  # the same thing in other words
        merged.update(layer)
    return merged


def _has_result(message: models.ChatMessage) -> bool:
    return any(part.function_result is not None for part in message.content or ())


_ROLES = ("function", "tool")


def _with_role(message: models.ChatMessage, role: str | None) -> models.ChatMessage:
    """Return a message that holds results as it is sent: under a role, and with results the service can read."""
    content = []
    for part in message.content or ():
        result = part.function_result
        if result is not None and not _is_document(result.result):
            result = result.model_copy(update={"result": {"result": result.result}})
            part = part.model_copy(update={"function_result": result})
        content.append(part)
    if role is None or message.role not in _ROLES:
        role = message.role
    return message.model_copy(update={"content": content, "role": role})


def _is_document(result: Any) -> bool:
    """Whether a function's result is an object or array, or the JSON of one: what is sure to be accepted."""
    if isinstance(result, str):
        try:
            return isinstance(json.loads(result), dict | list)
        except (ValueError, RecursionError):
            return False
    return not (result is None or isinstance(result, bool | int | float))


# Responses


def _finished(chunk: models.PrimaryChatCompletionChunk) -> bool:
    return finish_reason(chunk) is not None


def _finish_reasons(completion: models.PrimaryChatCompletionChunk | models.ChatCompletionResponse) -> list[str | None]:
    return [completion.finish_reason, *(message.finish_reason for message in completion.messages or ())]


def finish_reason(completion: models.PrimaryChatCompletionChunk | models.ChatCompletionResponse) -> str | None:
    """Return why the answer ended."""
    return next((reason for reason in _finish_reasons(completion) if reason is not None), None)


def failure(completion: models.PrimaryChatCompletionChunk | models.ChatCompletionResponse) -> str | None:
    """Return what is known about a failure that a completion, or a chunk, reports; None if it reports none."""
    details = completion.error_details
    return failure_text(details) if details or ERROR in _finish_reasons(completion) else None


def _has_content(completion: models.ChatCompletionResponse) -> bool:
    return bool(completion.text or completion.function_calls)


def answer(completion: models.ChatCompletionResponse) -> tuple[str | None, str]:
    """Return why the answer ended, and its text: that of the first message that has any."""
    texts = (
        "".join(part.text or "" for part in message.content or ())
        for message in completion.messages
        if message.role == "assistant"
    )
    return finish_reason(completion), next(filter(None, texts), "")
