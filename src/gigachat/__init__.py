"""Python SDK for the GigaChat REST API: blocking and async clients, models, errors.

Names are resolved when first used, so that importing the package costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.4"

if TYPE_CHECKING:
    from gigachat.client import *
    from gigachat.context import *
    from gigachat.exceptions import *
    from gigachat.models import *

_MODULES = {
    "client": ("AsyncGigaChat", "GigaChat", "GigaChatAsyncClient", "GigaChatSyncClient"),
    "context": ("custom_headers_cvar", "request_id_cvar", "session_id_cvar"),
    "exceptions": (
        "APIConnectionError",
        "APIResponseValidationError",
        "APITimeoutError",
        "AuthenticationError",
        "BadRequestError",
        "CertificateError",
        "ConfigurationError",
        "ContentFilterFinishReasonError",
        "ForbiddenError",
        "GigaChatException",
        "LengthFinishReasonError",
        "ModelNotSpecifiedError",
        "NotFoundError",
        "PaymentRequiredError",
        "RateLimitError",
        "RequestEntityTooLargeError",
        "ResponseError",
        "ServerError",
        "StreamInterruptedError",
        "UnprocessableEntityError",
    ),
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
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted((*_HOME, "__version__"))  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
