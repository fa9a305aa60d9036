"""Access tokens that processes share: a sign-in that first looks whether another process has a token.

The store holds sealed tokens. The key of a seal and the name of the token are both derived from the secret of the
credential. One process signs in at a time; the others wait for its token. After the service has refused a credential,
no process signs in with it for `REFUSED_FOR` seconds. If the store cannot be reached, each process signs in itself.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import random
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol

from gigachat._engine.auth.methods import Grant
from gigachat._engine.errors import error_for_status
from gigachat._engine.parsing import x_headers
from gigachat._engine.shared_limits import SharedLimitsAwayError
from gigachat._secret import Secret
from gigachat.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gigachat._engine.auth.tokens import SignIn, TokenEntry
    from gigachat._engine.calls import Call
    from gigachat._engine.transport import Transport

logger = logging.getLogger("gigachat")

REFUSED_FOR = 10.0
_LEADER_TIME = 20.0
"""Seconds after which a process no longer waits for the sign-in of another one."""
_LOOK_AGAIN, _LONGEST_LOOK_AGAIN = 0.1, 1.0
"""Seconds between two looks for the token of another process, first and later: thousands may look."""
_REFUSALS = (400, 401, 403)


@dataclass(frozen=True, slots=True)
class SharedIdentity:
    """What a credential is in a store: its name, and the key that seals its token."""

    name: str
    seal: bytes = field(repr=False)


@lru_cache(maxsize=64)
def shared_identity(public: str, secret: str, *, weak: bool) -> SharedIdentity:
    """Return what a credential is in a store.

    Args:
        public: What tells it from others beside the secret.
        secret: Its secret.
        weak: Whether a person has chosen the secret: guesses of it are made slow then.
    """
    salt = hashlib.sha256(f"gigachat {public}".encode()).digest()
    if weak:
        made = hashlib.scrypt(secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=48)
    else:
        made = hmac.digest(salt, secret.encode(), "sha512")[:48]
    return SharedIdentity(made[:16].hex(), made[16:])


class TokenStore(Protocol):
    """Sealed values by credential and name. Its methods block, and raise `SharedLimitsAwayError`."""

    def read(self, identity: SharedIdentity, name: str) -> tuple[dict[str, Any], float] | None:
        """Return a value and the seconds that it is still kept for; None if there is none."""
        ...

    def write(self, identity: SharedIdentity, name: str, value: dict[str, Any], seconds: float) -> None:
        """Keep a value for some seconds."""
        ...

    def lead(self, identity: SharedIdentity, leader: str, seconds: float) -> bool:
        """Begin the turn of a leader, who signs in for all processes; False if another one has it."""
        ...

    def leave(self, identity: SharedIdentity, leader: str) -> None:
        """End the turn of a leader."""
        ...


class SharedSignIn:
    """A sign-in whose token other processes use, too; it is called as the sign-in that it replaces.

    Args:
        sign_in: Sends the request for a token.
        store: Where tokens are kept.
        identity: Returns what the credential is in the store.
        entry: Where this process has its token: it wants another one.
        buffer: Seconds before its expiry at which a token is refreshed.
    """

    def __init__(
        self,
        sign_in: SignIn,
        store: TokenStore,
        identity: Callable[[], SharedIdentity],
        entry: TokenEntry,
        buffer: float,
    ) -> None:
        self._sign_in = sign_in
        self._store = store
        self._identity = identity
        self._entry = entry
        self._buffer = buffer

    async def __call__(
        self, transport: Transport, call: Call[Grant | None], retry: bool, deadline: float | None
    ) -> Grant:
        """Return a token of another process, or sign in.

        Raises:
            GigaChatException: The sign-in failed, here or in another process a short time ago.
        """

        async def ask(function: Callable[..., Any], *arguments: Any) -> Any:
            return await transport.call(partial(function, identity, *arguments), None, awaited=False)

        identity = self._identity()
        leader = secrets.token_hex(8)
        until = transport.now() + _LEADER_TIME
        leads = False
        pause = _LOOK_AGAIN
        try:
            while True:
                grant = self._usable(await ask(self._store.read, "token"))
                if grant is not None:
                    return grant
                refusal = await ask(self._store.read, "refusal")
                if refusal is not None:
                    raise _error_of(refusal[0])
                if leads or transport.now() >= until or (deadline is not None and transport.now() >= deadline):
                    break
                leads = await ask(self._store.lead, leader, _LEADER_TIME)
                if not leads:
                    await transport.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311
                    pause = min(pause * 1.5, _LONGEST_LOOK_AGAIN)
            try:
                grant = await self._sign_in(transport, call, retry, deadline)
            except ResponseError as error:
                if error.status_code in _REFUSALS:
                    await self._keep(ask(self._store.write, "refusal", _stored(error), REFUSED_FOR))
                raise
            token = {"token": grant.access_token, "expires_at": grant.expires_at, "lifetime": grant.lifetime}
            await self._keep(ask(self._store.write, "token", token, grant.lifetime))
            return grant
        except SharedLimitsAwayError as error:
            leads = False  # to tell the store would take as long again
            logger.warning("the shared access token cannot be read (%s): this process signs in itself", error)
            return await self._sign_in(transport, call, retry, deadline)
        finally:
            if leads:
                await self._keep(ask(self._store.leave, leader))

    def _usable(self, found: tuple[dict[str, Any], float] | None) -> Grant | None:
        """Return the token of the store, unless this process has had it or it must be refreshed."""
        if found is None:
            return None
        value, left = found
        token = Secret(value["token"])
        if left <= min(self._buffer, value["lifetime"] / 2) or token in self._entry.had():
            return None
        return Grant(token, value["expires_at"], left, x_headers({}))

    @staticmethod
    async def _keep(writing: Awaitable[Any]) -> None:
        with suppress(SharedLimitsAwayError):  # a warning says so already, or the next request will
            await writing


def _stored(error: ResponseError) -> dict[str, Any]:
    content = bytes(error.content or b"").decode("utf-8", "replace")
    return {"url": error.url, "status": error.status_code, "content": content}


def _error_of(refusal: dict[str, Any]) -> ResponseError:
    return error_for_status(refusal["url"], refusal["status"], refusal["content"].encode(), {})
