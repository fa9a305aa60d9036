"""Tools: what the model sees of a function, what is called with its arguments, and what is refused."""

from __future__ import annotations

import asyncio
import collections
import copy
import enum
import functools
import inspect
import json
import pickle
import re
import sys
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

import pytest
import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, model_validator

from gigachat import Tool, ToolArgumentsError, ToolContext, models, tool
from gigachat.tools import as_tool, is_callable_tool

CONTEXT: ToolContext[Any] = ToolContext("deps", step=2, call_id="call")
T = TypeVar("T")


def called(function: Any, arguments: Any = None) -> Any:
    """Return what a function returns for the arguments of a model."""
    return as_tool(function).bind(arguments, CONTEXT)()


def properties(function: Any) -> dict[str, Any]:
    schema = as_tool(function).parameters
    assert schema["type"] == "object"
    found: dict[str, Any] = schema["properties"]
    return found


@tool
def weather(city: Annotated[str, Field(description="Город")], days: int = 1) -> dict[str, Any]:
    """Погода в городе.

    Args:
        days: На сколько дней.
    """
    return {"city": city, "days": days}


def test_a_tool_has_name_description_and_schema_and_is_still_the_function() -> None:
    assert isinstance(weather, Tool)
    assert (weather.name, weather.description) == ("weather", "Погода в городе.")
    assert weather.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Город"},
            "days": {"type": "integer", "default": 1, "description": "На сколько дней."},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert (weather.examples, weather.approve, weather.timeout, weather.on_error) == ([], None, None, None)
    assert weather("Псков", days=2) == {"city": "Псков", "days": 2}
    assert repr(weather) == "<Tool 'weather'>"


def test_a_tool_reads_as_the_function_it_was() -> None:
    assert (weather.__name__, weather.__qualname__, weather.__module__) == ("weather", "weather", __name__)
    assert weather.__doc__ is not None
    assert weather.__doc__.startswith("Погода")
    wrapped: Any = weather.__wrapped__  # type: ignore[attr-defined]
    assert inspect.isfunction(wrapped)
    assert inspect.signature(weather) == inspect.signature(wrapped)
    assert not inspect.iscoroutinefunction(weather)


def test_options_are_kept() -> None:
    def allow(call: Any) -> bool:
        return True

    example = {"request": "Погода в Пскове?", "params": {"city": "Псков"}}
    made = tool(
        name="get-weather", description="Weather.", examples=[example], approve=allow, timeout=3, on_error="raise"
    )(weather.__wrapped__)  # type: ignore[attr-defined]
    assert (made.name, made.description, made.examples) == ("get-weather", "Weather.", [example])
    assert (made.approve, made.timeout, made.on_error) == (allow, 3, "raise")
    assert made.parameters == weather.parameters
    function = made.function()
    assert isinstance(function, models.Function)
    specification = made.specification()
    assert isinstance(specification, models.ChatFunctionSpecification)
    for described in (function, specification):
        assert json.loads(described.model_dump_json(by_alias=True, exclude_none=True)) == {
            "name": "get-weather",
            "description": "Weather.",
            "parameters": made.parameters,
            "few_shot_examples": [example],
        }


def test_what_is_not_known_is_not_sent() -> None:
    @tool
    def nothing() -> None: ...

    sent = json.loads(nothing.function().model_dump_json(by_alias=True, exclude_none=True))
    assert sent == {
        "name": "nothing",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    }
    assert called(nothing, {}) is None


# Names and kinds of parameters


def odd_names(
    _a: int, json: str, schema: str, model_dump: int, model_config: int, copy: int, self_: int, validate: bool
) -> tuple[Any, ...]:
    return _a, json, schema, model_dump, model_config, copy, self_, validate


def test_every_name_is_kept() -> None:
    names = list(inspect.signature(odd_names).parameters)
    assert list(properties(odd_names)) == as_tool(odd_names).parameters["required"] == names
    given = dict(zip(names, (1, "j", "s", 2, 3, 4, 5, True), strict=True))
    assert called(odd_names, given) == tuple(given.values())


