"""Pauses and waiting in each mode: the part of a transport that does not depend on HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gigachat._engine.transport import clock
from gigachat._transport import event_loops

if TYPE_CHECKING:
    from gigachat._engine.signals import Signal


class BlockingMode:
    """Awaits block the thread."""

    blocking = True
    now = staticmethod(clock)

    async def sleep(self, seconds: float) -> None:
        """Pause the thread."""
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this mode is for

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        """Wait for a signal; whether it was set in time."""
        return signal.wait(timeout)

    async def settle(self) -> None:
        """Do nothing: sockets are closed at once."""


class AsyncMode:
    """Awaits suspend the task."""

    blocking = False
    now = staticmethod(clock)

    async def sleep(self, seconds: float) -> None:
        """Pause the task."""
        await event_loops.sleep(seconds)

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        """Wait for a signal; whether it was set in time."""
        return await event_loops.wait(signal, timeout)

    async def settle(self) -> None:
        """Let the event loop close sockets that were given up."""
        if not event_loops.in_trio():
            await event_loops.sleep(0)
