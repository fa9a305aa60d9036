"""The `response_format` of v1 chats (reference, section 4.6), and the JSON Schema of any type."""

from __future__ import annotations

import inspect
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, PydanticUserError, TypeAdapter
from pydantic_core import SchemaError, from_json, to_json

from gigachat._references import target_of
from gigachat.models.base import WireModel
from gigachat.schema import inline_references

__all__ = ["JsonSchemaResponseFormat", "ResponseFormat"]

VALUE = "value"
"""The property that holds a value whose JSON is not an object."""


def json_schema(schema: Any) -> Any:
    """Return the JSON Schema of a type, or of a pydantic model, class or instance; anything else as it is.

    Raises:
        ValueError: The type has none.
    """
    if isinstance(schema, BaseModel):
        schema = type(schema)
    if inspect.isclass(schema) and issubclass(schema, BaseModel):
        return _written(schema.model_json_schema, schema.__name__)
    return object_schema(schema)[0] if is_type(schema) else schema


def object_schema(kind: Any) -> tuple[dict[str, Any], bool]:
    """Return the JSON Schema of an object that holds a value, and whether the value is its property `value`.

    Only objects are known to be accepted by the service as the root of a schema.

    Args:
        kind: Type of the value, or its `TypeAdapter`.

    Raises:
        ValueError: The type has no JSON Schema.
    """
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        schema = _written(kind.model_json_schema, kind.__name__)
    else:
        schema = _written(adapter_of(kind).json_schema, name_of(kind))
    if "$ref" in schema:  # a type that contains itself
        kept = {name: part for name, part in schema.items() if name in ("$defs", "definitions")}
        schema = {**target_of(schema, schema["$ref"]), **kept}
    if schema.get("type") == "object":
        return schema, False
    definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    return {"type": "object", "properties": {VALUE: schema}, "required": [VALUE], **definitions}, True


def adapter_of(kind: Any) -> TypeAdapter[Any]:
    """Return what validates the values of a type.

    Raises:
        ValueError: pydantic does not know the type.
    """
    if isinstance(kind, TypeAdapter):
        return kind
    try:
        return TypeAdapter(kind)
    except (PydanticUserError, NameError, SchemaError) as error:
        reason = _first_line(error)
    raise ValueError(f"{name_of(kind)} has no JSON Schema: {reason}")


def is_type(kind: Any) -> bool:
    """Whether a value is a type, as annotations have it, or a `TypeAdapter`."""
    return (
        isinstance(kind, type | TypeAdapter)
        or get_origin(kind) is not None
        or type(kind).__module__ in ("types", "typing", "typing_extensions")
    )


def name_of(kind: Any) -> str:
    """Return the name of a type in messages."""
    origin, inner = get_origin(kind), get_args(kind)
    if inspect.isclass(kind) and origin is None:
        return "None" if kind is type(None) else kind.__name__
    if origin is Annotated:
        return name_of(inner[0])
    if origin in (Union, UnionType):
        return " | ".join(map(name_of, inner))
    if kind is ...:
        return "..."
    if origin is None or origin is Literal:
        return repr(kind).removeprefix("typing.")
    return f"{name_of(origin)}[{', '.join(map(name_of, inner))}]"


def _written(write: Any, name: str) -> dict[str, Any]:
    try:
        written: dict[str, Any] = write()
    except PydanticUserError as error:
        reason = _first_line(error)
        raise ValueError(f"{name} has no JSON Schema: {reason}") from None
    written = from_json(to_json(written, inf_nan_mode="null"))  # a default may be infinite
    try:
        return inline_references(written)
    except ValueError:  # too large without references
        return written


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


class JsonSchemaResponseFormat(WireModel):
    """Ask for an answer that is JSON of a given schema.

    `schema` is a JSON Schema, sent as it is, or a type. If the JSON of the type is not an object, the answer is an
    object with the property `value`.
    """

    type: Literal["json_schema"] = Field(default="json_schema", description="Kind of the format.")
    schema_: Annotated[dict[str, Any], BeforeValidator(json_schema)] = Field(
        alias="schema", validation_alias=AliasChoices("schema", "schema_"), description="JSON Schema of the answer."
    )
    strict: bool | None = Field(default=None, description="Exactly the schema; needs `required`.")


ResponseFormat: TypeAlias = JsonSchemaResponseFormat | dict[str, Any]
"""A typed format, or raw JSON passed through."""
