"""Old import paths of 0.2. Nothing new belongs here."""

from __future__ import annotations

from gigachat.resources.chat import AsyncChatNamespace, ChatNamespace

__all__ = ["AsyncChatNamespace", "ChatNamespace"]
