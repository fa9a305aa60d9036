"""How the versions of the API carry calls and their results (reference, sections 4.4 and 5.5).

An assistant message with calls goes back as it came, with its state and, in v2, the reasoning before it. The results of
the calls of one message follow in one message. What forces the model to call a function is sent in the first request
only: repeated, it would never let the model answer.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gigachat import models
from gigachat.api import chat, chat_v2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat._engine.calls import Call, StreamCall
    from gigachat._engine.endpoint import Resource

CompletionT = TypeVar("CompletionT")
ChunkT = TypeVar("ChunkT")
MessageT = TypeVar("MessageT")
UsageT = TypeVar("UsageT")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run needs of a completion.

    Attributes:
        text: Its text.
        finish_reason: Why it ended.
        calls: The calls in it: name, arguments and id.
    """

    text: str
    finish_reason: str | None
    calls: list[tuple[str, dict[str, Any] | str, str | None]]


class Version(ABC, Generic[CompletionT, ChunkT, MessageT, UsageT]):
    """The requests of one run, and how its answers are read."""

    messages: list[MessageT]
    """The conversation so far: it can be sent at any moment."""
    no_usage: UsageT
    """The usage of no answer."""

    @abstractmethod
    def use(self, messages: list[MessageT]) -> None:
        """Keep the conversation in a list."""

    @abstractmethod
    def function_names(self) -> list[str]:
        """Return the names of all functions that are described to the model."""

    @abstractmethod
    def call(self) -> Call[CompletionT]:
        """Return the call for the model's next answer."""

    @abstractmethod
    def stream_call(self) -> StreamCall[ChunkT, CompletionT]:
        """Return the call for the model's next answer as a stream."""

    @abstractmethod
    def answer(self, completion: CompletionT) -> Answer:
        """Return what a run needs of a completion."""

    @abstractmethod
    def failure(self, completion: CompletionT) -> str | None:
        """Return what is known about the failure of a completion; None if it has not failed."""

    @abstractmethod
    def reasoning(self, chunk: ChunkT) -> str:
        """Return the reasoning that a chunk adds."""

    @abstractmethod
    def add_answer(self, completion: CompletionT, results: Sequence[str | None]) -> None:
        """Add the model's answer and the results of its calls to the conversation.

        Args:
            completion: The answer.
            results: JSON of each result, in the order of the calls; None for a result that the caller adds.
        """


class V1(Version[models.ChatCompletion, models.ChatCompletionChunk, models.Messages, models.Usage]):
    """A run by chats v1: one call an answer.

    Args:
        resource: The client.
        payload: As in `chat`.
        fields: Fields of the chat; `functions` among them.
        stream: Whether the answers are streamed.
    """

    def __init__(self, resource: Resource[Any], payload: Any, fields: Mapping[str, Any], *, stream: bool) -> None:
        self.no_usage = models.Usage()
        self._resource = resource
        self._request = chat.request(resource, payload, fields, stream)
        if self._request.function_call is None and self._request.functions:
            self._request.function_call = "auto"
        self.messages = self._request.messages

    def use(self, messages: list[models.Messages]) -> None:
        """Keep the conversation in a list."""
        self.messages = self._request.messages = messages

    def function_names(self) -> list[str]:
        """Return the names of all functions that are described to the model."""
        return [function.name for function in self._request.functions or ()]

    def call(self) -> Call[models.ChatCompletion]:
        """Return the call for the model's next answer."""
        return chat.call_for(self._resource, self._next_request())

    def stream_call(self) -> StreamCall[models.ChatCompletionChunk, models.ChatCompletion]:
        """Return the call for the model's next answer as a stream."""
        return chat.stream_call_for(self._resource, self._next_request())

    def _next_request(self) -> models.Chat:
        request = self._request
        if isinstance(request.function_call, models.ChatFunctionCall):
            self._request = request.model_copy(update={"function_call": "auto"})
        return request

    def answer(self, completion: models.ChatCompletion) -> Answer:
        """Return what a run needs of a completion."""
        if not completion.choices:
            return Answer("", None, [])
        choice = completion.choices[0]
        asked = choice.message.function_call
        calls = [] if asked is None else [(asked.name, _arguments(asked), asked.id_)]
        return Answer(choice.message.content, choice.finish_reason, calls)

    def failure(self, completion: models.ChatCompletion) -> str | None:
        """Return what is known about the failure of a completion; None if it has not failed."""
        return chat.failure(completion)

    def reasoning(self, chunk: models.ChatCompletionChunk) -> str:
        """Return the reasoning that a chunk adds."""
        return "".join(choice.delta.reasoning_content or "" for choice in chunk.choices if choice.index == 0)

    def add_answer(self, completion: models.ChatCompletion, results: Sequence[str | None]) -> None:
        """Add the model's answer and the result of its call to the conversation."""
        added: list[models.Messages] = []
        for choice in completion.choices[:1]:
            message, call = choice.message, choice.message.function_call
            if call is not None and call.arguments is None:
                call = call.model_copy(update={"arguments": {}})  # text would be refused
                message = message.model_copy(update={"function_call": call})
            added.append(message)
            added += [
                models.Messages(role=models.MessagesRole.FUNCTION, name=call.name, content=result)
                for result in results
                if call is not None and result is not None
            ]
        self.messages += added  # at once: an interrupt leaves no call without its result


