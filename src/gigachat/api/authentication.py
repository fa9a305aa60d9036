"""Access tokens: sign in before the first request, read the cached token (reference, section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat import models
from gigachat._engine.endpoint import Mode, Resource, procedure
from gigachat.context import authorization_cvar

if TYPE_CHECKING:
    from gigachat._engine.auth.tokens import Token


class Authentication(Resource[Mode]):
    """The client's access token."""

    @procedure
    async def get_token(self) -> models.AccessToken | None:
        """Return the access token, signing in if there is no valid one.

        Returns:
            The token with `expires_at` in milliseconds of Unix time (0 for a ready token, which needs no request);
            None where requests carry no token, as with a client certificate alone. If `authorization_cvar` has
            a token, no sign-in takes place.
        """
        authorization, transport = self._service.authorization, self._session.transport
        if authorization is None or authorization_cvar.get():
            return self._access_token
        return _read(authorization.fresh(transport.now()) or await authorization.get(transport))

    @property
    def token(self) -> str | None:
        """The cached access token; None if there is none. Sends no request."""
        known = self._access_token
        return known.access_token if known else None

    @property
    def _access_token(self) -> models.AccessToken | None:
        service = self._service
        if service.settings.access_token:
            return models.AccessToken(access_token=service.settings.access_token, expires_at=0)
        token = service.authorization.valid(self._blocking.transport.now()) if service.authorization else None
        return _read(token) if token else None


def _read(token: Token) -> models.AccessToken:
    grant = token.grant
    return models.AccessToken(access_token=token.value, expires_at=grant.expires_at, x_headers=grant.x_headers.copy())
