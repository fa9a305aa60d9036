"""Who may send a request: ways of signing in, and the process-wide cache of the tokens they give.

One sign-in at a time per key, whatever number of threads, tasks, loops and clients notice that one is due; its outcome
is shared by those who waited. A ready token or a context variable never comes here. Nothing here is pickled.
"""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import inspect
import re
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from gigachat._engine.call import Call, json_object, x_headers
from gigachat._engine.io import Signal
from gigachat._engine.shared import Shared
from gigachat._secret import Secret
from gigachat.exceptions import (
    APIResponseValidationError,
    ConfigurationError,
    GigaChatException,
    server_time,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

    from gigachat._engine.io import Port

    SignIn = Callable[[Call["Grant"], bool], Awaitable["Grant"]]
    """Sends the request for a token; the flag says whether to try again on failure."""

__all__ = [
    "Authorization",
    "Grant",
    "OAuth",
    "PasswordLogin",
    "ProvidedAuthorization",
    "Token",
    "TokenSlot",
    "checked_token",
    "shared_slots",
]

_FAR_FUTURE = 10**15  # milliseconds
_LONGEST_LIFETIME = 24 * 3600.0
_DOUBTFUL_LIFETIME = 60.0  # of a token that seems to have expired before it came: a clock is wrong
_RENEWAL_PAUSE = 5.0  # seconds between attempts to renew a token that still works
_REFUSAL_MEMORY = 60.0  # seconds for which a refused replacement is not replaced again
_TAKEOVER = 120.0  # seconds after which a sign-in that never ends is begun anew by another


@dataclass(frozen=True, slots=True)
class Grant:
    """What a sign-in gave: the token, its expiry as the server says it, and how long it lives by its clock."""

    access_token: str = field(repr=False)
    expires_at: int
    lifetime: float
    x_headers: dict[str, str | None]


class SignInMethod(Protocol):
    """A way of signing in."""

    @property
    def identity(self) -> Hashable:
        """What a token of this way depends on; holds no secret, only its digest."""
        ...

    def call(self) -> Call[Grant]:
        """Return the request for a token.

        Raises:
            ConfigurationError: The secret surely is none.
        """
        ...


@dataclass(frozen=True)
class OAuth:
    """An authorization key for an access token (reference, section 1.3)."""

    url: str
    scope: str
    credentials: str = field(repr=False)

    @classmethod
    def from_pair(cls, url: str, scope: str, client_id: str, client_secret: str) -> OAuth:
        """Make the authorization key of a client id and its secret."""
        return cls(url, scope, base64.b64encode(f"{client_id}:{client_secret}".encode()).decode())

    @property
    def identity(self) -> Hashable:
        """Kind, address, scope and digest of the key."""
        return "oauth", self.url, self.scope, _digest(self.credentials)

    def call(self) -> Call[Grant]:
        """Return the request for a token."""
        return Call(
            "POST",
            self.url,
            _read_grant,
            content=urlencode({"scope": self.scope}).encode(),
            headers={
                "Authorization": Secret(f"Basic {_checked_key(self.credentials)}"),
                "RqUID": str(uuid.uuid4()),
                "Content-Type": "application/x-www-form-urlencoded",
            },
            repeatable=True,
        )


@dataclass(frozen=True)
class PasswordLogin:
    """User and password for an access token (reference, section 1.4)."""

    url: str
    user: str
    password: str = field(repr=False)

    @property
    def identity(self) -> Hashable:
        """Kind, address, user and digest of the password."""
        return "password", self.url, self.user, _digest(self.password)

    def call(self) -> Call[Grant]:
        """Return the request for a token."""
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return Call(
            "POST",
            self.url,
            _read_grant,
            content=b"",
            headers={"Authorization": Secret(f"Basic {pair}")},
            repeatable=True,
        )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_WHERE = "The authorization key is on the page of your project at developers.sber.ru/studio"


def _checked_key(key: str) -> str:
    """Return the key, refusing what surely is none. The texts never repeat it."""
    key = Secret(key.removeprefix("Basic ").strip())
    problem = None
    if not key.isascii():
        problem = "has letters that are not Latin: it looks like a placeholder"
    elif any(character.isspace() for character in key):
        problem = "has a space or line break inside"
    elif _UUID.fullmatch(key):
        problem = "is a UUID, perhaps the client id or secret alone: pass client_id= and client_secret= instead"
    elif key.count(".") >= 2 and key.startswith("ey"):
        problem = "is a JWT, perhaps an access token: pass it as access_token="
    elif ":" in key:
        problem = "has a colon inside: pass client_id= and client_secret= instead"
    else:
        try:
            base64.b64decode(key, validate=True)
        except binascii.Error:
            problem = "is not base64: it looks like a placeholder or was not copied whole"
    if problem:
        raise ConfigurationError(f"credentials= (or GIGACHAT_CREDENTIALS) {problem}. {_WHERE}.")
    return key


def _read_grant(content: bytes, headers: Mapping[str, str]) -> Grant:
    """Read the answer of either sign-in endpoint; clients have met both shapes at both addresses."""
    try:
        body = json_object(content)
    except APIResponseValidationError:
        body = {}
    token = body.get("access_token") or body.get("tok")
    expires: Any = body.get("expires_at", body.get("exp"))
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
        # Without the content, among the variables too: it may hold a token after all.
        del content, body, token
        raise APIResponseValidationError(
            "the answer of the sign-in holds no access token: check auth_url= and what stands on the way, such as a "
            "proxy or a page to log in to the network"
        )
    try:
        expires = max(0, min(int(expires), _FAR_FUTURE))
    except (TypeError, ValueError, OverflowError):
        expires = 0
    if 0 < expires < 10**12:
        expires *= 1000
    lifetime = expires / 1000 - server_time(headers)
    lifetime = min(lifetime, _LONGEST_LIFETIME) if lifetime > 0 else _DOUBTFUL_LIFETIME
    return Grant(Secret(token), expires, lifetime, x_headers(headers))


class Token:
    """An access token and what is known of it. Moments are seconds on the engine's clock."""

    __slots__ = ("accepted", "expires", "grant", "lifetime", "next_renewal", "obtained", "replacement")

    def __init__(self, grant: Grant, asked: float, obtained: float, replacement: bool) -> None:
        self.grant = grant
        self.lifetime = grant.lifetime
        self.expires = asked + grant.lifetime
        self.obtained = obtained
        self.replacement = replacement  # for one the service had refused
        self.accepted = False  # by the service, in an answer other than 401
        self.next_renewal = 0.0

    @property
    def value(self) -> str:
        """The token itself."""
        return self.grant.access_token

    def renewal_due(self, now: float, buffer: float) -> bool:
        """Whether it is time to look for another, although this one may still work."""
        return now >= self.expires - min(buffer, self.lifetime / 2) and now >= self.next_renewal


class _Flight:
    """A sign-in under way."""

    __slots__ = ("error", "signal", "token")

    def __init__(self) -> None:
        self.signal = Signal()
        self.token: Token | None = None
        self.error: GigaChatException | None = None


class TokenSlot:
    """The place of one token, shared by all who may use it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token: Token | None = None
        self.flight: _Flight | None = None
        self.refused = False


class Authorization:
    """A client's right to the token of its slot.

    Args:
        method: How to sign in.
        slot: Where the token lies.
        buffer: Seconds before its expiry at which a token is renewed.
    """

    def __init__(self, method: SignInMethod, slot: TokenSlot, buffer: float) -> None:
        self._method = method
        self._slot = slot
        self._buffer = buffer

    def ready(self, now: float) -> Token | None:
        """Return a token that needs no thought, if there is one."""
        token = self._slot.token
        return token if token is not None and not token.renewal_due(now, self._buffer) else None

    def known(self, now: float) -> Token | None:
        """Return the token that is there and has not expired, without a thought of renewing it."""
        token = self._slot.token
        return token if token is not None and now < token.expires else None

    async def token(self, port: Port, sign_in: SignIn) -> Token:
        """Return a token, signing in or waiting for another's sign-in if need be.

        Raises:
            GigaChatException: The sign-in failed and no valid token is left.
        """
        slot = self._slot
        while True:
            with slot.lock:
                now = port.now()
                token = slot.token
                if token is not None and now >= token.expires:
                    token = None
                if token is not None and (slot.flight or not token.renewal_due(now, self._buffer)):
                    return token
                flight = slot.flight
                leader = flight is None
                if flight is None:
                    flight = slot.flight = _Flight()
            if leader:
                await self._lead(flight, token, port, sign_in)
            elif not await port.wait(flight.signal, _TAKEOVER):
                with slot.lock:
                    if slot.flight is flight:
                        slot.flight = None
            if flight.token is not None:
                return flight.token
            if flight.error is not None:
                raise copy.copy(flight.error)
            # Otherwise the leader was cancelled, or failed while the old token was refused: somebody else leads now.

    async def _lead(self, flight: _Flight, valid: Token | None, port: Port, sign_in: SignIn) -> None:
        slot = self._slot
        asked = port.now()
        kept: Token | None = None
        try:
            grant = await sign_in(self._method.call(), valid is None)
            flight.token = Token(grant, asked, port.now(), slot.refused)
            slot.token, slot.refused = flight.token, False
        except GigaChatException as error:
            now = port.now()
            if valid is None or now >= valid.expires:
                flight.error = error
                raise
            valid.next_renewal = now + _RENEWAL_PAUSE
            kept = valid
        finally:
            with slot.lock:
                if kept is not None and slot.token is kept:
                    flight.token = kept
                if slot.flight is flight:
                    slot.flight = None
            flight.signal.set()

    def refuse(self, token: Token, now: float) -> bool:
        """Discard a token the service refused, and no other; whether another may be accepted."""
        slot = self._slot
        with slot.lock:
            if slot.token is not token:
                return True
            if token.replacement and not token.accepted and now < token.obtained + _REFUSAL_MEMORY:
                return False
            slot.token = None
            slot.refused = True
            return True


class ProvidedAuthorization:
    """A client's right to the tokens of the user's own callable, which is asked before each attempt.

    Args:
        provide: Returns a token, or an awaitable of one.
        blocking: The port of blocking callers, who cannot await.
    """

    def __init__(self, provide: Callable[[], str | Awaitable[str]], blocking: Port) -> None:
        if not callable(provide):
            raise ConfigurationError(f"access_token_provider= takes a function, not {type(provide).__name__}")
        self._provide = provide
        self._blocking = blocking

    def ready(self, now: float) -> Token | None:
        """Return nothing: each attempt asks anew."""
        return None

    known = ready

    async def token(self, port: Port, sign_in: SignIn) -> Token:
        """Return the token the user's callable gives.

        Raises:
            ConfigurationError: It gives something else. What it raises itself passes through.
        """
        value: Any = self._provide()
        if inspect.isawaitable(value):
            if port is self._blocking:
                if inspect.iscoroutine(value):
                    value.close()
                raise ConfigurationError(
                    "access_token_provider= is async, which a blocking call cannot await: use AsyncGigaChat or the "
                    "methods with an a in front, or give a plain function"
                )
            value = await value
        value = Secret(value) if isinstance(value, str) else value
        now = port.now()
        return Token(Grant(checked_token(value, "access_token_provider="), 0, 0.0, x_headers({})), now, now, False)

    def refuse(self, token: Token, now: float) -> bool:
        """Note that the service refused a token; the callable may give another."""
        return True


def checked_token(given: object, source: str) -> str:
    """Return a ready token as it is sent, refusing what surely is none. The texts never repeat it."""
    token = Secret(given.removeprefix("Bearer ") if isinstance(given, str) else "")
    del given
    if not token:
        raise ConfigurationError(f"{source} gave no token: a str that is not empty is expected")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            f"{source} has a space or letters that are not Latin: it looks like a placeholder. "
            "An access token is what get_token() or OAuth returns"
        )
    return token


def _after_fork(slot: TokenSlot) -> None:
    # A valid token lives on in the child; a sign-in under way and the lock are the parent's.
    slot.lock = threading.Lock()
    slot.flight = None


shared_slots: Shared[TokenSlot] = Shared(TokenSlot, _after_fork)
