"""Limits of requests at once and per second, refused with 429 beyond (reference, section 14).

A server without an account kind and without a rate has no limits.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.responses import refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from gigachat.server.state.state import State

_IN_WORK = {"pers": 1, "b2b": 10, "corp": 10}
_SIGN_INS = 10
_SECOND = 1.0
_WORKING = (
    "/chat/completions",
    "/embeddings",
    "/threads/run",
    "/threads/messages/run",
    "/threads/messages/rerun",
)
"""Ends of the paths whose requests generate; one counts until its response or stream ends."""


class Limits:
    """An ASGI layer that counts what is in work and the requests and sign-ins of the last second."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state
        self._in_work = 0
        self._sign_ins: deque[float] = deque(maxlen=_SIGN_INS)
        self._requests: deque[float] = deque(maxlen=state.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        works = scope["method"] == "POST" and scope["path"].endswith(_WORKING)
        if self._is_beyond(scope, works=works):
            await refusal(Headers(scope=scope), Refusal(429))(scope, receive, send)
            return
        self._in_work += works
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_work -= works

    def _is_beyond(self, scope: Scope, *, works: bool) -> bool:
        kind = self._state.account.kind
        if self._state.rate is not None and not _let_in(self._requests):
            return True
        if kind is None:
            return False
        if scope["method"] == "POST" and scope["path"].endswith("/oauth"):
            return not _let_in(self._sign_ins)
        return works and self._in_work >= _IN_WORK[kind]


def _let_in(latest: deque[float]) -> bool:
    """Record a request and return whether the last second has room for it."""
    now = time.monotonic()
    if len(latest) == latest.maxlen and now < latest[0] + _SECOND:
        return False
    latest.append(now)
    return True
