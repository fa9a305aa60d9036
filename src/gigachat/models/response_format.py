"""The `response_format` of v1 chats (reference, section 4.6)."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field

from gigachat.models.base import WireModel
from gigachat.schema import inline_references

__all__ = ["JsonSchemaResponseFormat", "ResponseFormat"]


def json_schema(schema: Any) -> Any:
    """Return the JSON Schema of a pydantic model, class or instance; anything else as it is."""
    if isinstance(schema, BaseModel):
        schema = type(schema)
    if inspect.isclass(schema) and issubclass(schema, BaseModel):
        written = schema.model_json_schema()
        try:
            return inline_references(written)
        except ValueError:  # it refers to itself
            return written
    return schema


class JsonSchemaResponseFormat(WireModel):
    """Ask for an answer that is JSON of a given schema.

    `schema` is a JSON Schema, sent as it is, or a pydantic model class.
    """

    type: Literal["json_schema"] = Field(default="json_schema", description="Kind of the format.")
    schema_: Annotated[dict[str, Any], BeforeValidator(json_schema)] = Field(
        alias="schema", validation_alias=AliasChoices("schema", "schema_"), description="JSON Schema of the answer."
    )
    strict: bool | None = Field(default=None, description="Exactly the schema; needs `required`.")


ResponseFormat: TypeAlias = JsonSchemaResponseFormat | dict[str, Any]
"""A typed format, or raw JSON passed through."""
