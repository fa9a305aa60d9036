"""Types of parameters: read from annotations, and as keys of a TypedDict that pydantic reads."""

from __future__ import annotations

import collections.abc
import enum
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typing_extensions
from pydantic import BeforeValidator, Field, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_jsonable_python

from gigachat.tools.context import ToolContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def annotated_types(
    function: Callable[..., Any], parameters: list[inspect.Parameter], names: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the types of parameters by their names, `Any` for those without an annotation.

    Args:
        function: The function: names in annotations that are text are those of its module.
        parameters: The parameters.
        names: Further names that annotations may use.

    Raises:
        TypeError: An annotation is not a type, or uses an unknown name.
    """
    function = inspect.unwrap(function)
    known = getattr(function, "__globals__", {})
    own = {**(names or {}), **{one.__name__: one for one in getattr(function, "__type_params__", ())}}
    hints: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.annotation is parameter.empty:
            hints[parameter.name] = Any
            continue
        holder: Any = types.SimpleNamespace(__annotations__={"type": parameter.annotation})
        place = f"parameter {parameter.name!r}"
        try:
            hint = typing.get_type_hints(holder, known, own, include_extras=True)["type"]
        except NameError as error:
            raise TypeError(f"{place}: {error}: define or import the type above the function") from None
        except Exception as error:  # of the code in the annotation
            raise TypeError(f"{place}: the annotation is not a type: {reason_of(error)}") from None
        if _has_self(hint):
            raise TypeError(f"{place}: Self has no JSON form here: write the name of the class")
        hints[parameter.name] = _read_from_json(hint)
    return hints


def _has_self(hint: Any) -> bool:
    return hint is typing.Self or any(map(_has_self, get_args(hint)))


def is_context(hint: Any) -> bool:
    """Whether a type is `ToolContext`, or that or None."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (typing.Union, types.UnionType):
        return any(map(is_context, get_args(hint)))
    kind = get_origin(hint) or hint
    return inspect.isclass(kind) and issubclass(kind, ToolContext)


def key_of(parameter: inspect.Parameter, hint: Any, text: str | None) -> Any:
    """Return the type of a parameter as that of a key, which is not required if there is a default.

    Args:
        parameter: The parameter.
        hint: Its type.
        text: Its text in the docstring.
    """
    kind, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    default = parameter.default
    if parameter.kind is parameter.VAR_POSITIONAL:
        kind, metadata = list[hint], [Field(default_factory=list)]
    elif isinstance(default, FieldInfo):  # a default as FastAPI has it
        metadata.append(default)
    elif default is ...:  # to pydantic, it is no default
        metadata.append(Field(default_factory=lambda: ...))
    elif default is not parameter.empty:
        metadata.append(Field(default=default))
        if default is None and kind is not Any:
            kind = typing.Optional[kind]  # noqa: UP045 - of any form of type
    infos = [one for one in metadata if isinstance(one, FieldInfo)]
    if text and not any(one.description for one in infos):
        metadata.append(Field(description=text))
    whole = Annotated[(kind, *metadata)] if metadata else kind
    return whole if all(one.is_required() for one in infos) else typing_extensions.NotRequired[whole]


def _read_from_json(kind: Any) -> Any:
    """Return a type that pydantic reads from JSON as the schema of another type says.

    Iterables become lists: pydantic checks the items of an iterable only when they are read. The members of an enum
    and of a literal are found by their JSON: pydantic compares Python values.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return _with_choices(kind, [(one, one.value) for one in kind])
    if origin is typing.Literal:
        return _with_choices(kind, [(one, one) for one in inner])
    if origin is Annotated:
        return Annotated[(_read_from_json(inner[0]), *inner[1:])]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(map(_read_from_json, inner))]  # noqa: UP007 - of a tuple
    if not (inner and inspect.isclass(origin) and issubclass(origin, collections.abc.Iterable)):
        return kind
    as_list = origin in (collections.abc.Iterable, collections.abc.Collection)
    generic: Any = list if as_list else origin
    return generic[tuple(map(_read_from_json, inner))]


def _with_choices(kind: Any, choices: Sequence[tuple[Any, Any]]) -> Any:
    """Return a type whose choices are also taken as the JSON of their values.

    Args:
        kind: The type.
        choices: Each choice with its value.
    """
    try:
        forms = [(choice, to_jsonable_python(value), value) for choice, value in choices]
    except PydanticSerializationError:  # there is no schema of it either
        return kind
    others = [(choice, form) for choice, form, value in forms if form != value]

    def choice_of(given: Any) -> Any:
        return next((choice for choice, form in others if form == given), given)

    return Annotated[kind, BeforeValidator(choice_of)] if others else kind


def unpacked_keys(hint: Any) -> dict[str, Any] | None:
    """Return the keys of `**kwargs: Unpack[T]`, where T is a TypedDict; None for any other type."""
    if get_origin(hint) not in (typing_extensions.Unpack, typing.Unpack):
        return None
    (kind,) = get_args(hint)
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    # In annotations that are text, `__required_keys__` has not seen Required.
    marks: tuple[Any, ...] = (
        typing_extensions.Required,
        typing_extensions.NotRequired,
        typing.Required,
        typing.NotRequired,
    )
    return {
        name: one if get_origin(one) in marks or name in kind.__required_keys__ else typing_extensions.NotRequired[one]
        for name, one in hints.items()
    }


def typed_dict(name: str, keys: Mapping[str, Any], other: Any = None) -> Any:
    """Return a TypedDict for pydantic.

    Args:
        name: Its name.
        keys: The types of its keys.
        other: The type of further keys; None if there may be none.
    """
    make: Any = typing_extensions.TypedDict  # type checkers know literals only
    return make(name, dict(keys), closed=True) if other is None else make(name, dict(keys), extra_items=other)


def reason_of(error: Exception) -> str:
    """Return why Python or pydantic refuses a type, in one line."""
    code = error.code if isinstance(error, PydanticUserError) else None
    if code == "typed-dict-version":
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return f"on Python {version}, import TypedDict from typing_extensions instead of typing"
    if code == "class-not-fully-defined":
        return "the annotations of a class in it use unknown names: define these classes at the top of the module"
    if code in ("schema-for-unknown-type", "invalid-for-json-schema"):
        return "its type has no JSON form: if the model need not know it, use ToolContext or functools.partial"
    return str(error).strip().partition("\n")[0] or type(error).__name__
