"""The schema of a tool accepts what the function accepts, and nothing is lost on its way into a request.

What a schema means is asked of a validator that shares no code with the SDK or with pydantic.
"""

import collections
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import json
import pathlib
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar, Union

import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    NonNegativeInt,
    RootModel,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    conlist,
)

from gigachat import ToolArgumentsError
from gigachat.schema import inline_references
from gigachat.tools import Tool, ToolContext, as_tool, tool

T = TypeVar("T")
EACH = settings(max_examples=max(4, settings().max_examples // 20))
"""Of each type and signature."""
CONTEXT: ToolContext[None] = ToolContext(None)
PUBLISHED = json.loads((pathlib.Path(__file__).parent / "github_mcp.json").read_text("utf-8"))["tools"]
"""The tools of a public MCP server, with its licence in the file."""


# Instances of a schema: some are valid, some nearly so.

FORMATS: dict[str, st.SearchStrategy[Any]] = {
    "date": st.dates().map(datetime.date.isoformat),
    "date-time": st.datetimes(timezones=st.just(datetime.UTC)).map(datetime.datetime.isoformat),
    "time": st.times().map(datetime.time.isoformat),
    "duration": st.integers(0, 10**6).map(lambda seconds: f"PT{seconds}S"),
    "uuid": st.uuids().map(str),
    "uri": st.sampled_from(["https://host/path?x=1", "ftp://host"]),
    "ipv4": st.ip_addresses(v=4).map(str),
    "binary": st.text(max_size=3),
    "path": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3),
    "fraction": st.fractions().map(str),
    "password": st.text(max_size=3),
}
scalars = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.text(max_size=3))
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
)


