"""A local GigaChat server: develop, demonstrate and test without an account.

`gigachat serve` runs it; `GigaChatServer` is the same as a context manager for tests. It speaks
the wire format of the service, with real OAuth and TLS, and answers with an echo instead of a model. It must not
import the client: the two meet on the wire only.
"""

try:
    import cryptography  # noqa: F401
    import python_multipart  # noqa: F401
    import starlette  # noqa: F401
    import trustme  # noqa: F401
    import uvicorn  # noqa: F401
    import yaml  # type: ignore[import-untyped]  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'gigachat.server needs the package {error.name}: pip install "gigachat[server]"', name=error.name
    ) from error

from gigachat.server.app import create_app
from gigachat.server.engine import (
    ChatRequest,
    Embedder,
    Embedding,
    Engine,
    FunctionCall,
    MadeFile,
    Message,
    Piece,
    Reasoning,
    Source,
    Spent,
    Stop,
    ToolUse,
    WithEmbedder,
)
from gigachat.server.orders.matching import ReceivedChat
from gigachat.server.orders.queue import Script
from gigachat.server.server import GigaChatServer
from gigachat.server.state.requests import Received
from gigachat.server.state.state import Account, State

__all__ = [
    "Account",
    "ChatRequest",
    "Embedder",
    "Embedding",
    "Engine",
    "FunctionCall",
    "GigaChatServer",
    "MadeFile",
    "Message",
    "Piece",
    "Reasoning",
    "Received",
    "ReceivedChat",
    "Script",
    "Source",
    "Spent",
    "State",
    "Stop",
    "ToolUse",
    "WithEmbedder",
    "create_app",
]
