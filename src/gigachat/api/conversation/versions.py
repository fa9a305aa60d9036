"""The chats of a conversation, by each version of the API."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from gigachat import models
from gigachat.api.arguments import validated
from gigachat.api.attachments import attached_ids, kind_of
from gigachat.api.tool_run.start import start_v1, start_v2
from gigachat.exceptions import ConversationFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat._engine.endpoint import Resource
    from gigachat.api.tool_run.start import RunInBothModes

CompletionT = TypeVar("CompletionT")
MessageT = TypeVar("MessageT", bound="BaseModel")
UsageT = TypeVar("UsageT", bound="BaseModel")


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
    def prompt_tokens(self, completion: CompletionT) -> int:
        """Return the tokens of the prompt of a completion, cached ones included; 0 if they are unknown."""

    def check(self, fields: Mapping[str, Any]) -> None:
        """Refuse invalid fields before the first turn.

        Raises:
            TypeError, ValueError: One is invalid.
        """
        self.start([self.message("user", "x")], fields, stream=False)

    def given(self, message: Any, files: Sequence[Any]) -> MessageT:
        """Return a message of the caller: text, a message, or its fields.

        Raises:
            TypeError, ValueError: It is none.
        """
        ids = attached_ids(files)
        self.has_documents = self.has_documents or "text" in map(kind_of, files)
        if isinstance(message, str):
            if not message and not ids:
                raise ValueError("the message is empty")
            return self.message("user", message, ids)
        if ids:
            raise TypeError("files= belong to a message that is text; a message has its files itself")
        if isinstance(message, BaseModel):
            message = message.model_dump(by_alias=True, exclude_none=True)
        read: MessageT = validated(self._message, message)
        return read

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

    def prompt_tokens(self, completion: models.ChatCompletion) -> int:
        """Return the tokens of the prompt of a completion, cached ones included."""
        return completion.usage.prompt_tokens + (completion.usage.precached_prompt_tokens or 0)


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

    def prompt_tokens(self, completion: models.ChatCompletionResponse) -> int:
        """Return the tokens of the prompt of a completion, cached ones included."""
        usage = completion.usage
        if usage is None:
            return 0
        details = usage.input_tokens_details
        cached = (details.cached_tokens or 0) if details is not None else 0
        return (usage.input_tokens or 0) + cached