def every_kind(a: int, b: str = "b", /, c: int = 1, *args: int, d: float = 2.5, **kwargs: int) -> tuple[Any, ...]:
    return a, b, c, args, d, kwargs


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": 1}, (1, "b", 1, (), 2.5, {})),
        ({"a": 1, "c": 3, "d": 4}, (1, "b", 3, (), 4.0, {})),
        ({"a": 1, "args": [7, "8"]}, (1, "b", 1, (7, 8), 2.5, {})),
        ({"a": 1, "b": "x", "z": "9"}, (1, "x", 1, (), 2.5, {"z": 9})),
    ],
)
def test_every_kind_of_parameter_gets_its_value(given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert called(every_kind, given) == expected


def test_every_kind_of_parameter_is_in_the_schema() -> None:
    assert properties(every_kind) == {
        "a": {"type": "integer"},
        "b": {"type": "string", "default": "b"},
        "c": {"type": "integer", "default": 1},
        "args": {"type": "array", "items": {"type": "integer"}},
        "d": {"type": "number", "default": 2.5},
    }
    assert as_tool(every_kind).parameters["additionalProperties"] == {"type": "integer"}


class Options(typing_extensions.TypedDict, total=False):
    limit: typing_extensions.Required[int]
    order: Literal["up", "down"]


def test_keywords_of_a_typed_dict_are_parameters() -> None:
    def find(query: str, **options: typing_extensions.Unpack[Options]) -> dict[str, Any]:
        return {"query": query, **options}

    assert list(properties(find)) == ["query", "limit", "order"]
    assert as_tool(find).parameters["required"] == ["query", "limit"]
    assert as_tool(find).parameters["additionalProperties"] is False
    assert called(find, {"query": "q", "limit": "3"}) == {"query": "q", "limit": 3}


def test_parameters_without_annotations_take_anything() -> None:
    made = tool(lambda city, days=1: (city, days), name="weather")
    assert made.parameters["properties"] == {"city": {}, "days": {"default": 1}}
    assert called(made, {"city": [None]}) == ([None], 1)


# Types


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    city: str = Field(description="Город")
    near: list[str] = []


@dataclass
class Size:
    width: int
    height: int = 1


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Box(BaseModel, Generic[T]):
    content: T


def typed(
    place: Place,
    size: Size,
    options: Options,
    pet: Annotated[Cat | Dog, Field(discriminator="kind")],
    number: Annotated[int, Field(ge=1, le=5)],
    color: Color = Color.RED,
    unit: Literal["C", "F"] = "C",
    either: int | list[str] = 0,
    pair: tuple[int, str] | None = None,
    source: Annotated[str, Field(alias="from")] = "",
    later: int = Field(default=7, description="Later"),
    named: dict[str, int] = Field(default_factory=dict),  # noqa: B008
) -> dict[str, Any]:
    return locals()


TYPED: dict[str, Any] = {
    "place": {"city": "Псков"},
    "size": {"width": 2},
    "options": {"limit": 1},
    "pet": {"kind": "dog", "name": "Rex"},
    "number": 5,
}


def test_types_become_schemas() -> None:
    assert properties(typed) == {
        "place": {
            "type": "object",
            "title": "Place",
            "properties": {
                "city": {"type": "string", "description": "Город"},
                "near": {"type": "array", "items": {"type": "string"}, "default": []},
            },
            "required": ["city"],
        },
        "size": {
            "type": "object",
            "title": "Size",
            "properties": {"width": {"type": "integer"}, "height": {"type": "integer", "default": 1}},
            "required": ["width"],
        },
        "options": {
            "type": "object",
            "title": "Options",
            "properties": {"limit": {"type": "integer"}, "order": {"type": "string", "enum": ["up", "down"]}},
            "required": ["limit"],
        },
        "pet": {
            "oneOf": [
                {
                    "type": "object",
                    "title": "Cat",
                    "properties": {"kind": {"type": "string", "const": "cat"}, "lives": {"type": "integer"}},
                    "required": ["kind", "lives"],
                },
                {
                    "type": "object",
                    "title": "Dog",
                    "properties": {"kind": {"type": "string", "const": "dog"}, "name": {"type": "string"}},
                    "required": ["kind", "name"],
                },
            ]
        },
        "number": {"type": "integer", "minimum": 1, "maximum": 5},
        "color": {"type": "string", "title": "Color", "enum": ["red", "blue"], "default": "red"},
        "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}], "default": 0},
        "pair": {
            "anyOf": [
                {
                    "type": "array",
                    "prefixItems": [{"type": "integer"}, {"type": "string"}],
                    "minItems": 2,
                    "maxItems": 2,
                },
                {"type": "null"},
            ],
            "default": None,
        },
        "from": {"type": "string", "default": ""},
        "later": {"type": "integer", "default": 7, "description": "Later"},
        "named": {"type": "object", "additionalProperties": {"type": "integer"}},
    }
    assert as_tool(typed).parameters.keys() == {"type", "properties", "required", "additionalProperties"}


def test_arguments_become_values_of_the_types() -> None:
    assert called(typed, {**TYPED, "color": "blue", "pair": [1, "a"], "from": "x"}) == {
        "place": Place(city="Псков"),
        "size": Size(2),
        "options": {"limit": 1},
        "pet": Dog(kind="dog", name="Rex"),
        "number": 5,
        "color": Color.BLUE,
        "unit": "C",
        "either": 0,
        "pair": (1, "a"),
        "source": "x",
        "later": 7,
        "named": {},
    }


def test_a_type_that_contains_itself_keeps_its_reference() -> None:
    def plant(tree: Tree) -> Tree:
        return tree

    tree = {"name": "a", "children": [{"name": "b"}]}
    assert as_tool(plant).parameters["properties"] == {"tree": {"$ref": "#/$defs/Tree"}}
    assert as_tool(plant).parameters["$defs"].keys() == {"Tree"}
    assert called(plant, {"tree": tree}) == Tree.model_validate(tree)


def test_null_is_taken_where_it_is_the_default() -> None:
    def find(limit: Annotated[int, Field(ge=1)] = None) -> int:  # type: ignore[assignment]  # noqa: RUF013
        return limit

    assert properties(find)["limit"] == {
        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}],
        "default": None,
    }
    assert called(find, {"limit": None}) is None
    with pytest.raises(ToolArgumentsError, match=r"limit: .*greater than or equal to 1"):
        as_tool(find).bind({"limit": 0}, CONTEXT)


