"""Names of 0.2 by their old address. Nothing new belongs here."""

from __future__ import annotations

from gigachat.resources.chat import AsyncChatNamespace, ChatNamespace

__all__ = ["AsyncChatNamespace", "ChatNamespace"]
