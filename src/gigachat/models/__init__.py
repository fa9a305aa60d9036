"""Models of what crosses the wire, loaded when first named, so that importing the SDK stays quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat._lazy import lazily

if TYPE_CHECKING:
    from gigachat.models.auth import *
    from gigachat.models.base import *
    from gigachat.models.chat import *
    from gigachat.models.embeddings import *
    from gigachat.models.models import *
    from gigachat.models.raw import *
    from gigachat.models.response_format import *
    from gigachat.models.tools import *

_MODULES = {
    "auth": ("AccessToken", "Token"),
    "base": ("APIResponse",),
    "chat": (
        "Chat",
        "ChatCompletion",
        "ChatCompletionChunk",
        "ChatFunctionCall",
        "Choices",
        "ChoicesChunk",
        "FewShotExample",
        "Function",
        "FunctionCall",
        "FunctionParameters",
        "FunctionParametersProperty",
        "FunctionRanker",
        "Messages",
        "MessagesChunk",
        "MessagesRole",
        "Storage",
        "Usage",
    ),
    "embeddings": ("Embedding", "Embeddings", "EmbeddingsUsage"),
    "models": ("Model", "Models"),
    "raw": ("RawResponse",),
    "response_format": ("JsonSchemaResponseFormat",),
    "tools": ("TokensCount",),
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:  # a type checker is to find misspelt names
    __getattr__, __dir__ = lazily(__name__, _HOMES)
