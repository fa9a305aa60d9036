"""Retries without their pauses: each pause is recorded and skipped, and the clock is moved on by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["SkippedTime"]


class SkippedTime:
    """The pauses of a transport.

    Args:
        transport: Whose; from now on it waits for nothing but the network.
    """

    def __init__(self, transport: Any) -> None:
        self.pauses: list[float] = []
        self.before: Callable[[], object] | None = None  # called before each pause
        self._now = transport.now
        transport.now = lambda: self._now() + sum(self.pauses)
        transport.sleep = self._sleep

    async def _sleep(self, seconds: float) -> None:
        if self.before is not None:
            self.before()
        self.pauses.append(seconds)
