"""Types for annotations: names of models, scopes and roles, and messages as dictionaries.

Methods accept any text as a name. The names here are the known ones, which editors complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - pydantic needs the names of the annotations
from typing import Any, Literal, Required, TypeAlias

from typing_extensions import TypedDict  # pydantic validates this one also on Python 3.11

__all__ = [
    "ChatMessageFields",
    "ChatRole",
    "CheckerName",
    "EmbedderName",
    "MessageFields",
    "ModelName",
    "Role",
    "Scope",
]

ModelName: TypeAlias = Literal[
    "GigaChat",
    "GigaChat-2",
    "GigaChat-2-Max",
    "GigaChat-2-Max-preview",
    "GigaChat-2-Pro",
    "GigaChat-2-Pro-preview",
    "GigaChat-2-Reasoning",
    "GigaChat-2-preview",
    "GigaChat-3-Lightning",
    "GigaChat-3-Pro",
    "GigaChat-3-Ultra",
    "GigaChat-Max",
    "GigaChat-Max-preview",
    "GigaChat-Plus",
    "GigaChat-Pro",
    "GigaChat-Pro-preview",
    "GigaChat-preview",
]
"""Model of a chat."""

EmbedderName: TypeAlias = Literal["Embeddings", "Embeddings-2", "EmbeddingsGigaR", "GigaEmbeddings-3B-2025-09"]
"""Model of embeddings."""

CheckerName: TypeAlias = Literal["GigaCheckClassification", "GigaCheckDetection"]
"""Model that tells texts of persons and models apart."""

Scope: TypeAlias = Literal["GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"]
"""Kind of account: personal, prepaid business or postpaid business."""

Role: TypeAlias = Literal["system", "user", "assistant", "function", "search_result", "function_in_progress"]
"""Author of a message in chats v1."""

ChatRole: TypeAlias = Literal["system", "user", "assistant", "function", "tool", "reasoning"]
"""Author of a message in chats v2."""


class MessageFields(TypedDict, total=False):
    """A message of a chat v1 as a dictionary; the model is `gigachat.Messages` (reference, section 4.1)."""

    role: Required[Role | str]
    content: str | None
    name: str | None
    function_call: Mapping[str, Any] | None
    functions_state_id: str | None
    attachments: Sequence[str] | None
    reasoning_content: str | None


class ChatMessageFields(TypedDict, total=False):
    """A message of a chat v2 as a dictionary; the model is `models.ChatMessage` (reference, section 5.1)."""

    role: Required[ChatRole | str]
    content: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | None
    function_call: Mapping[str, Any] | None
    tools_state_id: str | None
    message_id: str | None
