"""The `response_format` of v1 chats (reference, section 4.6)."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, PydanticUserError
from pydantic_core import from_json, to_json

from gigachat.models.base import WireModel
from gigachat.schema import inline_references

__all__ = ["JsonSchemaResponseFormat", "ResponseFormat"]


def json_schema(schema: Any) -> Any:
    """Return the JSON Schema of a pydantic model, class or instance; anything else as it is.

    Raises:
        ValueError: The class has none.
    """
    if isinstance(schema, BaseModel):
        schema = type(schema)
    if not (inspect.isclass(schema) and issubclass(schema, BaseModel)):
        return schema
    try:
        written = schema.model_json_schema()
    except PydanticUserError as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{schema.__name__} has no JSON Schema: {reason}") from None
    written = from_json(to_json(written, inf_nan_mode="null"))  # a default may be infinite
    try:
        return inline_references(written)
    except ValueError:  # too large without references
        return written


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
