"""Old import path of 0.2 for threads. The code is in `api.threads`; nothing new belongs here."""

from __future__ import annotations

from gigachat.api.threads import AsyncThreadsNamespace, BlockingThreadsNamespace
from gigachat.models import Messages as Messages
from gigachat.models import MessagesRole as MessagesRole
from gigachat.models.threads import *  # noqa: F403

ThreadsSyncClient = BlockingThreadsNamespace
ThreadsAsyncClient = AsyncThreadsNamespace
