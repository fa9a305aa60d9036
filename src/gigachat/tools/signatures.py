"""Signatures of tools: the JSON Schema of the parameters, and the call for the arguments of the model.

Schema and checks come from one pydantic adapter of a TypedDict with the parameters as keys. No other way of pydantic
keeps every name: models drop `_a` and `model_config` and refuse `json`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import from_json, to_json

from gigachat.exceptions import ToolArgumentsError
from gigachat.schema import inline_references
from gigachat.tools.context import ToolContext
from gigachat.tools.docstrings import read_docstring

_Kind = inspect.Parameter
_BY_PLACE = (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD)
_BY_NAME = (_Kind.POSITIONAL_OR_KEYWORD, _Kind.KEYWORD_ONLY)
_EXCERPT = 40
"""Characters of a value shown in an error."""
_NAMED = 10
"""Arguments, and errors of one argument, shown in an error."""


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


class Signature:
    """The parameters of a function as the model sees them.

    Args:
        name: Name of the tool, for errors.
        function: The function. Of a method that is not bound, the first parameter is left out.
        method: Whether it is such a method.
        parameters: A type or schema that describes the parameters instead.
        names: Names that annotations which are text may use, besides those of the function's module.

    Attributes:
        description: What the docstring says beside the texts of the parameters.
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
        self._parameters = self._visible(function, method)
        annotations = _Annotations(name, inner, names)
        hints = {parameter.name: annotations.type_of(parameter) for parameter in self._parameters}
        self._contexts = {parameter for parameter, hint in hints.items() if _is_context(hint)}
        known = [*hints, *inspect.signature(inner).parameters]
        self.description, self._texts = read_docstring(_docstring(function, inner), known)
        told = [parameter for parameter in self._parameters if parameter.name not in self._contexts]
        bound = function.keywords if isinstance(function, functools.partial) else {}
        self._hidden = {*self._contexts, *bound}
        self._fields_of: Any = dict
        if parameters is None or isinstance(parameters, Mapping):
            self._adapter = self._of_the_signature(told, hints)
            self._known = [*hints.keys() - self._contexts]
        else:
            self._adapter = self._of_a_type(parameters, told)
        self.schema = dict(parameters) if isinstance(parameters, Mapping) else self._json_schema(told, hints)
        properties = self.schema.get("properties")
        self._known = list(properties) if isinstance(properties, Mapping) else []

    def _visible(self, function: Any, method: bool) -> list[inspect.Parameter]:
        """Return the parameters that are not bound."""
        if isinstance(function, staticmethod | classmethod):
            method = isinstance(function, classmethod)
            function = function.__func__
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except ValueError:
            raise TypeError(
                f"tool {self._name}: the function has no signature: wrap it in a function of yours"
            ) from None
        if method:
            parameters = parameters[1:]
        bound = function.keywords if isinstance(function, functools.partial) else {}
        return [parameter for parameter in parameters if parameter.name not in bound]

    # Schemas

    def _of_the_signature(self, told: list[inspect.Parameter], hints: Mapping[str, Any]) -> TypeAdapter[Any]:
        fields: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for parameter in told:
            hint = hints[parameter.name]
            if parameter.kind is not _Kind.VAR_KEYWORD:
                fields[parameter.name] = _field(parameter, hint, self._texts.get(parameter.name))
            elif get_origin(hint) is typing_extensions.Unpack or get_origin(hint) is typing.Unpack:
                fields.update(_keys(get_args(hint)[0]))
            else:
                extra["extra_items"] = hint
        try:
            return TypeAdapter(_typed_dict(self._name, fields, extra))
        except Exception as error:
            self._refuse(fields, error)

    def _of_a_type(self, kind: Any, told: list[inspect.Parameter]) -> TypeAdapter[Any]:
        """Return the adapter of a type whose fields are the parameters."""
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            fields = list(kind.model_fields)
            self._fields_of = lambda model: {
                **{one: getattr(model, one) for one in fields},
                **(model.model_extra or {}),
            }
        elif inspect.isclass(kind) and dataclasses.is_dataclass(kind):
            fields = [one.name for one in dataclasses.fields(kind)]
            self._fields_of = lambda value: {one: getattr(value, one) for one in fields}
        elif typing_extensions.is_typeddict(kind):
            fields = list(kind.__annotations__)
        else:
            raise TypeError(
                f"tool {self._name}: parameters= takes a JSON Schema, a pydantic model, a dataclass or a TypedDict"
            )
        takes = {one.name for one in told if one.kind in (*_BY_PLACE, *_BY_NAME)}
        any_name = any(one.kind is _Kind.VAR_KEYWORD for one in told)
        needs = {one.name for one in told if one.default is one.empty and one.name in takes}
        for name in fields:
            if name not in takes and not any_name:
                raise TypeError(f"tool {self._name}: parameters= has the field {name!r}, the function does not")
        for name in sorted(needs - set(fields)):
            raise TypeError(f"tool {self._name}: parameters= has no field for the parameter {name!r}")
        try:
            return TypeAdapter(kind)
        except Exception as error:
            raise TypeError(f"tool {self._name}: {_reason(error)}") from None

    def _json_schema(self, told: list[inspect.Parameter], hints: Mapping[str, Any]) -> dict[str, Any]:
        try:
            schema = self._adapter.json_schema(schema_generator=_Schema)
        except Exception as error:
            self._refuse({one.name: hints[one.name] for one in told}, error)
        schema.pop("title", None)
        schema.setdefault("properties", {})
        try:
            return inline_references(schema)
        except ValueError:  # too large without references
            return schema

    def _refuse(self, fields: Mapping[str, Any], error: Exception) -> typing.NoReturn:
        """Refuse the parameter that pydantic refuses, or the whole."""
        for name, kind in fields.items():
            try:
                TypeAdapter(_typed_dict(self._name, {name: kind}, {})).json_schema(schema_generator=_Schema)
            except Exception as own:
                raise TypeError(f"tool {self._name}: parameter {name!r}: {_reason(own)}") from None
        raise TypeError(f"tool {self._name}: {_reason(error)}") from None

    # Calls

    def bind(self, arguments: Any, context: ToolContext[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of the function, by place and by name.

        Args:
            arguments: What the model gave: an object, its JSON text, or None for no arguments.
            context: Value of the parameters that are a context.

        Raises:
            ToolArgumentsError: They do not fit.
        """
        given = self._object(arguments)
        hidden = sorted(self._hidden & given.keys())
        if hidden:
            raise ToolArgumentsError(f"{self._name}: {self._unknown(hidden)}")
        try:
            values = self._adapter.validate_json(to_json(given, inf_nan_mode="constants"))
        except ValidationError as error:
            reason = self._problems(error)
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())
        else:
            return self._placed(self._fields_of(values), context)
        raise ToolArgumentsError(f"{self._name}: {reason}")

    def check(self, arguments: Any) -> None:
        """Check arguments as `bind` does."""
        self.bind(arguments, ToolContext(None))

    def _object(self, arguments: Any) -> Mapping[Any, Any]:
        if isinstance(arguments, str | bytes | bytearray):
            if not arguments.strip():
                return {}
            try:
                arguments = from_json(arguments)
            except ValueError as error:
                reason = " ".join(str(error).split())
                raise ToolArgumentsError(f"{self._name}: the arguments are not valid JSON: {reason}") from None
        if arguments is None:
            return {}
        if not isinstance(arguments, Mapping):
            kind = {list: "an array", str: "text", bool: "a boolean", int: "a number", float: "a number"}
            what = kind.get(type(arguments), type(arguments).__name__)
            raise ToolArgumentsError(f"{self._name}: the arguments must be a JSON object, not {what}")
        return arguments

    def _placed(self, values: dict[str, Any], context: ToolContext[Any]) -> tuple[list[Any], dict[str, Any]]:
        value: Any
        by_place: list[Any] = []
        by_name: dict[str, Any] = {}
        several = any(one.kind is _Kind.VAR_POSITIONAL and values.get(one.name) for one in self._parameters)
        for parameter in self._parameters:
            name = parameter.name
            if name in self._contexts:
                value = context
            elif name in values and parameter.kind is not _Kind.VAR_KEYWORD:
                value = values.pop(name)
            else:
                value = parameter.default
            if parameter.kind is _Kind.VAR_POSITIONAL:
                by_place.extend(() if value is parameter.empty else value)
            elif parameter.kind is _Kind.POSITIONAL_ONLY or (several and parameter.kind in _BY_PLACE):
                by_place.append(value)
            elif parameter.kind is not _Kind.VAR_KEYWORD and value is not parameter.empty:
                by_name[name] = value
        return by_place, {**by_name, **values}

    # Errors

    def _problems(self, error: ValidationError) -> str:
        missing: list[str] = []
        unknown: list[str] = []
        wrong: dict[Any, list[str]] = {}
        for one in error.errors(include_url=False):
            place = one["loc"]
            if one["type"] == "missing" and len(place) == 1:
                missing.append(str(place[0]))
            elif one["type"] == "extra_forbidden" and len(place) == 1:
                unknown.append(str(place[0]))
            else:
                message = one["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
                given = "" if one["type"] == "missing" else f" (given {_excerpt(one['input'])})"
                wrong.setdefault(place[:1], []).append(f"{_written(place)}: {message}{given}")
        parts = [f"{name} is missing" for name in missing]
        for several in wrong.values():
            parts += several[:_NAMED]
            parts += [f"and {len(several) - _NAMED} more errors in {several[0].partition(':')[0]}"] * (
                len(several) > _NAMED
            )
        if unknown:
            parts.append(self._unknown(unknown))
        return " ".join("; ".join(parts).split())

    def _unknown(self, names: list[str]) -> str:
        shown = ", ".join(_excerpt(name) for name in names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        known = ", ".join(self._known) or "none"
        return f"no parameter is called {shown} (parameters: {known})"


class _Schema(GenerateJsonSchema):
    """JSON Schema without titles made of names. A default that is not JSON is left out silently."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Whether a property gets a title made of its name."""
        return False


class _Annotations:
    """The types of a function's parameters."""

    def __init__(self, tool: str, function: Any, names: Mapping[str, Any] | None) -> None:
        self._tool = tool
        function = inspect.unwrap(function)
        self._globals = getattr(function, "__globals__", {})
        type_parameters = {one.__name__: one for one in getattr(function, "__type_params__", ())}
        self._locals = {**(names or {}), **type_parameters}

    def type_of(self, parameter: inspect.Parameter) -> Any:
        """Return the type of a parameter, `Any` if it has none."""
        if parameter.annotation is parameter.empty:
            return Any
        holder: Any = types.SimpleNamespace(__annotations__={"type": parameter.annotation})
        try:
            return typing.get_type_hints(holder, self._globals, self._locals, include_extras=True)["type"]
        except NameError as error:
            reason = f"{error}: define or import the type above the function"
        except Exception as error:  # of the code in the annotation
            reason = f"the annotation is not a type: {_reason(error)}"
        raise TypeError(f"tool {self._tool}: parameter {parameter.name!r}: {reason}")


def _docstring(function: Any, inner: Any) -> str | None:
    """Return the docstring of a function, or that of its class if it is a callable object."""
    if inspect.isroutine(function) or isinstance(function, functools.partial | staticmethod | classmethod):
        return inspect.getdoc(inner)
    return inner.__doc__ or type(function).__doc__


def _is_context(hint: Any) -> bool:
    """Whether a type is a context of tools, or that or None."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (typing.Union, types.UnionType):
        return any(map(_is_context, get_args(hint)))
    kind = get_origin(hint) or hint
    return inspect.isclass(kind) and issubclass(kind, ToolContext)


def _field(parameter: inspect.Parameter, hint: Any, text: str | None) -> Any:
    """Return the type of a key: with default and description, and not required if there is a default."""
    kind, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    default = parameter.default
    if parameter.kind is _Kind.VAR_POSITIONAL:
        kind, metadata = list[hint], [Field(default_factory=list)]
    elif isinstance(default, FieldInfo):  # as a default, in the way of FastAPI
        metadata.append(default)
    elif default is not parameter.empty:
        metadata.append(Field(default_factory=lambda: default) if default is ... else Field(default=default))
        kind = kind | None if default is None and kind is not Any and not isinstance(kind, str) else kind
    infos = [one for one in metadata if isinstance(one, FieldInfo)]
    if text and not any(one.description for one in infos):
        metadata.append(Field(description=text))
    whole = Annotated[(kind, *metadata)] if metadata else kind
    return typing_extensions.NotRequired[whole] if any(not one.is_required() for one in infos) else whole


def _keys(kind: Any) -> dict[str, Any]:
    """Return the types of the keys of a TypedDict."""
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    return {
        name: hint if name in kind.__required_keys__ else typing_extensions.NotRequired[hint]
        for name, hint in hints.items()
    }


def _typed_dict(name: str, fields: Mapping[str, Any], extra: Mapping[str, Any]) -> Any:
    make: Any = typing_extensions.TypedDict  # to a type checker, it takes literals only
    kind = make(name, dict(fields), **extra)
    if not extra:
        kind.__pydantic_config__ = ConfigDict(extra="forbid")
    return kind


def _reason(error: Exception) -> str:
    """Return why pydantic refuses a type, in one line."""
    code = error.code if isinstance(error, PydanticUserError) else None
    if code == "typed-dict-version":
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return f"on Python {version}, import TypedDict from typing_extensions instead of typing"
    if code == "class-not-fully-defined":
        return "the annotations of a class in it use unknown names: define these classes at the top of the module"
    if code in ("schema-for-unknown-type", "invalid-for-json-schema"):
        return "its type has no JSON form: if the model need not know it, use ToolContext or functools.partial"
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _written(place: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def _excerpt(value: Any) -> str:
    text = to_json(value, inf_nan_mode="constants", fallback=repr).decode()
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"
