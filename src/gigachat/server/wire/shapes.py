"""The shapes of request bodies: fields and their JSON types, as the SDK's request models declare them.

A wrong type or an absent required field is refused with 400 (reference, section 13); null counts as absent. The strict
mode also refuses fields that a shape does not list, so that misspelt names are found. Values are not checked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args, get_origin

from pydantic import BaseModel

from gigachat.models import chat as v1
from gigachat.models import chat_completions as v2
from gigachat.server.wire.errors import invalid_params, invalid_shape

Shape: TypeAlias = "Any"
"""A type, a model of the SDK, or the shapes of the fields of an optional object by name."""

STATE_NAMES = ("tool_state_id", "tools_state_id", "functions_state_id")
"""The state id of v2 under all the names it was seen with (reference, section 15)."""
_STATE_IDS: dict[str, Shape] = dict.fromkeys(STATE_NAMES, str | None)
_CHANGES: Mapping[type[BaseModel], Mapping[str, Shape]] = {
    v1.Chat: {
        # An object by the documents, a list by the published client (reference, section 15).
        "additional_data": dict[str, Any] | list[Any] | None,
        "response_format": {"type": str | None, "schema": dict[str, Any] | None, "strict": bool | None},
    },
    v1.Messages: {"created": Any},
    v1.Function: {"parameters": dict[str, Any] | None},
    v2.ChatCompletionRequest: {**_STATE_IDS, "memory_id": str | None, "storage": v2.ChatStorage | None},
    v2.ChatMessage: {**_STATE_IDS, "content": list[v2.ChatContentPart]},
    v2.ChatContentPart: {"logprobs": list[dict[str, Any]] | None},
    v2.ChatFunctionCall: {"id": str | None, "arguments": dict[str, Any] | None},
    v2.ChatFunctionResult: {"result": str | dict[str, Any] | list[Any]},
    v2.ChatFunctionSpecification: {"parameters": dict[str, Any]},
    v2.ChatResponseFormat: {"schema": dict[str, Any] | None},
    # These tools have no options.
    v2.ChatTool: {name: {} for name in v2.ChatTool.model_fields.keys() - {"functions", "web_search"}},
}
"""The differences from the models, which omit some fields and accept more forms than the service."""
_NOT_SENT = frozenset({"additional_fields"})
_NAMES = {NoneType: "null", bool: "boolean", str: "string", int: "integer", float: "number", list: "array"}


class Problem(NamedTuple):
    """A problem of a body and its place: the path of names and indexes from the root."""

    way: tuple[str | int, ...]
    text: str
    unknown: bool = False

    @property
    def path(self) -> str:
        """The place as text: `messages[0].content`."""
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.way)
        return text.removeprefix(".")


def check_shape(value: Any, shape: Shape, *, strict: bool = False) -> None:
    """Check the JSON types of a value and of all that is inside.

    Args:
        value: What was received.
        shape: What it must be.
        strict: Whether fields that the shape does not list are refused.

    Raises:
        Refusal: 400 for a wrong shape, 422 for an unknown field, with its path: `messages[0].foo`.
    """
    found = list(problems(value, shape))
    for problem in found:
        if strict and problem.unknown:
            raise invalid_params(f"unknown field {problem.path}")
    for problem in found:
        if not problem.unknown:
            raise invalid_shape(f"{problem.path}: {problem.text}" if problem.way else problem.text)


def problems(value: Any, shape: Shape, way: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    """Yield all that is wrong with a value, unknown fields included."""
    kind = next((one for one in alternatives(shape) if _fits(value, one)), None)
    if kind is None:
        wanted = next(alternatives(shape))
        yield Problem(way, f"Invalid type. Expected: {_name(wanted)}, given: {_name(type(value))}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            for inside in get_args(kind):
                yield from problems(item, inside, (*way, number))
    elif isinstance(value, dict) and (fields := _fields(kind)) is not None:
        for name, inner in fields.items():
            if value.get(name) is None and _required(inner):
                yield Problem(way, f"{name} is required")
        for name, given in value.items():
            if name in fields:
                if given is not None:
                    yield from problems(given, fields[name], (*way, name))
            elif kind is not v2.ChatTool:  # the chat itself refuses an unknown tool
                yield Problem((*way, name), "unknown field", unknown=True)


def alternatives(shape: Shape) -> Iterator[Any]:
    """Yield the types that a value may have: members of unions, without annotations."""
    origin: Any = get_origin(shape)
    if isinstance(shape, Mapping) or origin in (None, list, dict):
        yield shape
    elif origin is Literal:
        yield type(get_args(shape)[0])
    else:
        for one in get_args(shape)[: 1 if origin is Annotated else None]:
            yield from alternatives(one)


def _fits(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else _json_type(kind))


def _json_type(kind: Any) -> type:
    origin: Any = get_origin(kind) or kind
    if isinstance(kind, Mapping) or issubclass(origin, BaseModel):
        return dict
    return str if issubclass(origin, Enum) else origin


def _name(kind: Any) -> str:
    return _NAMES.get(_json_type(kind), "object")


def _required(shape: Shape) -> bool:
    kinds = list(alternatives(shape))
    return not isinstance(shape, Mapping) and NoneType not in kinds and Any not in kinds


def _fields(kind: Any) -> Mapping[str, Shape] | None:
    """Return the shapes of the fields of an object; None where any fields may be."""
    if isinstance(kind, Mapping):
        return kind
    return fields_of(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else None


@cache
def fields_of(model: type[BaseModel]) -> Mapping[str, Shape]:
    """Return the shapes of the fields that a request has by a model."""
    fields: dict[str, Shape] = {
        field.alias or name: field.annotation if field.is_required() else field.annotation | NoneType
        for name, field in model.model_fields.items()
        if not field.exclude and name not in _NOT_SENT
    }
    return fields | dict(_CHANGES.get(model, {}))
