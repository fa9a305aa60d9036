"""Names of 0.2 by their old address: assistants. What they are stands in `api.assistants`; nothing new belongs here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat._engine.endpoint import Async, Blocking
from gigachat.api.assistants import AssistantsNamespace
from gigachat.models import (
    Assistant,
    AssistantDelete,
    AssistantFileDelete,
    Assistants,
    CreateAssistant,
    Function,
)

if TYPE_CHECKING:
    from gigachat._engine.endpoint import Resource

__all__ = [
    "Assistant",
    "AssistantDelete",
    "AssistantFileDelete",
    "Assistants",
    "AssistantsAsyncClient",
    "AssistantsSyncClient",
    "CreateAssistant",
    "Function",
]


class AssistantsSyncClient(AssistantsNamespace[Blocking]):
    """Assistants of a client, blocking."""

    _mode = Blocking

    def __init__(self, base_client: Resource[Any]) -> None:
        super().__init__(base_client, Blocking)


class AssistantsAsyncClient(AssistantsNamespace[Async]):
    """Assistants of a client, awaited."""

    _mode = Async

    def __init__(self, base_client: Resource[Any]) -> None:
        super().__init__(base_client, Async)