MARK = object()


@pytest.mark.parametrize(
    "default",
    [MARK, ..., {1, 2}.__len__, Path, collections.OrderedDict],
    ids=["object", "ellipsis", "method", "class", "mapping"],
)
def test_a_default_that_is_not_json_is_not_in_the_schema(default: Any) -> None:
    def find(query: str, how: Any = default) -> Any:
        return how

    assert properties(find)["how"] == {}
    assert as_tool(find).parameters["required"] == ["query"]
    assert called(find, {"query": ""}) is default


def test_a_default_is_not_shared_by_calls() -> None:
    def add(item: int, to: list[int] = []) -> list[int]:  # noqa: B006
        to.append(item)
        return to

    made = as_tool(add)
    assert [made.bind({"item": number}, CONTEXT)() for number in (1, 2)] == [[1], [2]]


def test_generic_types_are_read() -> None:
    def fill(box: Box[int]) -> Any:
        return box.content

    assert properties(fill)["box"]["properties"]["content"] == {"type": "integer"}
    assert called(fill, {"box": {"content": "3"}}) == 3


@pytest.mark.parametrize("kind", [Iterable[int], typing.Iterable[int], Iterable[int] | None])
def test_items_of_an_iterable_are_checked_before_the_call(kind: Any) -> None:
    def add(numbers: Any) -> int:
        return sum(numbers)

    add.__annotations__["numbers"] = kind
    assert called(add, {"numbers": ["1", 2]}) == 3
    with pytest.raises(ToolArgumentsError, match=r"numbers.*\[1\]: Input should be a valid integer"):
        as_tool(add).bind({"numbers": [1, "a"]}, CONTEXT)


def test_items_of_an_iterable_inside_a_type_are_checked_before_the_call() -> None:
    def add(numbers: dict[str, Iterable[int]]) -> Any:
        return numbers

    assert called(add, {"numbers": {"a": ["1"]}}) == {"a": [1]}
    with pytest.raises(ToolArgumentsError, match=r"numbers\.a\[0\]: Input should be a valid integer"):
        as_tool(add).bind({"numbers": {"a": ["x"]}}, CONTEXT)