class V2(
    Version[models.ChatCompletionResponse, models.PrimaryChatCompletionChunk, models.ChatMessage, models.ChatUsage]
):
    """A run by chats v2: any number of calls an answer.

    Args:
        resource: The client.
        payload: As in `chat.create`.
        fields: Fields of the request; `tools` among them.
        stream: Whether the answers are streamed.
    """

    def __init__(self, resource: Resource[Any], payload: Any, fields: Mapping[str, Any], *, stream: bool) -> None:
        self.no_usage = models.ChatUsage()
        self._resource = resource
        self._request = chat_v2.request(resource._service, payload, fields, stream)
        self.use(_with_results_together(self._request.messages))

    def use(self, messages: list[models.ChatMessage]) -> None:
        """Keep the conversation in a list."""
        self.messages = self._request.messages = messages

    def function_names(self) -> list[str]:
        """Return the names of all functions that are described to the model."""
        own = [tool.functions for tool in self._request.tools or () if tool.functions is not None]
        return [function.name for functions in own for function in functions.specifications or ()]

    def call(self) -> Call[models.ChatCompletionResponse]:
        """Return the call for the model's next answer."""
        return chat_v2.call_for(self._resource, self._next_request())

    def stream_call(self) -> StreamCall[models.PrimaryChatCompletionChunk, models.ChatCompletionResponse]:
        """Return the call for the model's next answer as a stream."""
        return chat_v2.stream_call_for(self.call())

    def _next_request(self) -> models.ChatCompletionRequest:
        request = self._request
        if request.tool_config is not None:
            self._request = request.model_copy(update={"tool_config": None})
        return request

    def answer(self, completion: models.ChatCompletionResponse) -> Answer:
        """Return what a run needs of a completion."""
        calls = [(call.name, _arguments(call), call.id_) for call in completion.function_calls]
        return Answer(completion.text, chat_v2.finish_reason(completion), calls)

    def failure(self, completion: models.ChatCompletionResponse) -> str | None:
        """Return what is known about the failure of a completion; None if it has not failed."""
        return chat_v2.failure(completion)

    def reasoning(self, chunk: models.PrimaryChatCompletionChunk) -> str:
        """Return the reasoning that a chunk adds."""
        parts = chain.from_iterable(
            message.content or () for message in chunk.messages or () if message.role == "reasoning"
        )
        return "".join(part.text or "" for part in parts)

    def add_answer(self, completion: models.ChatCompletionResponse, results: Sequence[str | None]) -> None:
        """Add the model's answer and the results of its calls to the conversation."""
        added = [_sendable(message) for message in completion.messages]
        left = iter(results)
        for message in completion.messages:
            parts = [
                {"function_result": {"id": call.id_, "name": call.name, "result": _result(result)}}
                for call, result in zip(message.function_calls, left, strict=False)
                if result is not None
            ]
            if parts:
                state = message.tools_state_id or completion.tools_state_id
                added.append(models.ChatMessage(role="function", content=parts, tools_state_id=state))
        self.messages += added  # at once: an interrupt leaves no call without its result


def _sendable(message: models.ChatMessage) -> models.ChatMessage:
    """Return a message whose calls have objects as arguments: the service refuses text."""
    if all(isinstance(call.arguments, dict) for call in message.function_calls):
        return message
    copy = message.model_copy(deep=True)
    for call in copy.function_calls:
        if not isinstance(call.arguments, dict):
            call.arguments = {}
    return copy


def _with_results_together(messages: list[models.ChatMessage]) -> list[models.ChatMessage]:
    """Return messages with neighbouring ones of results as one: a run and its caller add results by turns."""
    joined: list[models.ChatMessage] = []
    for message in messages:
        last = joined[-1] if joined else None
        of_one = last is not None and message.tools_state_id in (None, last.tools_state_id)
        if of_one and last is not None and last.role == message.role and message.role in ("function", "tool"):
            content = [*(last.content or ()), *(message.content or ())]
            joined[-1] = last.model_copy(update={"content": content})
        else:
            joined.append(message)
    return joined


def _arguments(call: models.FunctionCall | models.PrimaryChatFunctionCall) -> dict[str, Any] | str:
    if isinstance(call.arguments, dict):
        return call.arguments
    if call.arguments is not None:
        return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
    return str((call.model_extra or {}).get("arguments_text") or "{}")


def _result(content: str) -> Any:
    """Return a result as it is sent: an object as an object, since recordings have it so; else JSON as text."""
    value = json.loads(content)
    return value if isinstance(value, dict) else content
