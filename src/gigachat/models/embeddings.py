"""Embeddings (reference, section 8.1)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gigachat._notebook import NotebookResult, Shown
from gigachat.models.base import OBJECT, APIResponse, NullAs, WireModel, read_only

__all__ = ["Embedding", "Embeddings", "EmbeddingsUsage"]


class EmbeddingsUsage(WireModel):
    """Tokens of one text."""

    prompt_tokens: Annotated[int, NullAs(int)] = Field(
        default=0, description="Tokens of the text, counted by the embedder."
    )


class Embedding(WireModel):
    """Vector of one text."""

    embedding: list[float] = Field(repr=False, description="The vector; not normalised.")
    usage: Annotated[EmbeddingsUsage, NullAs(EmbeddingsUsage)] = Field(
        default_factory=EmbeddingsUsage, description="Tokens used."
    )
    index: Annotated[int, NullAs(int)] = Field(default=0, description="Place of the text in the request.")
    object_: Annotated[str, NullAs()] = Field(
        default="embedding", alias="object", validation_alias=OBJECT, description="Kind of object."
    )

    @read_only
    def object(self) -> str:
        """The same as `object_`."""
        return self.object_


class Embeddings(NotebookResult, APIResponse):
    """Vectors of all texts, in their order."""

    data: list[Embedding] = Field(description="One vector a text.")
    model: str | None = Field(default=None, description="Name of the model.")
    object_: Annotated[str, NullAs()] = Field(
        default="list", alias="object", validation_alias=OBJECT, description="Kind of object."
    )

    @read_only
    def object(self) -> str:
        """The same as `object_`."""
        return self.object_

    def _shown(self) -> Shown:
        rows = [(one.index, len(one.embedding), one.usage.prompt_tokens) for one in self.data]
        return Shown(table=[("text", "dimensions", "tokens"), *rows], facts=(self.model,))
