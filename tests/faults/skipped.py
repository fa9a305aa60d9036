"""Pauses that are noted and passed over, on a clock that believes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["SkippedTime"]


class SkippedTime:
    """The pauses of a port.

    Args:
        port: Whose; from now on it waits for nothing but the network.
    """

    def __init__(self, port: Any) -> None:
        self.pauses: list[float] = []
        self.before: Callable[[], object] | None = None  # called before each pause
        self._now = port.now
        port.now = lambda: self._now() + sum(self.pauses)
        port.sleep = self._sleep

    async def _sleep(self, seconds: float) -> None:
        if self.before is not None:
            self.before()
        self.pauses.append(seconds)
