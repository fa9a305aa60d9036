"""Answers of the services around text (reference, sections 8.2 and 10)."""

from __future__ import annotations

from pydantic import Field

from gigachat.models.base import APIResponse

__all__ = ["TokensCount"]


class TokensCount(APIResponse):
    """Size of one text."""

    tokens: int = Field(description="Tokens by the model's tokenizer.")
    characters: int = Field(default=0, description="Characters.")
    object_: str = Field(default="tokens", alias="object", description="Kind of object.")
