"""Connections to one Redis, opened when they are first used. `redis` is imported then, because it is slow.

The address may contain a password, which no text shows. Every error of the library becomes `SharedLimitsAwayError`;
the caller then continues without Redis.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from gigachat._engine.shared_limits import SharedLimitsAwayError
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

_TIMEOUT = 2.0
"""Seconds for connecting and for an answer."""

_REQUIRED = ("redis", "cryptography")


def check_installed() -> None:
    """Check that the packages of the extra are installed, without importing them.

    Raises:
        ConfigurationError: One is missing.
    """
    missing = [name for name in _REQUIRED if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"limits= (or GIGACHAT_LIMITS) needs the package {' and '.join(missing)}: pip install 'gigachat[redis]'"
        )


class Connection:
    """Connections to the Redis of one address.

    Args:
        url: The address.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: redis.Redis | None = None
        self.name = _shown(url)

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Give the library's client, which is kept until `close`; for one thread.

        Raises:
            SharedLimitsAwayError: Anything failed.
        """
        try:
            if self._client is None:
                self._client = _open(self._url)
            yield self._client
        except Exception as error:
            reason = f"{type(error).__name__}: {self._masked(str(error))}"
        else:
            return
        # Raised outside the handler: the frames of the original error hold the address.
        raise SharedLimitsAwayError(reason)

    @contextmanager
    def once(self) -> Iterator[redis.Redis]:
        """Give a client of the library for one use, to any thread; raises as `client`."""
        connection = Connection(self._url)
        try:
            with connection.client() as client:
                yield client
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connections of `client`; the next use opens others."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def renewed(self) -> Connection:
        """Return connections to the same address, for a child process."""
        return Connection(self._url)

    def _masked(self, text: str) -> str:
        parts = urlsplit(self._url)
        for secret in filter(None, (self._url, parts.password, unquote(parts.password or ""))):
            text = text.replace(secret, "***")
        return " ".join(text.split())


def _open(url: str) -> redis.Redis:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # One more attempt: Redis closes idle connections. All that is sent may be sent twice.
    options: dict[str, Any] = {"socket_timeout": _TIMEOUT, "retry": Retry(NoBackoff(), 1), "decode_responses": True}
    if not url.startswith("unix:"):
        options |= {"socket_connect_timeout": _TIMEOUT, "socket_keepalive": True}
    return redis.Redis.from_url(url, **options)


def _shown(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{address}{f':{parts.port}' if parts.port else ''}{parts.path}"
