"""A function's schema is sent as written, and its flat form keeps what it can, whatever it consists of."""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gigachat.models import ChatFunctionSpecification, Function
from gigachat.schema import inline_references, simplify

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFINITIONS = ("$defs", "definitions")
MAPS = ("properties", "patternProperties", "dependentSchemas")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLE = ("items", "additionalProperties", "not", "contains", "propertyNames")
DATA = ("enum", "const", "default", "examples")
LIMITS = ("minimum", "maximum", "multipleOf", "minLength", "maxLength", "pattern", "minItems", "uniqueItems", "format")
TOLD = (*LIMITS, *DATA, "required", "description", "title", "additionalProperties")

# Names of properties that are also words of JSON Schema.
names = st.sampled_from(
    ["city", "enum", "$ref", "properties", "type", "default", "items", "anyOf", "$defs", "required"]
)
# Data may look like a schema and must stay what it is.
DATA_LIKE_SCHEMAS = [None, True, 0, "", "Псков", [None, 1], {"$ref": "#/$defs/A"}, {"anyOf": [{"type": "null"}]}]
SAID: list[dict[str, Any]] = [
    {"description": ""},
    {"description": "what it is", "title": "T"},
    {"minimum": -5, "maximum": 5},
    {"pattern": "^a$", "minLength": 1},
    {"enum": [1, 2, 3]},
    {"enum": ["", None, {"$ref": "#/$defs/A"}]},
    *({"const": value} for value in DATA_LIKE_SCHEMAS),
    *({"default": value} for value in DATA_LIKE_SCHEMAS),
    {"examples": DATA_LIKE_SCHEMAS},
]
limits = st.lists(st.sampled_from(SAID), max_size=2).map(lambda said: {k: v for one in said for k, v in one.items()})
plain_types = st.sampled_from(["string", "integer", "number", "boolean", "null"])


def joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {**first, **second}


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(names, inner, max_size=3),
            "required": st.lists(names, max_size=2, unique=True),
            "additionalProperties": st.one_of(st.booleans(), inner),
            "patternProperties": st.dictionaries(st.sampled_from(["^x", "enum"]), inner, max_size=1),
        },
    )


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(joined, objects(inner), limits),
        st.builds(joined, st.fixed_dictionaries({"type": st.just("array"), "items": inner}), limits),
        st.builds(lambda choices, rest: {"anyOf": choices, **rest}, several, limits),
        st.builds(lambda choices: {"oneOf": choices}, several),
        st.builds(lambda choices: {"allOf": choices}, several),
        st.builds(lambda choice, rest: {"anyOf": [choice, {"type": "null"}], **rest}, inner, limits),
    )


@lru_cache
def schemas(references: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, Any]]:
    """Return schemas that may refer to some definitions."""
    leaves: list[st.SearchStrategy[dict[str, Any]]] = [
        st.builds(joined, st.fixed_dictionaries({"type": plain_types}), limits),
        st.builds(joined, st.fixed_dictionaries({"type": st.lists(plain_types, min_size=1, unique=True)}), limits),
        limits,
    ]
    if references:
        leaves.append(st.sampled_from(references).map(lambda name: {"$ref": f"#/$defs/{name}"}))
        beside = st.sampled_from([{"description": "here"}, {"default": None}, {"default": 1, "title": "T"}])
        names = st.sampled_from(references)
        leaves.append(st.builds(lambda name, more: {"$ref": f"#/$defs/{name}", **more}, names, beside))
    return st.recursive(st.one_of(leaves), containers, max_leaves=4)


