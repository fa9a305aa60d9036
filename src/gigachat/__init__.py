"""Python SDK for the GigaChat REST API: blocking and async clients, models, errors.

Clients and models are imported when first used: `import gigachat` loads neither pydantic nor the HTTP library.
"""

import typing as _typing  # an editor completes every public name of this module, also `TYPE_CHECKING`

from gigachat import exceptions as exceptions
from gigachat.context import custom_headers_cvar, request_id_cvar, session_id_cvar
from gigachat.exceptions import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    CertificateError,
    ClientClosedError,
    ConfigurationError,
    ContentFilterFinishReasonError,
    ConversationFormatError,
    ForbiddenError,
    GenerationError,
    GigaChatException,
    GigaChatWarning,
    InvalidJSONError,
    JobStoppedError,
    LengthFinishReasonError,
    McpError,
    ModelNotSpecifiedError,
    ModelUnavailableError,
    NotFoundError,
    PaymentRequiredError,
    QueueTimeoutError,
    RateLimitError,
    RefusalError,
    RequestEntityTooLargeError,
    ResponseError,
    SchemaMismatchError,
    ServerError,
    StreamInterruptedError,
    ToolArgumentsError,
    ToolError,
    ToolNotFoundError,
    TotalTimeoutError,
    UnprocessableEntityError,
)

if _typing.TYPE_CHECKING:
    from gigachat import assistants as assistants
    from gigachat import client as client
    from gigachat import models as models
    from gigachat import resources as resources
    from gigachat import settings as settings
    from gigachat import threads as threads
    from gigachat._engine.stream import AsyncStream, Stream
    from gigachat.api.conversation.modes import AsyncConversation, Conversation
    from gigachat.api.tool_run.streams import AsyncRunStream, RunStream
    from gigachat.client import AsyncGigaChat, GigaChat, GigaChatAsyncClient, GigaChatSyncClient
    from gigachat.credentials import Credential
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
    from gigachat.observers import Observer
    from gigachat.tools import Tool, ToolContext, tool
    from gigachat.tools.runs import (
        RunCall,
        RunDone,
        RunReasoning,
        RunResult,
        RunText,
        RunToolResult,
        ToolCall,
        ToolStep,
    )

__version__ = "0.2.50"

__all__ = [
    "APIConnectionError",
    "APIResponseValidationError",
    "APITimeoutError",
    "AsyncConversation",
    "AsyncGigaChat",
    "AsyncRunStream",
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
    "Conversation",
    "ConversationFormatError",
    "Credential",
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
    "JobStoppedError",
    "LengthFinishReasonError",
    "McpError",
    "Messages",
    "MessagesRole",
    "Model",
    "ModelNotSpecifiedError",
    "ModelUnavailableError",
    "Models",
    "NotFoundError",
    "Observer",
    "PaymentRequiredError",
    "QueueTimeoutError",
    "RateLimitError",
    "RefusalError",
    "RequestEntityTooLargeError",
    "ResponseError",
    "RunCall",
    "RunDone",
    "RunReasoning",
    "RunResult",
    "RunStream",
    "RunText",
    "RunToolResult",
    "SchemaMismatchError",
    "ServerError",
    "Stream",
    "StreamInterruptedError",
    "Tool",
    "ToolArgumentsError",
    "ToolCall",
    "ToolContext",
    "ToolError",
    "ToolNotFoundError",
    "ToolStep",
    "TotalTimeoutError",
    "UnprocessableEntityError",
    "Usage",
    "__version__",
    "custom_headers_cvar",
    "request_id_cvar",
    "session_id_cvar",
    "tool",
]

if not _typing.TYPE_CHECKING:  # to a type checker, a module with `__getattr__` has every name
    from importlib import import_module as _import_module

    # Which `import gigachat` loads in 0.2.
    _SUBMODULES = ("assistants", "client", "models", "resources", "settings", "threads")
    # Of what is not a model.
    _MODULES = {
        "AsyncGigaChat": "client",
        "Credential": "credentials",
        "AsyncStream": "_engine.stream",
        "GigaChat": "client",
        "GigaChatAsyncClient": "client",
        "GigaChatSyncClient": "client",
        "Stream": "_engine.stream",
        "AsyncConversation": "api.conversation.modes",
        "AsyncRunStream": "api.tool_run.streams",
        "Conversation": "api.conversation.modes",
        "RunStream": "api.tool_run.streams",
        "Observer": "observers",
        "RunCall": "tools.runs",
        "RunDone": "tools.runs",
        "RunReasoning": "tools.runs",
        "RunResult": "tools.runs",
        "RunText": "tools.runs",
        "RunToolResult": "tools.runs",
        "ToolCall": "tools.runs",
        "ToolStep": "tools.runs",
        "Tool": "tools",
        "ToolContext": "tools",
        "tool": "tools",
    }

    def __getattr__(name):
        if name in _SUBMODULES:
            return _import_module(f"{__name__}.{name}")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _import_module(f"{__name__}.{_MODULES.get(name, 'models')}")
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
