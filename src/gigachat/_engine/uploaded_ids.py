"""The ids of the files that a client has uploaded by `attach`: each content once, by threads and tasks together.

It has no lock: every operation on its dictionaries is atomic.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gigachat._engine.signals import Signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gigachat._engine.transport import Transport

_REMEMBERED = 1000
_TAKEOVER = 60.0
"""Seconds after which a caller no longer waits for another one, whose event loop may have been stopped."""


class UploadedIds:
    """Ids of uploaded files by a key of their content."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._in_progress: dict[str, Signal] = {}

    def id_of(self, key: str) -> str | None:
        """Return the id of a file; None if it is not known."""
        return self._ids.get(key)

    def remember(self, key: str, file_id: str) -> None:
        """Keep the id of a file. The oldest ids are forgotten, so that memory is bounded."""
        self._ids.pop(key, None)
        self._ids[key] = file_id
        for oldest in [*self._ids][:-_REMEMBERED]:
            self._ids.pop(oldest, None)

    @asynccontextmanager
    async def lock(self, key: str, transport: Transport) -> AsyncIterator[None]:
        """Let one caller at a time upload a content.

        Args:
            key: The key of the content.
            transport: Waits in the mode of the caller.
        """
        mine = Signal()
        while True:
            other = self._in_progress.setdefault(key, mine)
            if other is mine or not await transport.wait(other, _TAKEOVER):
                break
        try:
            yield
        finally:
            if self._in_progress.get(key) is mine:
                self._in_progress.pop(key, None)
            mine.set()
