"""The list of models (reference, section 3)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, Field

from gigachat._notebook import NotebookResult, Shown
from gigachat.models.base import ID, OBJECT, APIResponse, NullAs, read_only

__all__ = ["Model", "Models"]


class Model(APIResponse):
    """One model."""

    id_: str = Field(alias="id", validation_alias=ID, description="Name of the model.")
    object_: Annotated[str, NullAs()] = Field(
        default="model", alias="object", validation_alias=OBJECT, description="Kind of object."
    )
    owned_by: Annotated[str, NullAs(str)] = Field(default="", description="Owner of the model.")
    type_: str | None = Field(
        default=None,
        alias="type",
        validation_alias=AliasChoices("type", "type_"),
        description="`chat`, `embedder`, `aicheck`, `filter` or newer.",
    )

    @read_only
    def id(self) -> str:
        """The same as `id_`."""
        return self.id_

    @read_only
    def object(self) -> str:
        """The same as `object_`."""
        return self.object_

    @read_only
    def type(self) -> str | None:
        """The same as `type_`."""
        return self.type_


class Models(NotebookResult, APIResponse):
    """All models of an address."""

    data: list[Model] = Field(description="The models.")
    object_: Annotated[str, NullAs()] = Field(
        default="list", alias="object", validation_alias=OBJECT, description="Kind of object."
    )

    @read_only
    def object(self) -> str:
        """The same as `object_`."""
        return self.object_

    def _shown(self) -> Shown:
        rows = [(model.id_, model.type_, model.owned_by) for model in self.data]
        return Shown(table=[("model", "type", "owner"), *rows], facts=() if rows else ("no models",))
