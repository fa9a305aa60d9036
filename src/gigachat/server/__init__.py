"""A local GigaChat server, for development, demonstrations and tests without an account.

`gigachat serve` runs it; `GigaChatServer` is the same as a context manager for tests. It has the service's addresses,
OAuth, TLS, fields and errors. An engine generates the answers: an echo, the rules of a file, a local model or another
model server.
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
        f'gigachat.server needs the package {error.name}: pip install ".[server]" in a copy of the repository',
        name=error.name,
    ) from error

from gigachat.server.app import create_app
from gigachat.server.engine import (
    ChatRequest,
    Embedder,
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
)
from gigachat.server.orders.matching import ReceivedChat
from gigachat.server.orders.queue import Orders
from gigachat.server.server import GigaChatServer
from gigachat.server.state.requests import Received
from gigachat.server.state.state import Account, State
from gigachat.server.wire.errors import Refusal

__all__ = [
    "Account",
    "ChatRequest",
    "Embedder",
    "Engine",
    "FunctionCall",
    "GigaChatServer",
    "MadeFile",
    "Message",
    "Orders",
    "Piece",
    "Reasoning",
    "Received",
    "ReceivedChat",
    "Refusal",
    "Source",
    "Spent",
    "State",
    "Stop",
    "ToolUse",
    "create_app",
]
