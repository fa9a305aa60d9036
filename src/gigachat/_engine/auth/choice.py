"""Chooses the authorization of a client from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat._engine.auth.methods import OAuth, PasswordLogin
from gigachat._engine.auth.tokens import Authorization, ProvidedAuthorization, shared_tokens

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from gigachat._engine.auth.methods import SignInMethod
    from gigachat._engine.auth.tokens import SignIn
    from gigachat.settings import Options


def authorization_for(
    settings: Options,
    provider: Callable[[], str | Awaitable[str]] | None,
    sign_in: SignIn,
    *,
    private: bool,
) -> tuple[Authorization | ProvidedAuthorization | None, Hashable]:
    """Return the authorization of a client, and the key under which the requests of its credential are counted.

    Args:
        settings: Options of the client.
        provider: The caller's function that returns tokens.
        sign_in: Sends the request for a token.
        private: Whether the token is not shared with other clients.
    """
    if settings.access_token:
        return None, hash(settings.access_token)  # sent as it is, never cached or refreshed
    if provider is not None:
        # Each access to a method makes another object.
        owner, function = getattr(provider, "__self__", None), getattr(provider, "__func__", provider)
        return ProvidedAuthorization(provider), (id(owner), id(function))
    method = _method(settings)
    if method is None:
        return None, None
    # A TLS context has no value to compare by: its client shares nothing.
    private = private or not settings.share_token or settings.ssl_context is not None
    key = _key(method, settings)
    entry = shared_tokens.private() if private else shared_tokens.get(key)
    return Authorization(method, entry, settings.token_expiry_buffer_ms / 1000, sign_in), key


def _method(settings: Options) -> SignInMethod | None:
    if settings.credentials:
        return OAuth(settings.auth_url, settings.scope, settings.credentials)
    if settings.client_id and settings.client_secret:
        return OAuth.from_pair(settings.auth_url, settings.scope, settings.client_id, settings.client_secret)
    if settings.user and settings.password:
        return PasswordLogin(f"{settings.base_url}/token", settings.user, settings.password)
    return None


def _key(method: SignInMethod, settings: Options) -> Hashable:
    return (
        method.identity,
        settings.cert_file,
        settings.verify_ssl_certs,
        settings.ca_bundle_file,
        settings.trust_russian_ca,
        hash(settings.proxy),
    )
