"""Limits that processes share: what the engine needs of them, and the limiter that uses it.

A call first waits for a slot of its process, in the queue of `limiter`, and then for a lease. So a process never queues
for more leases than its limit, and one with many callers takes no turn from one with few. A lease belongs to its slot:
it is given back when the slot is released or no longer referenced. This module does no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gigachat._engine.limiter import Limiter, Slot
from gigachat._engine.registry import Registry

if TYPE_CHECKING:
    from gigachat._engine.auth.shared_tokens import TokenStore
    from gigachat._engine.signals import Signal
    from gigachat._engine.transport import Transport
    from gigachat.exceptions import ResponseError

_COOL_DOWN = 0.5  # seconds, if the service does not say how long
_LONGEST_COOL_DOWN = 60.0


class SharedLimitsAwayError(Exception):
    """What holds the shared limits cannot be reached. The text gives the reason, without a secret."""


class Leases(Protocol):
    """Leases of the slots of this process. No method waits."""

    def want(self, credential: str, slot: Slot, limit: int) -> Signal:
        """Ask for a lease; the signal is set when the slot may be used.

        Args:
            credential: Name of the credential.
            slot: The slot.
            limit: Most leases of the credential at once.
        """
        ...

    def look(self) -> None:
        """Give back the leases of released slots soon; may be called from a finalizer."""
        ...

    def cool_down(self, credential: str, seconds: float) -> None:
        """Give no lease of a credential for some seconds, to any process."""
        ...

    def cooling(self, credential: str) -> float:
        """Return for how many seconds no lease of a credential is given, as far as it is known."""
        ...


class SharedLimits(Protocol):
    """What the clients of a `limits=` share."""

    @property
    def leases(self) -> Leases:
        """The leases."""
        ...

    @property
    def tokens(self) -> TokenStore:
        """The access tokens."""
        ...

    def limiter(self, credential: str) -> SharedLimiter:
        """Return the limiter of a credential.

        Args:
            credential: Its name.
        """
        ...


class SharedLimiter(Limiter):
    """A limiter whose slots also need a lease."""

    def __init__(self) -> None:
        self._leases: Leases | None = None
        self._credential = ""
        super().__init__()

    def bind(self, leases: Leases, credential: str) -> SharedLimiter:
        """Set where the leases come from, always the same for one limiter."""
        self._leases, self._credential = leases, credential
        return self

    async def acquire(self, transport: Transport, limit: int, timeout: float | None) -> Slot | None:
        """Wait for a slot and its lease, at most `timeout` seconds; None if there was none in time."""
        until = None if timeout is None else transport.now() + timeout
        slot = await super().acquire(transport, limit, timeout)
        if slot is None or self._leases is None:
            return slot
        try:
            lease = self._leases.want(self._credential, slot, limit)
            if not lease.is_set():
                left = None if until is None else max(until - transport.now(), 0.0)
                await transport.wait(lease, left)
        except BaseException:
            slot.release()
            raise
        if not lease.is_set():
            slot.release()
            return None
        return slot

    def look(self, _: object = None) -> None:
        """Give free slots to the longest waiting callers, and leases of released slots back."""
        super().look()
        if self._leases is not None:
            self._leases.look()

    def refused(self, error: ResponseError) -> None:
        """Let no call of any process begin for a time after the service has refused one for its limit."""
        if error.status_code == 429:
            self.cool_down(min(max(error.retry_after, _COOL_DOWN), _LONGEST_COOL_DOWN))

    def cool_down(self, seconds: float) -> None:
        """Let no call of any process begin for some seconds."""
        if self._leases is not None:
            self._leases.cool_down(self._credential, seconds)

    def cooling(self) -> float:
        """Return for how many seconds no call may begin, as far as it is known."""
        return 0.0 if self._leases is None else self._leases.cooling(self._credential)


shared_limiters: Registry[SharedLimiter] = Registry(SharedLimiter, SharedLimiter.reset)
