"""The service of a client: with one credential or several, and with what it shares with other processes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gigachat._engine.service import Service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gigachat.credentials import Credential
    from gigachat.observers import Observer
    from gigachat.settings import Options


def service_of(
    settings: Options,
    provider: Callable[[], str | Awaitable[str]] | None,
    pool: Sequence[Credential],
    *,
    private: bool,
    expects_token: bool,
    observers: Sequence[Observer] | None,
) -> Service:
    """Return the service of a client; see `Service`.

    Args:
        settings: Options of the client.
        provider: The caller's own function for access tokens.
        pool: Several credentials instead of the one of the settings.
        private: Whether the client's token is shared with no other client.
        expects_token: Whether requests without authorization are refused at any host.
        observers: Observers of the client's calls.

    Raises:
        ConfigurationError: A header, access token or observer is invalid, or a package is missing.
    """
    shared = None
    if settings.limits:
        from gigachat._redis import limits_at

        shared = limits_at(settings.limits)
    make = partial(
        Service, provider=provider, private=private, expects_token=expects_token, observers=observers, shared=shared
    )
    if not pool:
        return make(settings)
    from gigachat._engine.pool import Member, Pool

    each = [settings.model_copy(update=credential.settings()) for credential in pool]
    names = [credential.name or f"pool[{place}]" for place, credential in enumerate(pool)]
    # What needs one credential, as `get_token`, has the first one.
    return make(each[0], pool=Pool([Member(name, make(own)) for name, own in zip(names, each, strict=True)]))
