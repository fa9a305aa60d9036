"""Names of 0.2 by their old address: chats. What they are stands in `api.chat`; nothing new belongs here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat._engine.endpoint import Async, Blocking
from gigachat.api import chat
from gigachat.models import (
    Chat,
    ChatCompletion,
    ChatCompletionRequest,
    ChatCompletionResponse,
    PrimaryChatCompletionChunk,
)

if TYPE_CHECKING:
    from gigachat._engine.endpoint import Resource

__all__ = [
    "AsyncChatNamespace",
    "Chat",
    "ChatCompletion",
    "ChatCompletionRequest",
    "ChatCompletionResponse",
    "ChatNamespace",
    "PrimaryChatCompletionChunk",
]


class ChatNamespace(chat.ChatNamespace[Blocking]):
    """Chats of a client, blocking."""

    _mode = Blocking

    def __init__(self, base_client: Resource[Any]) -> None:
        super().__init__(base_client, Blocking)


class AsyncChatNamespace(chat.ChatNamespace[Async]):
    """Chats of a client, awaited."""

    _mode = Async

    def __init__(self, base_client: Resource[Any]) -> None:
        super().__init__(base_client, Async)
