"""Python SDK for the GigaChat REST API: blocking and async clients, models, errors.

Names are resolved when first used, so that importing the package costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat import exceptions
from gigachat._lazy import lazily

__version__ = "0.2.4"

if TYPE_CHECKING:
    from gigachat.client import *
    from gigachat.context import *
    from gigachat.exceptions import *
    from gigachat.models import *

_MODULES = {
    "client": ("AsyncGigaChat", "GigaChat", "GigaChatAsyncClient", "GigaChatSyncClient"),
    "context": ("custom_headers_cvar", "request_id_cvar", "session_id_cvar"),
    "exceptions": exceptions.__all__,
    "models": (
        "Chat",
        "ChatCompletion",
        "ChatCompletionChunk",
        "Choices",
        "Embeddings",
        "Function",
        "FunctionCall",
        "FunctionParameters",
        "Messages",
        "MessagesRole",
        "Model",
        "Models",
        "Usage",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted((*_HOMES, "__version__"))  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:  # a type checker is to find misspelt names
    __getattr__, __dir__ = lazily(__name__, _HOMES)