class Corner(enum.Enum):
    START = (0, 0)
    END = (2, 3)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (Corner, [2, 3], Corner.END),
        (Corner | None, [0, 0], Corner.START),
        (list[Corner], [[0, 0]], [Corner.START]),
        (Annotated[Corner, Field(description="of the map")], [2, 3], Corner.END),
        (Literal[Corner.END, "middle"], [2, 3], Corner.END),
        (Literal[Color.RED], "red", Color.RED),
        (Literal[Color.RED, 5], 5, 5),
    ],
)
def test_a_member_of_an_enum_is_found_by_the_json_of_its_value(kind: Any, given: Any, expected: Any) -> None:
    def move(to: Any) -> Any:
        return to

    move.__annotations__["to"] = kind
    assert called(move, {"to": given}) == expected
    with pytest.raises(ToolArgumentsError, match="to"):
        as_tool(move).bind({"to": [2, 4]}, CONTEXT)


# Names in annotations


def test_local_classes_are_known_to_annotations() -> None:
    class Local(BaseModel):
        number: int

    @tool
    def plain(one: Local) -> Any:
        return one

    @tool(timeout=1)
    def with_options(one: list[Local]) -> Any:
        return one

    class Holder:
        class Inner(BaseModel):
            text: str

        @tool
        def both(self, one: Local, other: Inner) -> Any:
            return one, other

    assert called(plain, {"one": {"number": 1}}) == Local(number=1)
    assert called(with_options, {"one": [{"number": 1}]}) == [Local(number=1)]
    assert called(Holder().both, {"one": {"number": 1}, "other": {"text": "t"}}) == (
        Local(number=1),
        Holder.Inner(text="t"),
    )


def test_type_parameters_of_a_function_are_known_to_annotations() -> None:
    def opened(items: list[S]) -> Any:  # type: ignore[name-defined]  # noqa: F821
        return items[0]

    setattr(opened, "__type_params__", (TypeVar("S"),))  # noqa: B010 - as `def opened[S]` of Python 3.12 has it
    assert properties(opened) == {"items": {"type": "array", "items": {}}}
    assert called(opened, {"items": [1]}) == 1


