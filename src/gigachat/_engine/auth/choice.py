"""Chooses the authorization of a client from its settings."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from gigachat._engine.auth.methods import OAuth, PasswordLogin
from gigachat._engine.auth.tokens import Authorization, ProvidedAuthorization, shared_tokens
from gigachat._secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from gigachat._engine.auth.methods import SignInMethod
    from gigachat._engine.auth.shared_tokens import SharedIdentity
    from gigachat._engine.auth.tokens import SignIn
    from gigachat._engine.shared_limits import SharedLimits
    from gigachat.settings import Options


def authorization_for(
    settings: Options,
    provider: Callable[[], str | Awaitable[str]] | None,
    sign_in: SignIn,
    *,
    private: bool,
    shared: SharedLimits | None = None,
) -> tuple[Authorization | ProvidedAuthorization | None, Hashable]:
    """Return the authorization of a client, and the key under which the requests of its credential are counted.

    Args:
        settings: Options of the client.
        provider: The caller's function that returns tokens.
        sign_in: Sends the request for a token.
        private: Whether the token is not shared with other clients.
        shared: What processes share.
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
    buffer = settings.token_expiry_buffer_ms / 1000
    if shared is not None and not private:
        from gigachat._engine.auth.shared_tokens import SharedSignIn

        sign_in = SharedSignIn(sign_in, shared.tokens, partial(identity_of, settings), entry, buffer)
    return Authorization(method, entry, buffer, sign_in), key


def identity_of(settings: Options) -> SharedIdentity:
    """Return what the credential of a client is for other processes.

    Clients without a secret of their own, as with a function for tokens, are one credential at each address.
    """
    from gigachat._engine.auth.shared_tokens import shared_identity

    method = None if settings.access_token else _method(settings)
    secret = settings.access_token or ""
    kind: tuple[str, ...] = ("none",)
    if isinstance(method, OAuth):
        secret, kind = method.credentials, ("oauth", method.url, method.scope)
    elif isinstance(method, PasswordLogin):
        secret, kind = method.password, ("password", method.url, method.user)
    public = json.dumps([settings.base_url, settings.verify_ssl_certs, *kind])
    return shared_identity(public, Secret(secret), weak=isinstance(method, PasswordLogin))


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
