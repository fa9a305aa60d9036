"""Signing in ahead of the first request (reference, section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat import models
from gigachat._engine.endpoint import Mode, Resource, operation

if TYPE_CHECKING:
    from gigachat._engine.io import Port

__all__ = ["AccessToken"]


class AccessToken(Resource[Mode]):
    """The client's access token."""

    @operation
    async def get_token(self, port: Port) -> models.AccessToken | None:
        """Return the access token, signing in if there is no valid one.

        Returns:
            The token with `expires_at` in milliseconds of Unix time (0 for a ready token, which needs no request);
            None where requests carry no token, as with a client certificate alone.

        Raises:
            GigaChatException: The sign-in failed.
        """
        engine = self._engine
        if engine.settings.access_token:
            return models.AccessToken(access_token=engine.settings.access_token, expires_at=0)
        if engine.authorization is None:
            return None
        token = await engine.token(port)
        grant = token.grant
        return models.AccessToken(
            access_token=token.value, expires_at=grant.expires_at, x_headers=grant.x_headers.copy()
        )
