"""Access tokens and refusals of sign-ins in Redis, encrypted and authenticated by Fernet."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from gigachat._redis.scripts import key

if TYPE_CHECKING:
    from gigachat._engine.auth.shared_tokens import SharedIdentity
    from gigachat._redis.connection import Connection

_LEAVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class RedisTokens:
    """Sealed values by credential and name.

    Args:
        connection: Where Redis is.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, identity: SharedIdentity, name: str) -> tuple[dict[str, Any], float] | None:
        """Return a value and the seconds that it is still kept for; None if there is none that can be read."""
        from cryptography.fernet import Fernet, InvalidToken

        with self._connection.once() as client:
            pipeline = client.pipeline(transaction=True)
            pipeline.get(key(identity.name, name))
            pipeline.pttl(key(identity.name, name))
            sealed, left = pipeline.execute()
        if sealed is None:
            return None
        try:
            content = Fernet(base64.urlsafe_b64encode(identity.seal)).decrypt(sealed.encode())
        except InvalidToken:
            return None
        return json.loads(content), left / 1000

    def write(self, identity: SharedIdentity, name: str, value: dict[str, Any], seconds: float) -> None:
        """Keep a value for some seconds."""
        from cryptography.fernet import Fernet

        sealed = Fernet(base64.urlsafe_b64encode(identity.seal)).encrypt(json.dumps(value).encode())
        with self._connection.once() as client:
            client.set(key(identity.name, name), sealed, px=max(round(seconds * 1000), 1))

    def lead(self, identity: SharedIdentity, leader: str, seconds: float) -> bool:
        """Begin the turn of a leader, of some seconds at most; False if another process has it."""
        with self._connection.once() as client:
            return bool(client.set(key(identity.name, "leader"), leader, nx=True, px=round(seconds * 1000)))
        return False

    def leave(self, identity: SharedIdentity, leader: str) -> None:
        """End the turn of a leader, if it has not ended in time."""
        with self._connection.once() as client:
            client.register_script(_LEAVE)(keys=[key(identity.name, "leader")], args=[leader])
