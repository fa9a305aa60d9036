"""Old import path of 0.2 for assistants. The code is in `api.assistants`; nothing new belongs here."""

from __future__ import annotations

from gigachat.api.assistants import AsyncAssistantsNamespace, BlockingAssistantsNamespace
from gigachat.models import Function as Function
from gigachat.models.assistants import *  # noqa: F403

AssistantsSyncClient = BlockingAssistantsNamespace
AssistantsAsyncClient = AsyncAssistantsNamespace
