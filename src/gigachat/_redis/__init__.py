"""Shared limits in Redis: slots, access tokens and cooldowns of all processes that use one Redis.

Keys hold digests, values no secret in clear. `redis` is imported by the first call, not here.
"""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING
from weakref import WeakSet

from gigachat._engine.registry import Registry
from gigachat._engine.shared_limits import shared_limiters
from gigachat._redis.connection import Connection, check_installed
from gigachat._redis.leases import RedisLeases
from gigachat._redis.store import RedisTokens

if TYPE_CHECKING:
    from gigachat._engine.shared_limits import SharedLimiter

__all__ = ["RedisLimits", "limits_at"]

_leases: Registry[RedisLeases] = Registry(RedisLeases, RedisLeases.reset)
_used: WeakSet[RedisLeases] = WeakSet()


class RedisLimits:
    """What the clients of one Redis share.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.leases = _leases.get(url).bind(Connection(url))
        self.tokens = RedisTokens(Connection(url))
        _used.add(self.leases)

    def limiter(self, credential: str) -> SharedLimiter:
        """Return the limiter of a credential."""
        return shared_limiters.get((self._url, credential)).bind(self.leases, credential)


def limits_at(url: str) -> RedisLimits:
    """Return the shared limits of an address.

    Raises:
        ConfigurationError: A package is missing.
    """
    check_installed()
    return RedisLimits(url)


@atexit.register
def _flush() -> None:
    for leases in list(_used):
        leases.flush()
