"""Signatures of tools: the JSON Schema of the parameters, and the call for the arguments of the model.

Schema and checks come from one pydantic adapter of a TypedDict with the parameters as keys. It keeps every name; a
model would drop `_a` and `model_config` and refuse `json`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import typing_extensions
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, from_json, to_json

from gigachat._validation import class_and_text, message_of, path_of
from gigachat.exceptions import ToolArgumentsError
from gigachat.schema import inline_references
from gigachat.tools.annotations import annotated_types, is_context, key_of, reason_of, typed_dict, unpacked_keys
from gigachat.tools.docstrings import read_docstring

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigachat.tools.context import ToolContext

_Kind = inspect.Parameter
_EXCERPT = 40
"""Characters of a value shown in an error."""
_SHOWN = 10
"""Errors of one argument, and unknown names, shown in an error."""


def core(function: Any) -> Any:
    """Return the function inside a method, partial, decorator of methods, or callable object."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function) or isinstance(function, staticmethod | classmethod):
            function = function.__func__
        elif inspect.isroutine(function) or inspect.isclass(function):
            return function
        else:  # an object, perhaps one that a decorator made of a function
            function = getattr(function, "__wrapped__", type(function).__call__)


class ValidArguments(NamedTuple):
    """Arguments of a model that are valid."""

    given: Mapping[str, Any]
    """The arguments as the model wrote them."""
    values: Any
    """What pydantic made of them."""


