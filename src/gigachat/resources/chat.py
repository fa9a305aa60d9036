"""Old import path of 0.2 for chats. The code is in `api.chat`; nothing new belongs here."""

from __future__ import annotations

from gigachat.api.chat import AsyncChatNamespace
from gigachat.api.chat import BlockingChatNamespace as ChatNamespace
from gigachat.models import (
    Chat,
    ChatCompletion,
    ChatCompletionRequest,
    ChatCompletionResponse,
    PrimaryChatCompletionChunk,
)

__all__ = [
    "AsyncChatNamespace",
    "Chat",
    "ChatCompletion",
    "ChatCompletionRequest",
    "ChatCompletionResponse",
    "ChatNamespace",
    "PrimaryChatCompletionChunk",
]
