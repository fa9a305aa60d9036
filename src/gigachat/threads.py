"""Old import path of 0.2 for threads. The code is in `api.threads`; nothing new belongs here."""

from __future__ import annotations

from gigachat._engine.endpoint import Async, Blocking
from gigachat.api.threads import ThreadsNamespace
from gigachat.models import Messages as Messages
from gigachat.models import MessagesRole as MessagesRole
from gigachat.models.threads import *  # noqa: F403


class ThreadsSyncClient(ThreadsNamespace[Blocking]):
    """Threads of a client, blocking."""

    _mode = Blocking


class ThreadsAsyncClient(ThreadsNamespace[Async]):
    """Threads of a client, awaited."""

    _mode = Async
