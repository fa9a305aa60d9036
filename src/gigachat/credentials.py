"""`Credential`: one of the credentials of a pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from gigachat._option_values import encodable, revealed, unquoted
from gigachat._secret import Secret
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Container

    from pydantic import SecretStr

    from gigachat.types import Scope

__all__ = ["Credential"]

_KINDS = (("credentials",), ("client_id", "client_secret"), ("user", "password"), ("access_token",))
_SECRETS = ("credentials", "client_secret", "password", "access_token")
_TEXTS = ("client_id", "user", "scope", "name")


@dataclass(frozen=True, slots=True)
class Credential:
    """One of the credentials of `GigaChat(pool=[...])`. It has one kind of authorization.

    Args:
        credentials: Authorization key of a project.
        client_id: Client id, with `client_secret` instead of the key.
        client_secret: Client secret.
        user: User name, with `password` instead of the key.
        password: Password.
        access_token: Access token, used as it is and never refreshed.
        scope: Scope of the key; that of the client if not given.
        max_concurrency: Most requests in progress at once with this credential; that of the client if not given.
        name: Name in messages and in the log; the place in the pool if not given. It is no secret.

    Raises:
        ConfigurationError: A value is invalid, or there is not one kind of authorization. No value is repeated.
    """

    credentials: str | SecretStr | None = field(default=None, repr=False)
    _: KW_ONLY
    client_id: str | None = None
    client_secret: str | SecretStr | None = field(default=None, repr=False)
    user: str | None = None
    password: str | SecretStr | None = field(default=None, repr=False)
    access_token: str | SecretStr | None = field(default=None, repr=False)
    scope: Scope | str | None = None
    max_concurrency: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for option in (*_SECRETS, *_TEXTS):
            object.__setattr__(self, option, _text(option, getattr(self, option)))
        kinds = [kind for kind in _KINDS if any(getattr(self, option) for option in kind)]
        if len(kinds) != 1 or not all(getattr(self, option) for option in kinds[0]):
            raise ConfigurationError(
                "Credential: give one of credentials=, client_id= with client_secret=, user= with password=, "
                "access_token="
            )
        if self.name is not None and not self.name.isprintable():
            raise ConfigurationError("Credential: name must be one line of printable text")
        limit: Any = self.max_concurrency
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ConfigurationError("Credential: max_concurrency must be a whole number, 1 or more")

    def settings(self) -> dict[str, Any]:
        """Return the settings of a client that differ with this credential."""
        given = {option: getattr(self, option) for kind in _KINDS for option in kind}
        others = {"scope": self.scope, "max_concurrency": self.max_concurrency}
        return {**given, **{option: value for option, value in others.items() if value is not None}}

    def _account(self) -> tuple[str | None, ...]:
        """Return what tells it from other credentials."""
        return tuple(getattr(self, option) for option in (*(name for kind in _KINDS for name in kind), "scope"))


def _text(option: str, value: Any) -> str | None:
    value = revealed(value)
    text = value if option == "password" else unquoted(value)
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise ConfigurationError(f"Credential: {option} must be text")
    try:
        encodable(text)
    except ValueError as error:
        reason = f"Credential: {option}: {error}"
    else:
        return Secret(text) if option in _SECRETS else text
    raise ConfigurationError(reason)


def checked_pool(pool: Any, given: Container[str], provider: object) -> Sequence[Credential]:
    """Return the credentials of a pool.

    Args:
        pool: What the caller gave.
        given: Names of the other arguments of the client.
        provider: Its function for tokens.

    Raises:
        ConfigurationError: It is no list of credentials, is empty, has one twice, or another argument has a credential.
    """
    if not isinstance(pool, Sequence) or not all(isinstance(one, Credential) for one in pool):
        raise ConfigurationError("pool= takes a list of gigachat.Credential")
    if not pool:
        raise ConfigurationError("pool= is empty: give at least one gigachat.Credential")
    for place, one in enumerate(pool):
        for former, other in enumerate(pool[:place]):
            if one.name is not None and one.name == other.name:
                raise ConfigurationError(f"pool[{place}] has the name of pool[{former}]: give it another name=")
            if one._account() == other._account():
                raise ConfigurationError(f"pool[{place}] is the credential of pool[{former}] again: leave it out")
    other = next((name for kind in _KINDS for name in kind if name in given), None)
    if other is not None or provider is not None:
        raise ConfigurationError(f"give either pool= or {other or 'access_token_provider'}=, not both")
    return tuple(pool)
