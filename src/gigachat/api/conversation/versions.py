"""The chats of a conversation, by each version of the API."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from gigachat import models
from gigachat.api.arguments import validated
from gigachat.api.attachments import ids_of, kind_of
from gigachat.api.conversation.history import is_result
from gigachat.api.tool_run.start import start_v1, start_v2
from gigachat.exceptions import ConversationFormatError, GigaChatException

if TYPE_CHECKING:
    from gigachat._engine.endpoint import Resource
    from gigachat.api.tool_run.start import RunInBothModes

CompletionT = TypeVar("CompletionT")
MessageT = TypeVar("MessageT", bound="BaseModel")
UsageT = TypeVar("UsageT", bound="BaseModel")

_TEXT_WITH_FILES = "files= belong to a message that is text; a message has its files itself"


class ConversationVersion(ABC, Generic[CompletionT, MessageT, UsageT]):
    """The chats of a conversation.

    Args:
        resource: The client.
    """

    api: Literal["v1", "v2"]
    no_usage: UsageT
    has_documents = False
    """Whether a document was attached to a message."""
    _message: type[Any]
    _usage: type[Any]

    def __init__(self, resource: Resource[Any]) -> None:
        self._resource = resource

    @abstractmethod
    def start(
        self, messages: Sequence[MessageT], fields: Mapping[str, Any], *, stream: bool
    ) -> RunInBothModes[CompletionT, MessageT, UsageT]:
        """Return the run of a turn."""

    @abstractmethod
    def message(self, role: str, text: str, files: Sequence[str] = ()) -> MessageT:
        """Return a message."""

    @abstractmethod
    def waiting(self, messages: Sequence[MessageT]) -> list[str]:
        """Return the names of the functions that the last messages call without a result."""

    @abstractmethod
    def result_example(self, name: str) -> str:
        """Return how the result of a function is written."""

    def check(self, fields: Mapping[str, Any]) -> None:
        """Refuse invalid fields before the first turn.

        Raises:
            TypeError, ValueError: One is invalid.
        """
        self.start([self.message("user", "x")], fields, stream=False)

    def given(self, message: Any, files: Sequence[Any]) -> list[MessageT]:
        """Return the messages of the caller: text, a message, its fields, or a list of these.

        Raises:
            TypeError, ValueError: An argument is invalid.
        """
        ids = ids_of(files)
        self.has_documents = self.has_documents or "text" in map(kind_of, files)
        if isinstance(message, Sequence) and not isinstance(message, str | bytes | bytearray):
            if ids:
                raise TypeError(_TEXT_WITH_FILES)
            if not message:
                raise ValueError("no messages: give at least one")
            return [self._read(one, []) for one in message]
        return [self._read(message, ids)]

    def _read(self, message: Any, ids: list[str]) -> MessageT:
        if isinstance(message, str):
            if not message and not ids:
                raise ValueError("the message is empty")
            return self.message("user", message, ids)
        if ids:
            raise TypeError(_TEXT_WITH_FILES)
        if isinstance(message, BaseModel):
            message = message.model_dump(by_alias=True, exclude_none=True)
        if not isinstance(message, Mapping):
            raise TypeError(
                "a message is text, a model or a mapping, such as {'role': 'user', 'content': '…'}, "
                f"not {type(message).__name__}"
            )
        read: MessageT = validated(self._message, message)
        return read

    def refuse_without_results(self, history: Sequence[MessageT], given: Sequence[MessageT]) -> None:
        """Refuse messages that do not begin with the results for which the model waits.

        Raises:
            GigaChatException: They do not.
        """
        names = self.waiting(history)
        if names and not is_result(given[0]):
            result = self.result_example(names[0])
            raise GigaChatException(f"the model waits for the result of {', '.join(names)}: send({result}), or undo()")

    def dumped(self, value: Any) -> dict[str, Any]:
        """Return a message or usage as it is saved."""
        dumped: dict[str, Any] = value.model_dump(mode="json", by_alias=True, exclude_none=True)
        return dumped

    def read_message(self, line: Mapping[str, Any]) -> MessageT:
        """Return a saved message.

        Raises:
            ConversationFormatError: It is none.
        """
        read: MessageT = validated(self._message, line, ConversationFormatError)
        return read

    def read_usage(self, value: Any) -> UsageT:
        """Return saved usage.

        Raises:
            ConversationFormatError: It is none.
        """
        read: UsageT = validated(self._usage, value, ConversationFormatError)
        return read


class V1(ConversationVersion[models.ChatCompletion, models.Messages, models.Usage]):
    """Chats v1."""

    api = "v1"
    no_usage = models.Usage()
    _message = models.Messages
    _usage = models.Usage

    def start(
        self, messages: Sequence[models.Messages], fields: Mapping[str, Any], *, stream: bool
    ) -> RunInBothModes[models.ChatCompletion, models.Messages, models.Usage]:
        """Return the run of a turn."""
        if self.has_documents and fields.get("function_call") is None and not fields.get("tools"):
            fields = {**fields, "function_call": "auto"}  # documents are read by a built-in function
        return start_v1(self._resource, messages, fields, stream=stream)

    def message(self, role: str, text: str, files: Sequence[str] = ()) -> models.Messages:
        """Return a message."""
        return models.Messages(role=models.MessagesRole(role), content=text, attachments=list(files) or None)

    def waiting(self, messages: Sequence[models.Messages]) -> list[str]:
        """Return the names of the functions that the last messages call without a result."""
        call = messages[-1].function_call if messages else None
        return [] if call is None else [call.name]

    def result_example(self, name: str) -> str:
        """Return how the result of a function is written."""
        return f'{{"role": "function", "name": "{name}", "content": "JSON"}}'


class V2(ConversationVersion[models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage]):
    """Chats v2."""

    api = "v2"
    no_usage = models.ChatUsage()
    _message = models.ChatMessage
    _usage = models.ChatUsage

    def start(
        self, messages: Sequence[models.ChatMessage], fields: Mapping[str, Any], *, stream: bool
    ) -> RunInBothModes[models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage]:
        """Return the run of a turn."""
        return start_v2(self._resource, messages, fields, stream=stream)

    def message(self, role: str, text: str, files: Sequence[str] = ()) -> models.ChatMessage:
        """Return a message."""
        parts: list[Any] = [{"text": text}] if text else []
        if files:
            parts.append({"files": [{"id": file} for file in files]})
        return models.ChatMessage(role=role, content=parts)

    def waiting(self, messages: Sequence[models.ChatMessage]) -> list[str]:
        """Return the names of the functions that the last messages call without a result."""
        names: list[str] = []
        for message in messages:
            if message.role == "user":
                names.clear()
            names += [call.name for call in message.function_calls]
            for part in message.content or ():
                if part.function_result is not None and part.function_result.name in names:
                    names.remove(part.function_result.name)
        return names

    def result_example(self, name: str) -> str:
        """Return how the result of a function is written."""
        result = f'{{"function_result": {{"name": "{name}", "result": {{...}}}}}}'
        return f'{{"role": "function", "content": [{result}]}}'