def valid(schema: Any, root: Mapping[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Return instances that a schema accepts."""
    if schema is True or not isinstance(schema, Mapping):
        return anything
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].split("/")[1:]:
            target = target[step]
        return st.deferred(lambda: valid(target, root, depth + 1))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices and "type" not in schema:
        return st.one_of([valid(choice, root, depth) for choice in choices])
    kind = schema.get("type")
    if isinstance(kind, list):
        return st.one_of([valid({**schema, "type": one}, root, depth) for one in kind])
    match kind:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer" | "number":
            return _numbers(schema)
        case "string":
            return _texts(schema)
        case "array":
            return _arrays(schema, root, depth)
        case "object":
            return _objects(schema, root, depth)
    return anything


def _numbers(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -99))
    high = schema.get("maximum", schema.get("exclusiveMaximum", max(99, low + 9)))
    low, high = low + ("exclusiveMinimum" in schema), high - ("exclusiveMaximum" in schema)
    step = schema.get("multipleOf", 1)
    whole = st.integers(-(-low // step), high // step).map(lambda number: number * step)
    return whole if schema["type"] == "integer" or "multipleOf" in schema else whole | st.floats(low, high)


def _texts(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if "format" in schema:
        return FORMATS[schema["format"]]
    if "contentSchema" in schema:
        return valid(schema["contentSchema"], schema["contentSchema"]).map(json.dumps)
    if "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True)
    low = schema.get("minLength", 0)
    return st.text(min_size=low, max_size=min(schema.get("maxLength", low + 5), low + 5))


def _arrays(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> st.SearchStrategy[Any]:
    if "prefixItems" in schema:
        return st.tuples(*(valid(one, root, depth) for one in schema["prefixItems"])).map(list)
    low = schema.get("minItems", 0)
    most = min(schema.get("maxItems", low + 2), low + (2 if depth < 3 else 0))
    unique = {"unique_by": lambda one: json.dumps(one, sort_keys=True)} if schema.get("uniqueItems") else {}
    return st.lists(valid(schema.get("items", True), root, depth), min_size=low, max_size=most, **unique)  # type: ignore[arg-type]


def _objects(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> st.SearchStrategy[Any]:
    known = schema.get("properties", {})
    required = {name: valid(known[name], root, depth) for name in schema.get("required", ())}
    optional = {name: valid(one, root, depth) for name, one in known.items() if name not in required and depth < 3}
    made = st.fixed_dictionaries(required, optional=optional)
    more = schema.get("additionalProperties", schema.get("patternProperties", {None: False}).get(None, True))
    if more is False or known:
        return made
    names = st.text("123", min_size=1, max_size=3)  # keys of any type can be such
    return st.builds(
        lambda one, other: {**other, **one}, made, st.dictionaries(names, valid(more, root, depth), max_size=2)
    )


@st.composite
def nearly_valid(draw: st.DrawFn, schema: Any) -> Any:
    """Return an instance in which one place may have been changed."""
    instance = json.loads(json.dumps(draw(valid(schema, schema))))
    holder: Any = None
    key: Any = None
    inner = instance
    while isinstance(inner, dict | list) and inner and draw(st.booleans()):
        holder, key = inner, draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        inner = holder[key]
    if isinstance(inner, dict) and draw(st.booleans()):
        inner[draw(st.sampled_from(["new", "kind", "value", *inner]))] = draw(anything)
    elif holder is None:
        return draw(st.sampled_from([instance, instance, None, [], {}]))
    elif isinstance(holder, dict) and draw(st.booleans()):
        del holder[key]
    elif draw(st.booleans()):
        holder[key] = draw(anything)
    return instance


# Published tools


@lru_cache
def published(number: int) -> tuple[Mapping[str, Any], Tool[..., Any], Draft202012Validator]:
    one = PUBLISHED[number]
    made = tool(name=one["name"], parameters=one["inputSchema"])(keywords)
    return one["inputSchema"], made, Draft202012Validator(inline_references(one["inputSchema"]))


def keywords(**values: Any) -> dict[str, Any]:
    return values


@pytest.mark.parametrize("number", range(len(PUBLISHED)), ids=lambda number: str(PUBLISHED[number]["name"]))
def test_a_published_tool_goes_out_as_written(number: int) -> None:
    schema, made, _ = published(number)
    for described in (made.function(), made.specification()):
        sent = json.loads(described.model_dump_json(by_alias=True, exclude_none=True))
        assert json.dumps(sent["parameters"], sort_keys=True) == json.dumps(schema, sort_keys=True)


@given(st.data(), st.sampled_from(range(len(PUBLISHED))))
def test_a_published_tool_is_called_with_what_its_schema_accepts(data: st.DataObject, number: int) -> None:
    schema, made, inlined = published(number)
    before = Draft202012Validator(schema)
    arguments = data.draw(valid(schema, schema))
    assert before.is_valid(arguments)
    assert made.bind(json.dumps(arguments), CONTEXT)() == json.loads(json.dumps(arguments))
    other = data.draw(nearly_valid(schema))
    assert before.is_valid(other) == inlined.is_valid(other)


# Types and signatures


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Flat(BaseModel):
    city: str
    days: int = 1


class Other:
    class Flat(BaseModel):
        other: int


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]  # pyright: ignore[reportIncompatibleVariableOverride]
    city: str = ""


class Deep(BaseModel):
    first: Flat
    others: list[Flat] = []
    named: dict[str, Closed] = {}


class Limits(BaseModel):
    number: Annotated[int, Field(ge=1, lt=9)]
    rate: Annotated[float, Field(gt=0, le=1)]
    text: Annotated[str, Field(min_length=1, max_length=3)]
    code: Annotated[str, StringConstraints(pattern="^[a-c]{2}$")]
    even: Annotated[int, Field(multiple_of=2)] = 2


class Renamed(BaseModel):
    source: str = Field(alias="from")
    kind: str = Field(validation_alias="class", default="")


class Tree(BaseModel):
    name: str
    children: list["Tree"] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Leaf(BaseModel):
    kind: Literal["leaf"]


class Branch(BaseModel):
    kind: Literal["branch"]
    parts: list[Annotated[Union["Branch", Leaf], Field(discriminator="kind")]]


class Box(BaseModel, Generic[T]):
    content: T


class Items(RootModel[list[Flat]]):
    pass


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclass
class Size:
    width: int
    tags: list[str] = field(default_factory=list)


class Movie(typing_extensions.TypedDict):
    name: str
    year: typing_extensions.NotRequired[int]


TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "None": None,
    "Any": Any,
    "object": object,
    "bytes": bytes,
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
    "UUID": uuid.UUID,
    "Decimal": decimal.Decimal,
    "Path": pathlib.Path,
    "IPv4": ipaddress.IPv4Address,
    "url": AnyUrl,
    "secret": SecretStr,
    "json": Json[dict[str, int]],
    "fraction": fractions.Fraction,
    "enum": Color,
    "int enum": Level,
    "literal": Literal["a", "b"],
    "mixed literal": Literal["a", 1, True, None],
    "one literal": Literal["a"],
    "optional": Optional[int],  # noqa: UP045 - as many write it
    "or None": str | None,
    "union": int | list[str] | Flat,
    "nested union": list[int | None] | dict[str, bool],
    "list": list[int],
    "bare list": list,
    "sequence": Sequence[str],
    "set": set[str],
    "frozenset": frozenset[int],
    "deque": collections.deque[int],
    "tuple": tuple[int, str],
    "long tuple": tuple[int, ...],
    "limited list": conlist(int, min_length=1, max_length=3),
    "dict": dict[str, int],
    "bare dict": dict,
    "mapping": Mapping[str, list[Flat]],
    "dict of ints": dict[int, str],
    "named tuple": Point,
    "dataclass": Size,
    "typed dict": Movie,
    "model": Flat,
    "closed model": Closed,
    "open model": Open,
    "deep model": Deep,
    "limits": Limits,
    "aliases": Renamed,
    "tree": Tree,
    "discriminated": Owner,
    "recursive discriminated": Branch,
    "generic": Box[Deep],
    "root": Items,
    "list of models": list[Flat | Closed],
    "constrained": NonNegativeInt,
    "described": Annotated[str, Field(description="Город", min_length=2, examples=["Псков"])],
    "two models with one name": tuple[Flat, Other.Flat],
}


def taking(kind: Any) -> Any:
    def function(value: Any) -> Any:
        return value

    function.__annotations__["value"] = kind
    return function


@lru_cache
def of_type(name: str) -> tuple[Tool[..., Any], Draft202012Validator, Draft202012Validator]:
    """Return a tool that takes a type, and what accepts its values before and after references are inlined."""
    made = as_tool(taking(TYPES[name]))
    before = TypeAdapter(TYPES[name]).json_schema()
    return made, Draft202012Validator(before), Draft202012Validator(made.parameters)


@pytest.mark.parametrize("name", TYPES)
@EACH
@given(data=st.data())
def test_a_type_keeps_its_meaning(name: str, data: st.DataObject) -> None:
    _, before, after = of_type(name)
    value = data.draw(nearly_valid(before.schema))
    assert before.is_valid(value) == after.is_valid({"value": value})


# Of a decimal as text, pydantic's schema does not say that it is a number.
@pytest.mark.parametrize("name", [name for name in TYPES if name != "Decimal"])
@EACH
@given(data=st.data())
def test_a_function_takes_what_its_schema_accepts(name: str, data: st.DataObject) -> None:
    made, _, after = of_type(name)
    arguments = data.draw(valid(made.parameters, made.parameters))
    assert after.is_valid(arguments)
    made.bind(json.dumps(arguments), CONTEXT)()


@pytest.mark.parametrize("name", TYPES)
@EACH
@given(data=st.data())
def test_a_schema_accepts_what_the_function_takes(name: str, data: st.DataObject) -> None:
    _, before, after = of_type(name)
    value = data.draw(nearly_valid(before.schema))
    try:
        # Strict: a text of digits is an integer for the function only.
        TypeAdapter(TYPES[name]).validate_json(json.dumps(value), strict=True)
    except (ValueError, TypeError):  # of a fraction, pydantic 2.12 raises TypeError
        return
    assert after.is_valid({"value": value})


# Whole signatures


def two(city: str, days: int = 1) -> Any: ...
def only_by_place(a: int, b: str = "", /) -> Any: ...
def only_by_name(*, a: int, b: str | None = None) -> Any: ...
def several(first: int, *more: Flat, last: bool = False) -> Any: ...
def any_name(city: str, **others: int) -> Any: ...
def items(some: Iterable[int], more: Iterable[Flat] | None = None) -> Any: ...
def no_types(city, days=1, *more, **others): ...  # type: ignore[no-untyped-def]
def with_context(context: ToolContext[None], place: Flat, *, tree: Tree | None = None) -> Any: ...
def aliases(a: Annotated[int, Field(alias="from")], b: Annotated[str, Field(alias="class")] = "") -> Any: ...
def fields(a: int = Field(ge=1), b: list[str] = Field(default_factory=list)) -> Any: ...  # noqa: B008
def implicit(a: int = None, b: Annotated[str, Field(min_length=1)] = None) -> Any: ...  # type: ignore[assignment]  # noqa: RUF013
def odd(_a: int, json: str, model_config: bool, self_: list[int], copy: float = 1) -> Any: ...
def unpacked(a: int, **options: typing_extensions.Unpack[Movie]) -> Any: ...
def defaults(a: Color = Color.RED, b: Size = Size(1), c: Any = object(), d: tuple[int, ...] = (1,)) -> Any: ...  # noqa: B008
def nested(pets: list[Owner], branch: Branch, level: Level = Level.LOW) -> Any: ...


class Service:
    @tool
    def method(self, a: int, context: ToolContext[None] | None = None) -> Any: ...
    @classmethod
    def of_class(cls, a: int) -> Any: ...
    def __call__(self, a: int, *, b: Flat | None = None) -> Any: ...


SIGNATURES: list[Any] = [
    *(
        two,
        only_by_place,
        only_by_name,
        several,
        any_name,
        items,
        no_types,
        with_context,
        aliases,
        fields,
        implicit,
        odd,
    ),
    *(unpacked, defaults, nested, Service().method, Service.of_class, Service()),
    *(functools.partial(two, "x"), functools.partial(nested, level=Level.HIGH)),
]


def test_there_are_enough_signatures() -> None:
    assert len(TYPES) + len(SIGNATURES) >= 80


@pytest.mark.parametrize("number", range(len(SIGNATURES)), ids=lambda number: as_tool(SIGNATURES[number]).name)
@EACH
@given(data=st.data())
def test_a_signature_takes_what_its_schema_accepts_and_no_other_names(number: int, data: st.DataObject) -> None:
    made = as_tool(SIGNATURES[number])
    validator = Draft202012Validator(made.parameters)
    arguments = data.draw(valid(made.parameters, made.parameters))
    assert validator.is_valid(arguments)
    made.bind(json.dumps(arguments), CONTEXT)()
    arguments.pop(data.draw(st.sampled_from([*arguments, "none"])), None)
    arguments |= data.draw(st.dictionaries(st.sampled_from(["context", "self", "new", "x", "level"]), st.just(1)))
    try:
        made.bind(json.dumps(arguments), CONTEXT)()
        accepted = True
    except ToolArgumentsError:
        accepted = False
    assert accepted == validator.is_valid(arguments)
