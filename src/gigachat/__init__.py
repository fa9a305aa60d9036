"""Python SDK for the GigaChat REST API: blocking and async clients, models, errors.

Clients and models are imported when first used: `import gigachat` loads neither pydantic nor the HTTP library.
"""

# ruff: noqa: F403, F405 - every error is a name of the package

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat import exceptions as exceptions
from gigachat.context import custom_headers_cvar, request_id_cvar, session_id_cvar
from gigachat.exceptions import *

if TYPE_CHECKING:
    from gigachat._engine.stream import AsyncStream, Stream
    from gigachat.client import AsyncGigaChat, GigaChat, GigaChatAsyncClient, GigaChatSyncClient
    from gigachat.models import (
        Chat,
        ChatCompletion,
        ChatCompletionChunk,
        Choices,
        Embeddings,
        Function,
        FunctionCall,
        FunctionParameters,
        Image,
        Messages,
        MessagesRole,
        Model,
        Models,
        Usage,
    )

__version__ = "0.2.50"

__all__ = [
    "APIConnectionError",
    "APIResponseValidationError",
    "APITimeoutError",
    "AsyncGigaChat",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "CertificateError",
    "Chat",
    "ChatCompletion",
    "ChatCompletionChunk",
    "Choices",
    "ClientClosedError",
    "ConfigurationError",
    "ContentFilterFinishReasonError",
    "Embeddings",
    "ForbiddenError",
    "Function",
    "FunctionCall",
    "FunctionParameters",
    "GenerationError",
    "GigaChat",
    "GigaChatAsyncClient",
    "GigaChatException",
    "GigaChatSyncClient",
    "GigaChatWarning",
    "Image",
    "InvalidJSONError",
    "LengthFinishReasonError",
    "Messages",
    "MessagesRole",
    "Model",
    "ModelNotSpecifiedError",
    "ModelUnavailableError",
    "Models",
    "NotFoundError",
    "PaymentRequiredError",
    "RateLimitError",
    "RefusalError",
    "RequestEntityTooLargeError",
    "ResponseError",
    "SchemaMismatchError",
    "ServerError",
    "Stream",
    "StreamInterruptedError",
    "TotalTimeoutError",
    "UnprocessableEntityError",
    "Usage",
    "__version__",
    "custom_headers_cvar",
    "request_id_cvar",
    "session_id_cvar",
]

if not TYPE_CHECKING:  # to a type checker, a module with `__getattr__` has every name
    from importlib import import_module

    # Of what is not a model.
    _MODULES = {
        "AsyncGigaChat": "client",
        "AsyncStream": "_engine.stream",
        "GigaChat": "client",
        "GigaChatAsyncClient": "client",
        "GigaChatSyncClient": "client",
        "Stream": "_engine.stream",
    }

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"{__name__}.{_MODULES.get(name, 'models')}")
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
