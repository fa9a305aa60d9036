"""JSON Schema on its way into a function: simpler for the service, the same in meaning."""

from __future__ import annotations

import copy
import enum
import json
from typing import Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from gigachat.models import Function
from gigachat.schema import inline_references, parameters_schema
from tests.unit.world import World


class Mode(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 10


class Place(BaseModel):
    """Where it is."""

    city: str = Field(min_length=1, max_length=50, pattern="^[А-Я]")
    country: Literal["ru", "by"] = "ru"


class Order(BaseModel):
    mode: Mode
    size: Size = Size.SMALL
    count: int = Field(ge=1, le=10, description="How many")
    place: Place
    other: Place | None = Field(default=None, description="Another place")
    places: list[Place] = Field(max_length=3)
    by_name: dict[str, Place] = {}
    note: Optional[str] = None  # noqa: UP045 - as users write it
    either: int | str
    either_or_none: int | str | None = None
    anything: Any


PLACE = {
    "type": "object",
    "title": "Place",
    "description": "Where it is.",
    "properties": {
        "city": {"type": "string", "title": "City", "minLength": 1, "maxLength": 50, "pattern": "^[А-Я]"},
        "country": {"type": "string", "title": "Country", "enum": ["ru", "by"], "default": "ru"},
    },
    "required": ["city"],
}
ORDER: dict[str, Any] = {
    "type": "object",
    "title": "Order",
    "properties": {
        "mode": {"title": "Mode", "type": "string", "enum": ["red", "blue"]},
        "size": {"title": "Size", "type": "integer", "enum": [1, 10], "default": 1},
        "count": {"title": "Count", "type": "integer", "minimum": 1, "maximum": 10, "description": "How many"},
        "place": PLACE,
        "other": {**PLACE, "description": "Another place"},
        "places": {"title": "Places", "type": "array", "items": PLACE, "maxItems": 3},
        "by_name": {
            "title": "By Name",
            "type": "object",
            "additionalProperties": PLACE,
            "default": {},
            "properties": {},
        },
        "note": {"title": "Note", "type": "string"},
        "either": {"title": "Either", "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "either_or_none": {"title": "Either Or None", "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "anything": {"title": "Anything"},
    },
    "required": ["mode", "count", "place", "places", "either", "anything"],
}


def test_the_schema_of_a_pydantic_model_keeps_its_meaning() -> None:
    schema = Order.model_json_schema()
    before = copy.deepcopy(schema)
    assert parameters_schema(schema) == ORDER
    assert schema == before


def test_a_function_made_of_a_model_sends_that_schema(world: World) -> None:
    function = Function.model_validate({"name": "order", "parameters": Order.model_json_schema()})
    world.chat(world.client(), "x", functions=[function])
    content = world.api_requests[0].content
    assert content is not None
    assert json.loads(content)["functions"] == [{"name": "order", "parameters": ORDER}]


@pytest.mark.parametrize(
    ("schema", "simple"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}, {"type": "string"}),
        ({"oneOf": [{"type": "null"}, {"type": "string", "maxLength": 3}]}, {"type": "string", "maxLength": 3}),
        ({"type": ["string", "null"], "default": None}, {"type": "string"}),
        ({"type": ["string", "integer", "null"]}, {"type": ["string", "integer"]}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}], "default": "a"}, {"type": "string", "default": "a"}),
        (
            {"anyOf": [{"type": "string", "description": "inner"}, {"type": "null"}], "description": "outer"},
            {"type": "string", "description": "outer"},
        ),
        ({"anyOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "null"}]}, {"type": "string"}),
        ({"type": "null"}, {"type": "null"}),
        # What is null alone stays so: an empty choice would permit nothing.
        ({"type": ["null"]}, {"type": "null"}),
        ({"anyOf": [{"type": "null"}]}, {"type": "null"}),
    ],
)
def test_optional_becomes_its_type(schema: dict[str, Any], simple: dict[str, Any]) -> None:
    whole = parameters_schema({"type": "object", "properties": {"a": schema}, "required": ["a"]})
    assert whole == {"type": "object", "properties": {"a": simple}, "required": ["a"]}


def test_a_null_default_without_optional_is_a_value() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": None}}}
    assert parameters_schema(schema) == schema


def test_every_object_has_properties() -> None:
    bare = {"type": "object"}
    schema = {
        "type": "object",
        "properties": {"a": bare, "b": {"type": "array", "items": bare}, "c": {"anyOf": [bare, {"type": "string"}]}},
        "additionalProperties": bare,
    }
    full = {"type": "object", "properties": {}}
    assert parameters_schema(schema) == {
        "type": "object",
        "properties": {"a": full, "b": {"type": "array", "items": full}, "c": {"anyOf": [full, {"type": "string"}]}},
        "additionalProperties": full,
    }