def unknown_name(query: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def unknown_inside(limit: int, query: list[Unknown]) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def prose(query: "what to find") -> None: ...  # type: ignore[valid-type]  # noqa: F722
def no_json(lock: asyncio.Lock) -> None: ...
def no_schema(run: Callable[[], None]) -> None: ...
def no_json_inside(locks: dict[str, list[asyncio.Lock]]) -> None: ...


class OldTyped(typing.TypedDict):
    name: str


def old_typed(one: OldTyped) -> None: ...
def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


REFUSED = [
    (unknown_name, "tool unknown_name: parameter 'query': name 'Unknown' is not defined: define or import"),
    (unknown_inside, "tool unknown_inside: parameter 'query': name 'Unknown' is not defined"),
    (prose, "tool prose: parameter 'query': the annotation is not a type"),
    (no_json, "tool no_json: parameter 'lock': its type has no JSON form"),
    (no_schema, "tool no_schema: parameter 'run': its type has no JSON form"),
    (no_json_inside, "tool no_json_inside: parameter 'locks': its type has no JSON form"),
    (generator, "generator is a generator function"),
    (async_generator, "async_generator is a generator function"),
    (Place, "a tool is a function: Place is a class"),
    (5, "a tool is a function, not int"),
    ({"name": "f"}, "a tool is a function, not dict"),
    (vars, "tool vars: the function has no signature: wrap it in one of your own"),
]


@pytest.mark.parametrize(("function", "text"), REFUSED)
def test_what_no_tool_can_be_made_of_is_refused_in_one_line(function: Any, text: str) -> None:
    for make in (tool, as_tool):
        with pytest.raises(TypeError) as raised:
            make(function)
        assert str(raised.value).startswith(text)
        assert "\n" not in str(raised.value)


def test_a_typed_dict_of_typing_is_explained_where_pydantic_refuses_it() -> None:
    if sys.version_info >= (3, 12):
        assert called(old_typed, {"one": {"name": "n"}}) is None
        return
    text = "tool old_typed: parameter 'one': on Python 3.11, import TypedDict from typing_extensions instead of typing"
    with pytest.raises(TypeError, match=text):
        tool(old_typed)


def test_a_local_dataclass_that_cannot_be_built_is_explained() -> None:
    class Local(BaseModel):
        number: int

    @dataclass
    class Holder:
        one: Local

    def hold(holder: Holder) -> None: ...

    text = "tool hold: parameter 'holder': the annotations of a class in it use unknown names: define these classes"
    with pytest.raises(TypeError, match=text):
        tool(hold)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "погода"}, "'погода' cannot be the name of a tool: give name= of Latin letters"),
        ({"name": ""}, "'' cannot be the name of a tool"),
        ({"name": "1st"}, "'1st' cannot be the name of a tool"),
        ({"approve": "yes"}, "tool weather: approve= is True, False or a function"),
        ({"timeout": 0}, "tool weather: timeout= is a positive number of seconds"),
        ({"timeout": "5"}, "tool weather: timeout= is a positive number of seconds"),
        ({"timeout": True}, "tool weather: timeout= is a positive number of seconds"),
        ({"on_error": "ignore"}, "tool weather: on_error= is 'tell' or 'raise'"),
        ({"examples": ["?"]}, "tool weather: examples[0] must have the keys 'request' and 'params'"),
        ({"examples": [{"request": "?"}]}, "tool weather: examples[0] must have the keys 'request' and 'params'"),
        (
            {"examples": [{"request": "?", "params": {"days": 1}}]},
            "tool weather: examples[0]: weather: city is missing",
        ),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(text)) as raised:
        tool(weather.__wrapped__, **options)  # type: ignore[attr-defined]
    assert "\n" not in str(raised.value)


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(ValueError, match="'<lambda>' cannot be the name of a tool: give name="):
        tool(lambda: 1)


# Functions of all kinds


class Counter:
    """Counts."""

    def __init__(self, start: int) -> None:
        self.start = start

    @tool
    def add(self, number: int) -> int:
        """Add.

        Args:
            self: The counter.
            number: What to add.
        """
        return self.start + number

    @tool
    async def later(self, number: int) -> int:
        return self.start + number

    @tool
    def this(this, number: int) -> int:
        return this.start + number

    @classmethod
    @tool
    def inner_class(cls, number: int) -> Any:
        return cls, number

    @tool
    @classmethod
    def outer_class(cls, number: int) -> Any:
        return cls, number

    @staticmethod
    @tool
    def inner_static(number: int) -> int:
        return number

    @tool
    @staticmethod
    def outer_static(number: int) -> int:
        return number

    def plain(self, number: int) -> int:
        return self.start + number

    def __call__(self, number: int) -> int:
        return self.start + number


COUNTER = Counter(5)
NUMBER = {"number": {"type": "integer"}}


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("add", 6),
        ("this", 6),
        ("plain", 6),
        ("inner_class", (Counter, 1)),
        ("outer_class", (Counter, 1)),
        ("inner_static", 1),
        ("outer_static", 1),
    ],
)
def test_a_method_is_a_tool_without_self(name: str, result: Any) -> None:
    method = getattr(COUNTER, name)
    about = {"description": "What to add."} if name == "add" else {}
    assert properties(method) == {"number": {"type": "integer", **about}}
    assert as_tool(method).name == name
    assert called(method, {"number": "1"}) == result == method(1)
    assert list(inspect.signature(method).parameters) == ["number"]


@pytest.mark.parametrize("name", ["inner_class", "outer_class", "inner_static", "outer_static"])
def test_a_class_and_a_static_method_need_no_instance(name: str) -> None:
    assert called(getattr(Counter, name), {"number": 1}) == getattr(Counter, name)(1)


def test_a_method_of_no_instance_is_not_called_by_a_model() -> None:
    assert Counter.add(COUNTER, 2) == 7
    with pytest.raises(TypeError, match=r"tool add is a method: give the tool of an instance, Counter\.add has none"):
        Counter.add.bind({"number": 1}, CONTEXT)


