"""Ways of signing in: the request for an access token and the parsing of its response (reference, section 1).

Keys that cannot be valid are refused before anything is sent; no error repeats one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from gigachat._engine.calls import Call
from gigachat._engine.parsing import json_object, x_headers
from gigachat._headers import server_time
from gigachat._secret import Secret
from gigachat._service import SECONDS_TO_MILLISECONDS_THRESHOLD
from gigachat.exceptions import APIResponseValidationError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

_FAR_FUTURE = 10**15  # milliseconds
_LONGEST_LIFETIME = 24 * 3600.0
_SKEWED_LIFETIME = 60.0  # if `expires_at` is in the past: the clocks differ


@dataclass(slots=True, eq=False)
class Grant:
    """An access token, its expiry as the server states it, and its lifetime by the server's clock in seconds."""

    access_token: str = field(repr=False)
    expires_at: int
    lifetime: float
    x_headers: dict[str, str | None]


class SignInMethod(Protocol):
    """A method of signing in."""

    @property
    def identity(self) -> Hashable:
        """Part of the key of the token in the cache. Secrets are in it as digests."""
        ...

    def call(self) -> Call[Grant | None]:
        """Return the request for a token.

        Raises:
            ConfigurationError: The key is malformed.
        """
        ...


@dataclass(eq=False)
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

    def call(self) -> Call[Grant | None]:
        """Return the request for a token."""
        return Call(
            "POST",
            self.url,
            _read_grant,
            content=urlencode({"scope": self.scope}).encode(),
            headers={
                "authorization": Secret(f"Basic {_checked_key(self.credentials)}"),
                "rquid": str(uuid.uuid4()),
                "content-type": "application/x-www-form-urlencoded",
            },
            repeatable=True,
        )


@dataclass(eq=False)
class PasswordLogin:
    """User and password for an access token (reference, section 1.4)."""

    url: str
    user: str
    password: str = field(repr=False)

    @property
    def identity(self) -> Hashable:
        """Kind, address, user and digest of the password."""
        return "password", self.url, self.user, _digest(self.password)

    def call(self) -> Call[Grant | None]:
        """Return the request for a token."""
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return Call(
            "POST",
            self.url,
            _read_grant,
            content=b"",
            headers={"authorization": Secret(f"Basic {pair}")},
            repeatable=True,
        )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Texts that examples have in place of a key: none is base64, but for a run of one letter.
_PLACEHOLDER = re.compile(r"[.*x_-]+|(your|my)[-_ ].*", re.IGNORECASE)
_WHERE = "The authorization key is on the page of your project at developers.sber.ru/studio"


KEY_PROBLEMS = {
    "non_ascii": "contains non-ASCII characters: it looks like a placeholder",
    "brackets": "contains < or >: it looks like a placeholder",
    "placeholder": "is a placeholder from an example",
    "space": "has a space or line break inside",
    "quote": "has a quote inside",
    "uuid": "is a UUID, perhaps the client id or secret alone: pass client_id= and client_secret= instead",
    "jwt": "is a JWT, perhaps an access token: pass it as access_token=",
    "colon": "has a colon inside: pass client_id= and client_secret= instead",
    "not_base64": "is not base64: it was not copied whole, or is a placeholder",
}
"""What can be wrong with an authorization key, by the names that `key_problem` returns."""


def key_problem(key: str) -> str | None:
    """Return what is wrong with an authorization key, as a name of `KEY_PROBLEMS`; None if it is well-formed."""
    key = Secret(_without_scheme(key))
    if not key.isascii():
        return "non_ascii"
    if "<" in key or ">" in key:
        return "brackets"
    if _PLACEHOLDER.fullmatch(key):
        return "placeholder"
    if key.split() not in ([], [key]):
        return "space"
    if any(quote in key for quote in "\"'`"):
        return "quote"
    if _UUID.fullmatch(key):
        return "uuid"
    if key.count(".") >= 2 and key.startswith("ey"):
        return "jwt"
    if ":" in key:
        return "colon"
    try:
        base64.b64decode(key, validate=True)
    except binascii.Error:
        return "not_base64"
    return None


def _without_scheme(key: str) -> str:
    return key.removeprefix("Basic ").strip()


def _checked_key(key: str) -> str:
    """Return the key, without a scheme in front.

    Raises:
        ConfigurationError: It is malformed.
    """
    key = Secret(key)
    problem = key_problem(key)
    if problem:
        raise ConfigurationError(f"credentials= (or GIGACHAT_CREDENTIALS) {KEY_PROBLEMS[problem]}. {_WHERE}.")
    return Secret(_without_scheme(key))


def _read_grant(content: bytes, headers: Mapping[str, str]) -> Grant | None:
    """Parse the response of a sign-in; both endpoints have been seen returning both shapes. None without a token."""
    try:
        body = json_object(content)
    except APIResponseValidationError:
        body = {}
    token = body.get("access_token") or body.get("tok")
    expires: Any = body.get("expires_at", body.get("exp"))
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
        return None
    try:
        expires = max(0, min(int(expires), _FAR_FUTURE))
    except (TypeError, ValueError, OverflowError):
        expires = 0
    if 0 < expires < SECONDS_TO_MILLISECONDS_THRESHOLD:
        expires *= 1000
    lifetime = expires / 1000 - server_time(headers)
    lifetime = min(lifetime, _LONGEST_LIFETIME) if lifetime > 0 else _SKEWED_LIFETIME
    return Grant(Secret(token), expires, lifetime, x_headers(headers))


def checked_token(given: object, source: str) -> str:
    """Return an access token given by the caller, without a scheme in front.

    Raises:
        ConfigurationError: The token is empty or malformed. The error names `source`.
    """
    token = Secret(given.removeprefix("Bearer ") if isinstance(given, str) else "")
    if not token:
        raise ConfigurationError(f"{source} gave no token: a str that is not empty is expected")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            f"{source} contains a space or non-ASCII characters: it looks like a placeholder. "
            "An access token is what get_token() or OAuth returns"
        )
    return token
