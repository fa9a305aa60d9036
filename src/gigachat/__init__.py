"""Python SDK for the GigaChat REST API: blocking and async clients, models, errors.

Names are resolved when first used, so that importing the package costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat import exceptions
from gigachat._lazy import lazily

__version__ = "0.2.4"

if TYPE_CHECKING:
    from gigachat._engine.stream import AsyncStream as AsyncStream
    from gigachat._engine.stream import Stream as Stream
    from gigachat.client import AsyncGigaChat as AsyncGigaChat
    from gigachat.client import GigaChat as GigaChat
    from gigachat.client import GigaChatAsyncClient as GigaChatAsyncClient
    from gigachat.client import GigaChatSyncClient as GigaChatSyncClient
    from gigachat.context import custom_headers_cvar as custom_headers_cvar
    from gigachat.context import request_id_cvar as request_id_cvar
    from gigachat.context import session_id_cvar as session_id_cvar
    from gigachat.exceptions import *
    from gigachat.models import Chat as Chat
    from gigachat.models import ChatCompletion as ChatCompletion
    from gigachat.models import ChatCompletionChunk as ChatCompletionChunk
    from gigachat.models import Choices as Choices
    from gigachat.models import Embeddings as Embeddings
    from gigachat.models import Function as Function
    from gigachat.models import FunctionCall as FunctionCall
    from gigachat.models import FunctionParameters as FunctionParameters
    from gigachat.models import Image as Image
    from gigachat.models import Messages as Messages
    from gigachat.models import MessagesRole as MessagesRole
    from gigachat.models import Model as Model
    from gigachat.models import Models as Models
    from gigachat.models import Usage as Usage

_MODULES = {
    "_engine.stream": ("AsyncStream", "Stream"),
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
        "Image",
        "Messages",
        "MessagesRole",
        "Model",
        "Models",
        "Usage",
    ),
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}

__all__ = sorted((*_HOMES, "__version__"))  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:  # a type checker is to find misspelt names
    __getattr__, __dir__ = lazily(__name__, _HOMES)
