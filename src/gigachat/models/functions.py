"""Functions that a model may call, and the JSON Schemas of their arguments (reference, section 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import (
    AliasChoices,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    model_serializer,
    model_validator,
)

from gigachat._functions import function_fields
from gigachat.models.base import WireModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FewShotExample", "Function", "FunctionParameters", "FunctionParametersProperty"]


class FewShotExample(WireModel):
    """Example of a function's use."""

    request: str = Field(description="What the user says.")
    params: dict[str, Any] = Field(description="The arguments that fit.")


class _SchemaModel(WireModel):
    """A JSON Schema as a model: it is sent as it was written, and no keyword is added."""

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        schema: dict[str, Any] = handler(self)
        for name, field in type(self).model_fields.items():
            if getattr(self, name) is None:
                schema.pop(name, None)
                schema.pop(field.alias, None)  # type: ignore[arg-type]
        schema.update({name: value for name, value in (self.model_extra or {}).items() if value is None})
        return schema


_TYPE_OR_DUMP = AliasChoices("type", "type_")  # dumps without aliases come back


class FunctionParametersProperty(_SchemaModel):
    """One parameter of a function: a JSON Schema; further keywords are kept."""

    type_: str | list[str] | None = Field(
        default=None, alias="type", validation_alias=_TYPE_OR_DUMP, description="Its type, or several."
    )
    description: str | None = Field(default=None, description="What it means.")
    items: dict[str, Any] | list[Any] | StrictBool | None = Field(
        default=None, description="Schema of an array's elements; a list of schemas for a tuple."
    )
    enum: list[Any] | None = Field(default=None, description="Permitted values.")
    properties: dict[Any, FunctionParametersProperty | StrictBool] | None = Field(
        default=None, description="Parameters inside an object."
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            type: str | Sequence[str] | None = None,
            description: str | None = None,
            items: Mapping[str, Any] | Sequence[Any] | bool | None = None,
            enum: Sequence[Any] | None = None,
            properties: Mapping[str, FunctionParametersProperty | Mapping[str, Any] | bool] | None = None,
            **keywords: Any,
        ) -> None: ...


class FunctionParameters(_SchemaModel):
    """Parameters of a function: JSON Schema of an object; further keywords are kept."""

    type_: str | list[str] | None = Field(
        default=None, alias="type", validation_alias=_TYPE_OR_DUMP, description="Type of the whole, `object`."
    )
    properties: dict[Any, FunctionParametersProperty | StrictBool] | None = Field(
        default=None, description="The parameters."
    )
    required: list[str] | None = Field(default=None, description="Names of those that must be given.")

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            type: str | Sequence[str] | None = None,
            properties: Mapping[str, FunctionParametersProperty | Mapping[str, Any] | bool] | None = None,
            required: Sequence[str] | None = None,
            **keywords: Any,
        ) -> None: ...


class Function(WireModel):
    """A function the model may call (reference, section 4.4).

    `parameters` is any JSON Schema and is sent as it is. The JSON Schema of a model, whose title becomes the name, and
    the tools of OpenAI, Anthropic and MCP servers are read, too.
    """

    name: str = Field(description="Latin letters, digits (not first), `_`, `-`, `.`.")
    description: str | None = Field(default=None, description="What it does and when to call it.")
    parameters: FunctionParameters | None = Field(default=None, description="JSON Schema of the arguments.")
    few_shot_examples: list[FewShotExample] | None = Field(default=None, description="Examples of use.")
    return_parameters: dict[Any, Any] | None = Field(default=None, description="JSON Schema of the result.")

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str,
            description: str | None = None,
            parameters: FunctionParameters | Mapping[str, Any] | None = None,
            few_shot_examples: Sequence[FewShotExample | Mapping[str, Any]] | None = None,
            return_parameters: Mapping[Any, Any] | None = None,
        ) -> None: ...

    else:

        @model_validator(mode="before")
        @classmethod
        def _from_other_shapes(cls, values: Any) -> Any:
            return values if isinstance(values, cls) else function_fields(values)
