"""Models of what crosses the wire, loaded when first named, so that importing the SDK stays quick."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gigachat.models.auth import *
    from gigachat.models.base import *
    from gigachat.models.chat import *
    from gigachat.models.embeddings import *
    from gigachat.models.models import *
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
    "response_format": ("JsonSchemaResponseFormat",),
    "tools": ("TokensCount",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
