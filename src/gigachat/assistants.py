"""Old import path of 0.2 for assistants. The code is in `api.assistants`; nothing new belongs here."""

from __future__ import annotations

from gigachat._engine.endpoint import Async, Blocking
from gigachat.api.assistants import AssistantsNamespace
from gigachat.models import Function as Function
from gigachat.models.assistants import *  # noqa: F403


class AssistantsSyncClient(AssistantsNamespace[Blocking]):
    """Assistants of a client, blocking."""

    _mode = Blocking


class AssistantsAsyncClient(AssistantsNamespace[Async]):
    """Assistants of a client, awaited."""

    _mode = Async