def test_coroutine_functions_are_coroutine_functions() -> None:
    @tool
    async def fetch(number: int) -> int:
        return number

    async def plain(number: int) -> int:
        return number

    class Fetch:
        async def __call__(self, number: int) -> int:
            return number

    for one in (fetch, COUNTER.later, as_tool(plain), as_tool(functools.partial(plain)), as_tool(Fetch())):
        assert one.is_async
        assert inspect.iscoroutinefunction(one)
        assert asyncio.run(one(number=3)) == asyncio.run(one.bind({"number": "3"}, CONTEXT)())
    assert inspect.iscoroutinefunction(Counter.later)
    assert not weather.is_async


def search(key: str, query: str, *, limit: int = 3, **more: str) -> tuple[Any, ...]:
    """Search."""
    return key, query, limit, more


def test_arguments_of_a_partial_are_not_shown_and_cannot_be_given() -> None:
    made = as_tool(functools.partial(functools.partial(search, "secret"), limit=5))
    assert (made.name, made.description) == ("search", "Search.")
    assert made.parameters["properties"] == {"query": {"type": "string"}}
    assert "secret" not in json.dumps(made.parameters)
    assert called(made, {"query": "q", "x": "y"}) == ("secret", "q", 5, {"x": "y"})
    with pytest.raises(ToolArgumentsError, match=r'no parameter is called "limit" \(parameters: query\)'):
        made.bind({"query": "q", "limit": 100}, CONTEXT)


def test_a_callable_object_is_a_tool() -> None:
    made = as_tool(COUNTER)
    assert (made.name, made.description) == ("Counter", "Counts.")
    assert made.parameters["properties"] == NUMBER
    assert called(made, {"number": 1}) == COUNTER(1) == 6


def test_what_decorators_made_of_a_function_is_a_tool() -> None:
    @functools.lru_cache
    def cached(number: int) -> int:
        """Cached."""
        return number

    class Wrapper:
        def __init__(self, function: Any) -> None:
            functools.update_wrapper(self, function)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return "wrapped"

    for function, result in ((cached, 1), (Wrapper(cached), "wrapped")):
        made = as_tool(function)
        assert (made.name, made.description, made.parameters["properties"]) == ("cached", "Cached.", NUMBER)
        assert called(made, {"number": 1}) == result


@pytest.mark.parametrize("value", [weather, search, COUNTER, COUNTER.add, COUNTER.plain, Counter.inner_class, len])
def test_functions_are_tools(value: Any) -> None:
    assert is_callable_tool(value)


class Called(BaseModel):
    name: str

    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    "value", [Place, Called(name="f"), {"name": "f"}, models.Function(name="f"), "web_search", None]
)
def test_classes_models_and_descriptions_are_not(value: Any) -> None:
    assert not is_callable_tool(value)


def test_a_tool_is_a_tool() -> None:
    assert as_tool(weather) is weather


# Schemas of other kinds


class Range(BaseModel):
    model_config = ConfigDict(extra="allow")
    low: int
    high: int = 9

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Days(typing_extensions.TypedDict):
    days: int


def keywords(**values: Any) -> dict[str, Any]:
    return values


@pytest.mark.parametrize(
    ("kind", "given", "values"),
    [
        (Place, {"city": "Псков", "other": 1}, {"city": "Псков", "near": []}),
        (Size, {"width": "1"}, {"width": 1, "height": 1}),
        (Options, {"limit": "1", "order": "up"}, {"limit": 1, "order": "up"}),
        (Range, {"low": 1, "more": 2}, {"low": 1, "high": 9, "more": 2}),
    ],
)
def test_a_type_describes_and_checks_the_arguments(kind: Any, given: Any, values: Any) -> None:
    made = tool(parameters=kind)(keywords)
    assert made.parameters["properties"].keys() <= values.keys()
    assert "title" not in made.parameters
    assert called(made, given) == values