class Signature:
    """The parameters of a function as the model sees them.

    Args:
        name: Name of the tool.
        function: The function.
        method: Whether it is a method that is not bound: its first parameter is omitted.
        parameters: A type or schema that describes the parameters instead.
        names: Names that annotations which are text may use, besides those of the function's module.

    Attributes:
        description: The docstring without the texts of the parameters.
        schema: JSON Schema of the arguments.

    Raises:
        TypeError: A parameter has a type that JSON cannot hold, or that is unknown.
    """

    def __init__(
        self,
        name: str,
        function: Any,
        *,
        method: bool = False,
        parameters: type | Mapping[str, Any] | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> None:
        self._name = name
        inner = core(function)
        bound = function.keywords if isinstance(function, functools.partial) else {}
        self._parameters = [one for one in self._declared(function, method) if one.name not in bound]
        try:
            types = annotated_types(inner, self._parameters, names)
        except TypeError as error:
            raise TypeError(f"tool {name}: {error}") from None
        self._several = next((one.name for one in self._parameters if one.kind is _Kind.VAR_POSITIONAL), None)
        self._contexts = {parameter for parameter, kind in types.items() if is_context(kind)}
        self._hidden = {*self._contexts, *bound}
        told = [one for one in self._parameters if one.name not in self._contexts]
        in_schema = [one.name for one in told if one.kind is not _Kind.VAR_KEYWORD] if parameters is None else []
        named = [*in_schema, *self._hidden, "self", "cls"]
        self.description, texts = read_docstring(_docstring(function, inner), named)
        self._values: Callable[[Any], dict[str, Any]] = dict
        self._keys: dict[str, Any] = {}
        if parameters is None or isinstance(parameters, Mapping):
            self._adapter = self._adapter_of_parameters(told, types, texts)
        else:
            self._adapter = self._adapter_of_type(parameters, told)
        if isinstance(parameters, Mapping):
            self.schema = dict(parameters)
            self._known = self._checked_properties(told)
        else:
            self.schema = self._json_schema()
            properties = self.schema.get("properties")
            self._known = list(properties) if isinstance(properties, Mapping) else []

    def _declared(self, function: Any, method: bool) -> list[inspect.Parameter]:
        if isinstance(function, staticmethod | classmethod):
            method = isinstance(function, classmethod)
            function = function.__func__
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except ValueError:
            raise TypeError(f"tool {self._name}: the function has no signature: wrap it in one of your own") from None
        return parameters[1:] if method else parameters

    # Schemas

    def _adapter_of_parameters(
        self, told: list[inspect.Parameter], types: Mapping[str, Any], texts: Mapping[str, str]
    ) -> TypeAdapter[Any]:
        other: Any = None
        for parameter in told:
            kind = types[parameter.name]
            if parameter.kind is not _Kind.VAR_KEYWORD:
                self._keys[parameter.name] = key_of(parameter, kind, texts.get(parameter.name))
            elif (unpacked := unpacked_keys(kind)) is not None:
                self._keys.update(unpacked)
            else:
                other = kind
        try:
            return TypeAdapter(typed_dict(self._name, self._keys, other))
        except Exception as error:
            self._refuse(error)

    def _adapter_of_type(self, kind: Any, told: list[inspect.Parameter]) -> TypeAdapter[Any]:
        """Return the adapter of a type whose fields are the arguments."""
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            fields = list(kind.model_fields)
            self._values = lambda model: {name: getattr(model, name) for name in (*fields, *(model.model_extra or ()))}
        elif inspect.isclass(kind) and dataclasses.is_dataclass(kind):
            fields = [one.name for one in dataclasses.fields(kind)]
            self._values = lambda value: {name: getattr(value, name) for name in fields}
        elif typing_extensions.is_typeddict(kind):
            fields = list(kind.__annotations__)
        else:
            raise TypeError(
                f"tool {self._name}: parameters= takes a JSON Schema, a pydantic model, a dataclass or a TypedDict"
            )
        several = (_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD)
        takes = {one.name: one.default for one in told if one.kind not in several}
        any_name = any(one.kind is _Kind.VAR_KEYWORD for one in told)
        for name in fields:
            if name not in takes and not any_name:
                raise TypeError(f"tool {self._name}: the function has no parameter for the field {name!r}")
        for name, default in takes.items():
            if name not in fields and default is _Kind.empty:
                raise TypeError(f"tool {self._name}: parameters= has no field for the parameter {name!r}")
        try:
            return TypeAdapter(kind)
        except Exception as error:
            self._refuse(error)

    def _checked_properties(self, told: list[inspect.Parameter]) -> list[str]:
        """Return the names of the properties of a schema that was given.

        Raises:
            TypeError: It is not the schema of an object, or the function does not take one of its properties.
        """
        if self.schema.get("type", "object") != "object":
            raise TypeError(f"tool {self._name}: parameters= must be the JSON Schema of an object")
        properties = self.schema.get("properties", {})
        if not isinstance(properties, Mapping):
            raise TypeError(f"tool {self._name}: properties of parameters= must be a mapping")
        if any(one.kind is _Kind.VAR_KEYWORD for one in told):
            return list(properties)
        try:
            own = self._adapter.json_schema(schema_generator=_JsonSchema)
        except Exception:  # what has no schema may be the reason to give one
            return list(properties)
        known = own.get("properties", {})
        for name in properties:
            if name not in known:
                raise TypeError(f"tool {self._name}: the function has no parameter for the property {name!r}")
        return list(known)

    def _json_schema(self) -> dict[str, Any]:
        try:
            schema = self._adapter.json_schema(schema_generator=_JsonSchema)
        except Exception as error:
            self._refuse(error)
        schema.pop("title", None)
        schema.setdefault("properties", {})
        try:
            return inline_references(schema)
        except ValueError:  # too large without references
            return schema

    def _refuse(self, error: Exception) -> NoReturn:
        """Raise the error for the parameter that pydantic refuses, or for the whole."""
        for name, kind in self._keys.items():
            try:
                TypeAdapter(typed_dict(self._name, {name: kind})).json_schema(schema_generator=_JsonSchema)
            except Exception as own:
                raise TypeError(f"tool {self._name}: parameter {name!r}: {reason_of(own)}") from None
        raise TypeError(f"tool {self._name}: {reason_of(error)}") from None

    # Calls

    def validated(self, arguments: Any) -> ValidArguments:
        """Return the arguments of a model if they are valid.

        Args:
            arguments: What the model gave: an object, its JSON text, or None for no arguments.

        Raises:
            ToolArgumentsError: They do not fit.
        """
        given = self._object(arguments)
        reason = self._unknown(sorted(self._hidden & given.keys()))
        if not reason:
            try:
                return ValidArguments(given, self._adapter.validate_json(to_json(given, inf_nan_mode="constants")))
            except ValidationError as error:
                reason = self._problems(error)
            except PydanticSerializationError as error:
                reason = " ".join(str(error).split())
            except Exception as error:  # of a type's own validator
                reason = class_and_text(error)
        raise ToolArgumentsError(f"{self._name}: {reason}")

    def as_json(self, arguments: ValidArguments) -> dict[str, Any]:
        """Return valid arguments as plain JSON: values as they were validated, under the names that were given.

        The caller may change it: what the model said stays as it is.
        """
        try:
            values = self._adapter.dump_python(
                arguments.values, mode="json", by_alias=True, exclude_unset=True, warnings=False
            )
        except Exception:  # of a type without a JSON form
            values = None
        known = values if isinstance(values, dict) else {}
        return {name: known.get(name, value) for name, value in deepcopy(dict(arguments.given)).items()}

    def _object(self, arguments: Any) -> Mapping[Any, Any]:
        if isinstance(arguments, str | bytes | bytearray):
            try:
                arguments = from_json(arguments) if arguments.strip() else None
            except ValueError as error:
                reason = " ".join(str(error).split())
                raise ToolArgumentsError(f"{self._name}: the arguments are not valid JSON: {reason}") from None
        if arguments is None:
            return {}
        if not isinstance(arguments, Mapping):
            kind = "an array" if isinstance(arguments, list) else type(arguments).__name__
            raise ToolArgumentsError(f"{self._name}: the arguments must be a JSON object, not {kind}")
        return arguments

    def placed(self, arguments: ValidArguments, context: ToolContext[Any] | None) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of the function, by place and by name.

        Args:
            arguments: The arguments of the model.
            context: Value of the parameters that are a context.
        """
        values = self._values(arguments.values)
        by_place: list[Any] = []
        by_name: dict[str, Any] = {}
        more = self._several is not None and values.get(self._several)
        for parameter in self._parameters:
            kind = parameter.kind
            if kind is _Kind.VAR_KEYWORD:
                continue
            value: Any = context if parameter.name in self._contexts else values.pop(parameter.name, parameter.default)
            if kind is _Kind.VAR_POSITIONAL:
                by_place += () if value is _Kind.empty else value
            elif kind is _Kind.POSITIONAL_ONLY or (more and kind is _Kind.POSITIONAL_OR_KEYWORD):
                by_place.append(value)
            elif value is not _Kind.empty:
                by_name[parameter.name] = value
        return by_place, {**by_name, **values}

    # Errors

    def _problems(self, error: ValidationError) -> str:
        missing: list[str] = []
        unknown: list[str] = []
        wrong: dict[int | str, list[str]] = {}
        for one in error.errors(include_url=False):
            place, kind = one["loc"], one["type"]
            if kind == "missing" and len(place) == 1:
                missing.append(f"{place[0]} is missing")
            elif kind == "extra_forbidden" and len(place) == 1:
                unknown.append(str(place[0]))
            else:
                before = f"{path_of(place)}: " if place else ""
                given = "" if kind == "missing" else f" (given {_excerpt(one['input'])})"
                wrong.setdefault(place[0] if place else "", []).append(f"{before}{message_of(one)}{given}")
        parts = missing
        for name, several in wrong.items():
            parts += several[:_SHOWN]
            if len(several) > _SHOWN:
                parts.append(f"{len(several) - _SHOWN} more errors in {name or 'the arguments'}")
        parts += [self._unknown(unknown)] if unknown else []
        return " ".join("; ".join(parts).split())

    def _unknown(self, names: list[str]) -> str:
        if not names:
            return ""
        shown = ", ".join(map(_excerpt, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
        return f"no parameter is called {shown} (parameters: {', '.join(self._known) or 'none'})"


class _JsonSchema(GenerateJsonSchema):
    """JSON Schema without titles made of names. A default that is not JSON is omitted silently."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as the class has it

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Whether a property gets a title made of its name."""
        return False

    def encode_default(self, dft: Any) -> Any:
        """Return a default as JSON.

        Raises:
            PydanticSerializationError: It has no JSON form.
        """
        default = super().encode_default(dft)
        try:
            json.dumps(default, allow_nan=False)
        except ValueError:
            raise PydanticSerializationError("NaN and infinities are not JSON") from None
        return default


def _docstring(function: Any, inner: Any) -> str | None:
    """Return the docstring of a function, or that of its class if it is a callable object."""
    is_object = inner is not function and inner.__name__ == "__call__"
    text = inner.__doc__ or (type(function).__doc__ if is_object else None)
    return text if isinstance(text, str) else None


def _excerpt(value: Any) -> str:
    text = to_json(value, inf_nan_mode="constants", fallback=repr).decode()
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"
