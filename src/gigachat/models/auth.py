"""Tokens as the two sign-in endpoints give them (reference, sections 1.3 and 1.4)."""

from __future__ import annotations

from pydantic import Field

from gigachat._service import SECONDS_TO_MILLISECONDS_THRESHOLD
from gigachat.models.base import APIResponse

__all__ = ["SECONDS_TO_MILLISECONDS_THRESHOLD", "AccessToken", "Token"]


class AccessToken(APIResponse):
    """Access token of OAuth."""

    access_token: str = Field(repr=False, description="The token.")
    expires_at: int = Field(description="Unix time of its expiry in milliseconds; 0 where it is not known.")


class Token(APIResponse):
    """Access token of the user-and-password endpoint."""

    tok: str = Field(repr=False, description="The token.")
    exp: int = Field(description="Unix time of its expiry; seconds where below 10^10.")