@pytest.mark.parametrize(
    "name", ["enum", "const", "default", "examples", "$ref", "$defs", "properties", "anyOf", "type"]
)
def test_a_property_may_be_called_like_a_word_of_the_schema(name: str) -> None:
    inner = {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}
    schema = {
        "type": "object",
        "properties": {name: inner, "deep": {"type": "object", "properties": {name: inner}}},
        "required": [name],
        "$defs": {"A": {"type": "integer", "minimum": 1}},
    }
    simple = {"type": "integer", "minimum": 1}
    assert parameters_schema(schema) == {
        "type": "object",
        "properties": {name: simple, "deep": {"type": "object", "properties": {name: simple}}},
        "required": [name],
    }


@pytest.mark.parametrize("word", ["enum", "const", "default", "examples", "example"])
def test_data_that_looks_like_a_schema_is_data(word: str) -> None:
    value: Any = [{"$ref": "#/nowhere", "anyOf": [{"type": "null"}], "type": "object"}]
    schema = {"type": "object", "properties": {"a": {word: value}}}
    assert parameters_schema(schema) == schema


@pytest.mark.parametrize(
    "reference",
    [
        "#/$defs/A",
        "#/definitions/A",
        "#/$defs/with~1slash",
        "#/$defs/with~0tilde",
        "#/properties/first",
    ],
)
def test_local_references_are_followed(reference: str) -> None:
    target = {"type": "string", "description": "target"}
    schema = {
        "type": "object",
        "properties": {"first": target, "second": {"$ref": reference, "description": "here"}},
        "$defs": {"A": target, "with/slash": target, "with~tilde": target},
        "definitions": {"A": target},
    }
    assert parameters_schema(schema) == {
        "type": "object",
        "properties": {"first": target, "second": {"type": "string", "description": "here"}},
    }


def test_what_stands_beside_a_reference_is_added_to_it_not_put_in_its_place() -> None:
    schema = {
        "$ref": "#/$defs/Base",
        "properties": {"mine": {"type": "integer"}},
        "required": ["mine"],
        "$defs": {"Base": {"type": "object", "properties": {"theirs": {"type": "string"}}, "required": ["theirs"]}},
    }
    sent = json.dumps(parameters_schema(schema))
    assert "theirs" in sent
    assert "mine" in sent


def test_definitions_are_dropped_wherever_they_stand() -> None:
    inner = {"type": "object", "properties": {}, "$defs": {"X": {"type": "string"}}}
    schema = {"type": "object", "properties": {"a": inner, "b": {"$ref": "#/properties/a/$defs/X"}}}
    assert parameters_schema(schema)["properties"] == {
        "a": {"type": "object", "properties": {}},
        "b": {"type": "string"},
    }


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("#/$defs/Missing", "does not define"),
        ("#/$defs/A/properties/missing", "does not define"),
        ("https://example.org/schema.json", "outside itself"),
        ("other.json#/A", "outside itself"),
        ("#/required", "not a schema"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused_by_name(reference: str, says: str) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": reference}},
        "required": ["a"],
        "$defs": {"A": {"type": "object", "properties": {}}},
    }
    with pytest.raises(ValueError, match=says) as raised:
        parameters_schema(schema)
    assert repr(reference) in str(raised.value)


class Node(BaseModel):
    children: list[Node] = []


def test_a_schema_that_refers_to_itself_is_refused_before_any_request(world: World) -> None:
    with pytest.raises(ValueError, match="refers to itself"):
        parameters_schema(Node.model_json_schema())
    function = {"name": "tree", "parameters": Node.model_json_schema()}
    with pytest.raises(ValueError, match="refers to itself"):
        world.chat(world.client(), "x", functions=[function])
    assert world.requests == []


def test_references_alone_are_inlined_for_structured_answers() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}}}
    inlined = inline_references({**schema, "$defs": {"A": {"type": "object"}}})
    # Optional stays: here null is a value of the answer.
    assert inlined == {"type": "object", "properties": {"a": {"anyOf": [{"type": "object"}, {"type": "null"}]}}}


def test_true_and_false_are_schemas() -> None:
    schema = {"type": "object", "properties": {"any": True}, "additionalProperties": False}
    assert parameters_schema(schema) == {"type": "object", "properties": {"any": {}}, "additionalProperties": False}


def test_a_schema_nested_too_deeply_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(2000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(ValueError, match="deeply"):
        parameters_schema({"type": "object", "properties": {"a": schema}})


def test_null_as_a_value_in_a_schema_is_sent(world: World) -> None:
    parameters = {"type": "object", "properties": {"a": {"const": None}}}
    world.chat(world.client(), "x", functions=[{"name": "f", "parameters": parameters}])
    assert json.loads(world.requests[-1].content or b"")["functions"][0]["parameters"] == parameters