@lru_cache
def root_objects(references: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return objects(schemas(references))


@st.composite
def roots(draw: st.DrawFn) -> dict[str, Any]:
    """Return a schema as pydantic makes them: an object with definitions, each of which may use those before it."""
    definitions: dict[str, Any] = {}
    for name in ("A", "B", "C")[: draw(st.integers(0, 3))]:
        definitions[name] = draw(schemas(tuple(definitions)))
    root = draw(root_objects(tuple(definitions)))
    return {**root, "$defs": definitions} if definitions else root


def nodes(schema: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Yield the schemas inside a schema with the way to each; data is none."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for key, value in schema.items():
        if key in MAPS:
            for name, inner in value.items():
                yield from nodes(inner, (*path, key, name))
        elif key in LISTS:
            for number, inner in enumerate(value):
                yield from nodes(inner, (*path, key, number))
        elif key in SINGLE:
            yield from nodes(value, (*path, key))


def resolved(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return the schema with its references followed, said in another way than in the code under test."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return {**resolved(target, definitions), **beside}
    whole: dict[str, Any] = {}
    for key, value in schema.items():
        if key in MAPS:
            whole[key] = {name: resolved(inner, definitions) for name, inner in value.items()}
        elif key in LISTS:
            whole[key] = [resolved(inner, definitions) for inner in value]
        elif key in SINGLE:
            whole[key] = resolved(value, definitions)
        elif key not in DEFINITIONS:
            whole[key] = value
    return whole


def has_choices(schema: dict[str, Any]) -> bool:
    return (
        bool(schema.keys() & set(LISTS) or isinstance(schema.get("type"), list) or (None in schema.get("enum", ())))
        or schema.get("type") == "null"
    )


def text(value: Any) -> str:
    # 1 == True == 1.0; as text they differ.
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


@given(roots())
def test_references_are_inlined_and_nothing_else_is_changed(schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    assert text(inline_references(schema)) == text(resolved(schema, schema.get("$defs", {})))
    assert text(schema) == text(before)


@given(roots())
@example({"type": "object", "properties": {"a": {"type": ["null"]}}})
@example({"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}]}}})
@example({"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": ["null"]}]}}})
def test_what_a_model_may_refuse_is_gone(schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    simple = simplify(schema)
    assert text(schema) == text(before)
    for path, node in nodes(simple):
        assert "$ref" not in node, path
        assert not set(DEFINITIONS) & set(node), path
        assert isinstance(node.get("properties", {}), dict), path
        if node.get("type") == "object":
            assert "properties" in node, path
        assert not set(LISTS) & set(node), path
        assert not isinstance(node.get("type"), list), path
        for values in (one for one in [node.get("enum")] if one is not None and len(one) > 1):
            assert None not in values, path
    # All properties keep their names, and a second time changes nothing.
    expected = resolved(schema, schema.get("$defs", {}))
    assert set(simple["properties"]) == set(expected.get("properties", {}))
    assert simple.get("required") == expected.get("required")
    assert text(simplify(simple)) == text(simple)


@given(roots())
def test_a_schema_without_choices_keeps_every_word(schema: dict[str, Any]) -> None:
    expected = resolved(schema, schema.get("$defs", {}))
    if any(has_choices(node) for _, node in nodes(expected)):
        return
    simple = simplify(schema)
    for path, node in nodes(expected):
        ours: Any = simple
        for step in path:
            ours = ours[step]
        for word in TOLD:
            if (word in node and not isinstance(node[word], dict)) or (word in DATA and word in node):
                assert text(ours[word]) == text(node[word]), (path, word)
        assert set(node) <= set(ours), path
        assert set(ours) - set(node) <= {"properties"}, path


@given(schemas().filter(lambda schema: "anyOf" not in schema and "type" in schema and "default" not in schema), limits)
def test_an_optional_part_is_the_part_itself(part: dict[str, Any], beside: dict[str, Any]) -> None:
    if not isinstance(part["type"], str) or part["type"] == "null":
        return
    optional = {"anyOf": [part, {"type": "null"}], **beside}
    simple = simplify({"type": "object", "properties": {"a": optional}})["properties"]["a"]
    if beside.get("default", ...) is None:
        del beside["default"]  # "absent" is what a part that is not required may be
    alone = simplify({"type": "object", "properties": {"a": {**part, **beside}}})["properties"]["a"]
    assert text(simple) == text(alone)


@settings(max_examples=100)
@given(st.one_of(roots(), schemas(), schemas(("A", "Missing"))))
@example({"type": "object", "properties": {"anything": {"title": "Anything"}}})
@example({"type": "object", "properties": {"anything": True, "nothing": False}})
@example({"type": "object", "properties": {"several": {"type": ["string", "integer"], "default": None}}})
@example({"items": [{"const": None}, True], "additionalItems": False})
def test_a_function_sends_its_schema_as_written(schema: dict[str, Any]) -> None:
    function = Function.model_validate({"name": "f", "parameters": schema})
    specification = ChatFunctionSpecification.model_validate({"name": "f", "parameters": schema})
    for model in (function, specification, ChatFunctionSpecification.model_validate(function)):
        sent = json.loads(model.model_dump_json(by_alias=True, exclude_none=True))["parameters"]
        assert text(sent) == text(schema)


@given(schemas(), st.sampled_from(["#/$defs/Missing", "#/definitions/A", "https://host/s", "other.json#/A", "#x"]))
def test_references_that_lead_nowhere_are_refused(part: dict[str, Any], reference: str) -> None:
    schema = {"type": "object", "properties": {"a": part, "b": {"items": {"$ref": reference}}}}
    with pytest.raises(ValueError, match="refers to"):
        simplify(schema)


@given(schemas(), st.integers(1, 3))
def test_references_in_a_circle_stay_or_are_cut(part: dict[str, Any], length: int) -> None:
    definitions = {
        f"D{number}": {"anyOf": [part, {"$ref": f"#/$defs/D{(number + 1) % length}"}]} for number in range(length)
    }
    schema = {"$ref": "#/$defs/D0", "$defs": definitions}
    assert text(inline_references(schema)) == text(schema)
    assert "$ref" not in [key for _, node in nodes(simplify(schema)) for key in node]
