"""The schema of a tool accepts what the function accepts, and nothing is lost on its way into a request.

What a schema means is asked of a validator that shares no code with the SDK or with pydantic.
"""

import datetime
import json
import pathlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import (
    TypeAdapter,
)
from tests.property.tool_signatures import SIGNATURES
from tests.property.tool_types import TYPES

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
    names = st.text("123", min_size=1, max_size=3)  # keys of any type but these can be such
    if "propertyNames" in schema:
        names = valid({"type": "string", **schema["propertyNames"]}, root, depth)
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
    arguments = data.draw(valid(schema, schema).filter(before.is_valid))
    assert made.bind(json.dumps(arguments), CONTEXT)() == json.loads(json.dumps(arguments))
    other = data.draw(nearly_valid(schema))
    assert before.is_valid(other) == inlined.is_valid(other)


# Types


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


def call(made: Tool[..., Any], arguments: Any) -> None:
    result = made.bind(json.dumps(arguments), CONTEXT)()
    if made.is_async:
        result.close()


def test_there_are_enough_signatures() -> None:
    assert len(SIGNATURES) >= 60
    assert len({json.dumps(made.parameters) for made in SIGNATURES.values()}) >= 60


@pytest.mark.parametrize("name", SIGNATURES)
@EACH
@given(data=st.data())
def test_a_signature_takes_what_its_schema_accepts_and_no_other_names(name: str, data: st.DataObject) -> None:
    made = SIGNATURES[name]
    validator = Draft202012Validator(made.parameters)
    arguments = data.draw(valid(made.parameters, made.parameters))
    assert validator.is_valid(arguments)
    call(made, arguments)
    arguments.pop(data.draw(st.sampled_from([*arguments, "none"])), None)
    arguments |= data.draw(st.dictionaries(st.sampled_from(["context", "self", "new", "x", "level"]), st.just(1)))
    try:
        call(made, arguments)
        accepted = True
    except ToolArgumentsError:
        accepted = False
    assert accepted == validator.is_valid(arguments)


# JSON inside text is read, and is then no text.
@pytest.mark.parametrize("name", [name for name in SIGNATURES if not name.endswith("json_text")])
@EACH
@given(data=st.data())
def test_a_schema_accepts_what_its_signature_takes(name: str, data: st.DataObject) -> None:
    made = SIGNATURES[name]
    try:
        taken = made.validated(json.dumps(data.draw(nearly_valid(made.parameters))))
    except ToolArgumentsError:
        return
    # As JSON: the function takes a text of digits for a number.
    assert Draft202012Validator(made.parameters).is_valid(made.as_json(taken))