def test_an_error_of_the_whole_is_one_of_the_arguments() -> None:
    with pytest.raises(ToolArgumentsError) as raised:
        tool(parameters=Range)(keywords).bind({"low": 10}, CONTEXT)
    assert str(raised.value) == 'keywords: low is above high (given {"low":10})'


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (int, "tool weather: parameters= takes a JSON Schema, a pydantic model, a dataclass or a TypedDict"),
        ([], "tool weather: parameters= takes a JSON Schema, a pydantic model, a dataclass or a TypedDict"),
        (Size, "tool weather: the function has no parameter for the field 'width'"),
        (Box[int], "tool weather: the function has no parameter for the field 'content'"),
        (Days, "tool weather: parameters= has no field for the parameter 'city'"),
        ({"type": "string"}, "tool weather: parameters= must be the JSON Schema of an object"),
        ({"type": "object", "properties": []}, "tool weather: properties of parameters= must be a mapping"),
        (
            {"type": "object", "properties": {"city": {}, "z": {}}},
            "tool weather: the function has no parameter for the property 'z'",
        ),
    ],
)
def test_a_type_that_does_not_fit_the_function_is_refused(parameters: Any, text: str) -> None:
    with pytest.raises(TypeError) as raised:
        tool(weather.__wrapped__, parameters=parameters)  # type: ignore[attr-defined]
    assert str(raised.value) == text


def test_a_mapping_is_the_schema_to_the_letter() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "x-order": 1}}, "required": ["city"]}
    made = tool(parameters=schema)(weather.__wrapped__)  # type: ignore[attr-defined]
    assert made.parameters == schema
    assert made.bind({"city": "Псков", "days": "2"}, CONTEXT)() == {"city": "Псков", "days": 2}
    with pytest.raises(ToolArgumentsError, match=r'no parameter is called "z" \(parameters: city, days\)'):
        made.bind({"city": "Псков", "z": 1}, CONTEXT)


@pytest.mark.parametrize("schema", [{"properties": {"anything": {}}}, {"type": "object"}, {}])
def test_a_function_with_keywords_takes_any_property_of_a_mapping(schema: dict[str, Any]) -> None:
    made = tool(parameters=schema)(keywords)
    assert called(made, {"anything": 1}) == {"anything": 1}


def test_a_mapping_may_describe_what_has_no_schema() -> None:
    def count(things: Annotated[Any, InstanceOf[object]]) -> int:
        return 1

    made = tool(parameters={"type": "object", "properties": {"things": {"type": "array"}}})(count)
    assert called(made, {"things": [1]}) == 1


def test_a_default_that_is_not_a_number_in_json_is_omitted() -> None:
    def limited(most: float = float("inf"), least: float = float("nan"), ratio: float = 0.5) -> None: ...

    properties = as_tool(limited).parameters["properties"]
    assert properties == {
        "most": {"type": "number"},
        "least": {"type": "number"},
        "ratio": {"type": "number", "default": 0.5},
    }


@pytest.mark.parametrize("annotation", ["Self", "list[Self]", "Annotated[Self | None, 'note']"])
def test_self_is_refused(annotation: str) -> None:
    def method(other: Any) -> None: ...

    method.__annotations__["other"] = annotation
    with pytest.raises(TypeError, match=r"^tool method: parameter 'other': Self has no JSON form here: write the name"):
        as_tool(method)


def test_a_description_is_text() -> None:
    description: Any = 5
    with pytest.raises(TypeError, match=r"^tool search: description= must be text$"):
        tool(search, description=description)


# Copies


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("name", ["weather", "Counter.add"])
def test_a_tool_that_is_a_name_of_its_module_is_copied_as_that_name(copied: Any, name: str) -> None:
    made = functools.reduce(getattr, name.split("."), sys.modules[__name__])
    assert copied(made) is made


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_other_tools_are_copied_with_their_options(copied: Any) -> None:
    first = tool(search, name="find", timeout=5, approve=True, description="Find.")
    again = copied(first)
    assert again is not first
    assert (again.name, again.timeout, again.approve, again.description) == ("find", 5, True, "Find.")
    assert called(again, {"key": "k", "query": "q"}) == ("k", "q", 3, {})
    for one in (COUNTER.add, as_tool(COUNTER), as_tool(COUNTER.plain), as_tool(functools.partial(COUNTER.plain))):
        assert called(copied(one), {"number": 1}) == 6
