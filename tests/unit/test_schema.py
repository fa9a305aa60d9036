"""JSON Schema: sent as written, inlined where it is made of a model, flat where that is asked for."""

from __future__ import annotations

import contextlib
import copy
import enum
import json
import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from gigachat.exceptions import UnprocessableEntityError
from gigachat.models import ChatFunctionSpecification, Function, FunctionParameters, FunctionParametersProperty
from gigachat.schema import inline_references, simplify
from tests.support.growth import is_linear
from tests.unit.world import Answer, World


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
        "either": {"title": "Either", "type": "integer"},
        "either_or_none": {"title": "Either Or None", "type": "integer"},
        "anything": {"title": "Anything"},
    },
    "required": ["mode", "count", "place", "places", "either", "anything"],
}


def test_the_schema_of_a_pydantic_model_keeps_its_meaning() -> None:
    schema = Order.model_json_schema()
    before = copy.deepcopy(schema)
    assert simplify(schema) == ORDER
    assert schema == before


@pytest.mark.parametrize(
    ("schema", "simple"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}, {"type": "string"}),
        ({"oneOf": [{"type": "null"}, {"type": "string", "maxLength": 3}]}, {"type": "string", "maxLength": 3}),
        ({"type": ["string", "null"], "default": None}, {"type": "string"}),
        ({"type": ["string", "integer", "null"]}, {"type": "string"}),
        ({"anyOf": [{"type": ["string", "null"]}, {"type": "integer"}], "default": None}, {"type": "string"}),
        ({"enum": ["a", None, 1]}, {"enum": ["a", 1]}),
        ({"type": ["string", "integer"], "enum": ["a", 1]}, {"enum": ["a", 1]}),
        ({"type": "string", "nullable": True}, {"type": "string"}),
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
    whole = simplify({"type": "object", "properties": {"a": schema}, "required": ["a"]})
    assert whole == {"type": "object", "properties": {"a": simple}, "required": ["a"]}


def test_a_null_default_without_optional_is_a_value() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": None}}}
    assert simplify(schema) == schema


def test_every_object_has_properties() -> None:
    bare = {"type": "object"}
    schema = {
        "type": "object",
        "properties": {"a": bare, "b": {"type": "array", "items": bare}, "c": {"not": bare}},
        "additionalProperties": bare,
    }
    full = {"type": "object", "properties": {}}
    assert simplify(schema) == {
        "type": "object",
        "properties": {"a": full, "b": {"type": "array", "items": full}, "c": {"not": full}},
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
    assert simplify(schema) == {
        "type": "object",
        "properties": {name: simple, "deep": {"type": "object", "properties": {name: simple}}},
        "required": [name],
    }


@pytest.mark.parametrize("word", ["enum", "const", "default", "examples", "example"])
def test_data_that_looks_like_a_schema_is_data(word: str) -> None:
    value: Any = [{"$ref": "#/nowhere", "anyOf": [{"type": "null"}], "type": "object"}]
    schema = {"type": "object", "properties": {"a": {word: value}}}
    assert simplify(schema) == schema


@pytest.mark.parametrize(
    "reference",
    [
        "#/$defs/A",
        "#/definitions/A",
        "#/$defs/with~1slash",
        "#/$defs/with~0tilde",
        "#/properties/first",
        "#/properties/third/anyOf/0",
        "#/$defs/Record%3Cstring%2Cunknown%3E",
        "#/$defs/%D0%97%D0%B0%D0%BA%D0%B0%D0%B7",
    ],
)
def test_local_references_are_followed(reference: str) -> None:
    target = {"type": "string", "description": "target"}
    schema = {
        "type": "object",
        "properties": {
            "first": target,
            "second": {"$ref": reference, "description": "here"},
            "third": {"anyOf": [target, {"type": "integer"}]},
        },
        "$defs": dict.fromkeys(("A", "with/slash", "with~tilde", "Record<string,unknown>", "Заказ"), target),
        "definitions": {"A": target},
    }
    assert inline_references(schema)["properties"]["second"] == {"type": "string", "description": "here"}
    assert simplify(schema)["properties"]["second"] == {"type": "string", "description": "here"}


def test_what_stands_beside_a_reference_is_added_to_it_not_put_in_its_place() -> None:
    schema = {
        "$ref": "#/$defs/Base",
        "properties": {"mine": {"type": "integer"}},
        "required": ["mine"],
        "$defs": {"Base": {"type": "object", "properties": {"theirs": {"type": "string"}}, "required": ["theirs"]}},
    }
    sent = json.dumps(simplify(schema))
    assert "theirs" in sent
    assert "mine" in sent


def test_definitions_are_dropped_wherever_they_stand() -> None:
    inner = {"type": "object", "properties": {}, "$defs": {"X": {"type": "string"}}}
    schema = {"type": "object", "properties": {"a": inner, "b": {"$ref": "#/properties/a/$defs/X"}}}
    assert simplify(schema)["properties"] == {
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
        ("#/required/1", "does not define"),
        ("#anchor", "does not define"),
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
        simplify(schema)
    assert repr(reference) in str(raised.value)


class Node(BaseModel):
    place: Place
    children: list[Node] = []


NODE = Node.model_json_schema()


def test_a_schema_that_refers_to_itself_keeps_those_references() -> None:
    inlined = inline_references({"type": "object", "properties": {"a": {"$ref": "#/$defs/Node"}}, **DEFINED})
    node = inlined["$defs"]["Node"]["properties"]
    assert inlined["properties"] == {"a": {"$ref": "#/$defs/Node"}}
    assert inlined["$defs"].keys() == {"Node"}
    assert node["place"]["properties"].keys() == {"city", "country"}
    assert node["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert inline_references(NODE)["$ref"] == "#/$defs/Node"


DEFINED = {"$defs": NODE["$defs"]}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"child": {"$ref": "#"}}},
        {"properties": {"a": {"$ref": "#/properties/b"}, "b": {"items": {"$ref": "#/properties/a"}}}},
        {
            "properties": {
                "a": {"$defs": {"N": {"items": {"$ref": "#/properties/a/$defs/N"}}}},
                "b": {"$ref": "#/properties/a/$defs/N"},
            }
        },
        {"$ref": "#/definitions/A", "definitions": {"A": {"items": {"$ref": "#/definitions/A"}}}},
    ],
)
def test_references_in_a_circle_stay_where_they_lead(schema: dict[str, Any]) -> None:
    assert inline_references(schema) == schema
    assert "$ref" not in json.dumps(simplify(schema))


class Counted(str):
    """A text that counts how often it is looked up."""

    lookups = 0

    def __hash__(self) -> int:
        Counted.lookups += 1
        return super().__hash__()

    __eq__ = str.__eq__


@pytest.mark.parametrize("last", [{"type": "string"}, {"$ref": "#/$defs/A0"}], ids=["open", "circle"])
def test_the_work_of_inlining_grows_with_the_number_of_references(last: dict[str, Any]) -> None:
    def lookups(number: int) -> int:
        chain = {f"A{one}": {"items": {"$ref": Counted(f"#/$defs/A{one + 1}")}} for one in range(number)}
        Counted.lookups = 0
        with contextlib.suppress(ValueError):  # the open chain would be nested too deeply
            inline_references({"$ref": Counted("#/$defs/A0"), "$defs": {**chain, f"A{number}": last}})
        return Counted.lookups

    assert lookups(2000) < 2.5 * lookups(1000)


def test_of_a_reference_inside_its_target_the_type_is_left() -> None:
    node = simplify(NODE)
    assert node["properties"]["children"]["items"] == {"type": "object", "title": "Node", "properties": {}}
    assert simplify({"$ref": "#"}) == {}
    assert simplify({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}) == {}


def test_references_cannot_make_a_schema_endless() -> None:
    definitions = {f"A{number}": {"items": [{"$ref": f"#/$defs/A{number + 1}"}] * 2} for number in range(50)}
    schema = {"$ref": "#/$defs/A0", "$defs": {**definitions, "A50": {}}}
    for change in (simplify, inline_references):
        with pytest.raises(ValueError, match="more than 100000 parts"):
            change(schema)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.mark.parametrize("change", [simplify, inline_references])
def test_a_schema_that_contains_itself_is_refused(change: Callable[[Any], Any]) -> None:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"a": schema}
    with pytest.raises(ValueError, match=r"more than 100000 parts|deeply"):
        change(schema)


@pytest.mark.parametrize("change", [simplify, inline_references])
@pytest.mark.parametrize("value", [None, 5, "text", [], Cat], ids=str)
def test_what_is_no_mapping_is_no_schema(change: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^a JSON Schema is a mapping, .*, not {type(value).__name__}$"):
        change(value)


def test_keywords_of_another_type_are_no_reason_to_fail() -> None:
    one, other = ({"type": "object", "properties": {name: {}}, "required": 5} for name in "ab")
    assert simplify({"anyOf": [one, other]}) == {**one, "properties": {"a": {}, "b": {}}}


def test_true_is_not_one_among_constants() -> None:
    assert simplify({"prefixItems": [{"const": 1}, {"const": True}]}) == {"items": {"enum": [1, True]}}


LARGE: dict[str, Callable[[int], Any]] = {
    "required": lambda many: {
        "allOf": [{"required": [f"{part}.{n}" for n in range(many // 10)]} for part in range(10)]
    },
    "allOf": lambda many: {"allOf": [{"properties": {str(n): {"const": n}}} for n in range(many)]},
    "anyOf": lambda many: {"anyOf": [{"type": "object", "properties": {"a": {"const": n}}} for n in range(many)]},
    "a tuple": lambda many: {"prefixItems": [{"const": n} for n in range(many)]},
}


@pytest.mark.slow
@pytest.mark.parametrize("made", LARGE.values(), ids=LARGE)
def test_a_schema_is_flattened_in_linear_time(made: Callable[[int], Any]) -> None:
    assert is_linear(simplify, made, 20_000)


@pytest.mark.slow
def test_references_in_a_chain_are_followed_in_linear_time() -> None:
    def chain(many: int) -> dict[str, Any]:
        definitions = {str(n): {"items": {"$ref": f"#/$defs/{n + 1}"}} for n in range(many)}
        return {"$ref": "#/$defs/0", "$defs": {**definitions, str(many): {}}}

    def refused(schema: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="deeply"):
            inline_references(schema)

    assert is_linear(refused, chain, 8_000)


def test_no_discriminator_leads_into_definitions_that_are_gone() -> None:
    inlined = inline_references(Owner.model_json_schema())
    assert [one["title"] for one in inlined["properties"]["pet"]["oneOf"]] == ["Cat", "Dog"]
    assert "#/$defs/" not in json.dumps(inlined)


def test_objects_to_choose_from_become_one() -> None:
    assert simplify(Owner.model_json_schema())["properties"]["pet"] == {
        "title": "Pet",
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": ["cat", "dog"]},
            "lives": {"title": "Lives", "type": "integer"},
        },
        "required": ["kind"],
    }


@pytest.mark.parametrize(
    ("schema", "flat"),
    [
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"type": "integer"}),
        ({"oneOf": [{"const": 1, "title": "one"}, {"enum": [2, 3]}]}, {"enum": [1, 2, 3]}),
        ({"anyOf": [True, {"type": "string"}], "title": "T"}, {"title": "T"}),
        ({"anyOf": [False, {"type": "string"}]}, {"type": "string"}),
        (
            {"allOf": [{"type": "string", "minLength": 1}, {"minLength": 2}, True], "description": "d"},
            {"type": "string", "minLength": 2, "description": "d"},
        ),
        ({"allOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}]}, {"type": "string"}),
        (
            {"type": "array", "items": [{"type": "number"}, {"type": "number"}], "additionalItems": False},
            {"type": "array", "items": {"type": "number"}},
        ),
        (
            {"prefixItems": [{"const": 1}, {"const": 2}], "items": {"const": 3}},
            {"items": {"enum": [1, 2, 3]}},
        ),
        ({"type": "array", "items": True}, {"type": "array"}),
        ({"$schema": "s", "$id": "i", "$comment": "c", "minimum": 1}, {"minimum": 1}),
        ({"anyOf": 5}, {"anyOf": 5}),
    ],
)
def test_the_flat_form(schema: dict[str, Any], flat: dict[str, Any]) -> None:
    whole = {"type": "object", "properties": {"a": schema}}
    before = copy.deepcopy(whole)
    assert simplify(whole) == {"type": "object", "properties": {"a": flat}}
    assert whole == before


def test_references_alone_are_inlined_for_structured_answers() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}}}
    inlined = inline_references({**schema, "$defs": {"A": {"type": "object"}}})
    # Optional stays: here null is a value of the answer.
    assert inlined == {"type": "object", "properties": {"a": {"anyOf": [{"type": "object"}, {"type": "null"}]}}}


def test_true_and_false_are_schemas() -> None:
    schema = {"type": "object", "properties": {"any": True, "none": False}, "additionalProperties": False}
    assert simplify(schema) == {"type": "object", "properties": {"any": {}}, "additionalProperties": False}
    assert inline_references({"properties": {"a": {"$ref": "#/$defs/any"}}, "$defs": {"any": True}}) == {
        "properties": {"a": True}
    }


def test_a_schema_nested_too_deeply_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(2000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(ValueError, match="deeply"):
        simplify({"type": "object", "properties": {"a": schema}})


def properties(**one: Any) -> dict[str, Any]:
    return {"type": "object", "properties": one}


AS_WRITTEN: dict[str, dict[str, Any]] = {
    "of a model": Order.model_json_schema(),
    "of a model that refers to itself": NODE,
    "with a discriminator": Owner.model_json_schema(),
    "empty": {},
    "null": properties(a={"const": None}, b={"default": None}, c={"enum": ["fast", None, 1]}),
    "types": {**properties(a={"type": ["string", "null"]}), "type": ["object", "null"]},
    "a tuple": properties(a={"type": "array", "items": [{"type": "number"}, True]}),
    "a tuple of 2020-12": properties(a={"prefixItems": [{"type": "number"}], "items": False}),
    "booleans": properties(a=True, b=False, c={"items": True}, d=properties(e=False)),
    "without a type": {"properties": {"a": {}, "b": {"description": ""}}},
    "without properties": {"type": "object"},
    "choices": {"oneOf": [properties(a={}), {"$ref": "#/$defs/%D0%90"}], "$defs": {"А": properties(b={})}},
    "if": {**properties(a={}), "if": {"required": ["a"]}, "then": {"minProperties": 2}, "else": False},
    "references elsewhere": properties(a={"$ref": "https://example.org/schema.json"}, b={"$ref": "#/nowhere"}),
    "words": {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "a", "$comment": "c", "x-own": [None]},
    "names": properties(type={"type": "string"}, required={}, **{"$ref": {"const": 1}, "model_config": {}}),
}


@pytest.mark.parametrize("schema", AS_WRITTEN.values(), ids=AS_WRITTEN)
def test_a_schema_is_sent_as_it_was_written(world: World, schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    given: list[Any] = [
        {"name": "f", "parameters": schema},
        Function(name="f", parameters=schema),
        Function(name="f", parameters=FunctionParameters.model_validate(schema)),
        Function.model_validate({"name": "f", "inputSchema": schema}),
        {"type": "function", "function": {"name": "f", "parameters": schema}},
    ]
    for function in (*given, ChatFunctionSpecification(name="f", parameters=schema)):
        assert _sent_v1(world, function) == {"name": "f", "parameters": schema}
        assert _sent_v2(world, function) == {"name": "f", "parameters": schema}
    assert schema == before


def _sent_v1(world: World, function: Any) -> Any:
    world.chat(world.client(), "x", functions=[function])
    (sent,) = json.loads(world.api_requests[-1].content or b"")["functions"]
    return sent


def _sent_v2(world: World, function: Any) -> Any:
    world.answers = [Answer({"messages": []})]
    world.do(world.client(), "chat.create", "x", tools=[function])
    (tool,) = json.loads(world.api_requests[-1].content or b"")["tools"]
    (sent,) = tool["functions"]["specifications"]
    return sent


def test_a_schema_reads_by_attribute() -> None:
    schema = {"properties": {"a": {"type": ["string", "null"], "minLength": 1}, "b": False}, "required": ["a"]}
    parameters = FunctionParameters.model_validate(schema)
    assert parameters.properties is not None
    a, b = parameters.properties.values()
    assert isinstance(a, FunctionParametersProperty)
    assert (a.type_, a.description, a.model_extra, b) == (["string", "null"], None, {"minLength": 1}, False)
    assert (parameters.type_, parameters.required) == (None, ["a"])
    a.description = "more"
    assert parameters.model_dump(by_alias=True)["properties"]["a"]["description"] == "more"
    assert FunctionParameters.model_validate(parameters.model_dump()) == parameters


SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
FUNCTION = {"name": "find", "description": "Find a note", "parameters": SCHEMA}
ABOUT = {"name": "find", "description": "Find a note"}


class Tool(BaseModel):
    """A tool as the package of MCP has it."""

    name: str
    description: str
    inputSchema: dict[str, Any]
    annotations: dict[str, Any] | None = None


@pytest.mark.parametrize(
    "tool",
    [
        {**ABOUT, "inputSchema": SCHEMA, "title": "Find", "annotations": {"readOnlyHint": True}},
        Tool(name="find", description="Find a note", inputSchema=SCHEMA),
        {**ABOUT, "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}},
        {**ABOUT, "input_schema": SCHEMA, "type": "custom"},
        {"type": "function", "function": {**FUNCTION, "strict": True}},
        {"type": "function", **FUNCTION, "strict": None},
        {**ABOUT, **SCHEMA},
        {**SCHEMA, "title": "find", "description": "Find a note"},
        MappingProxyType(FUNCTION),
    ],
)
def test_tools_in_the_shapes_of_others(world: World, tool: Any) -> None:
    assert _sent_v1(world, tool) == FUNCTION
    assert _sent_v2(world, tool) == FUNCTION
    world.chat(world.client(), {"messages": [{"role": "user", "content": "x"}], "functions": [tool]})
    assert json.loads(world.api_requests[-1].content or b"")["functions"] == [FUNCTION]


def test_the_result_of_a_tool_is_read() -> None:
    function = Function.model_validate({"name": "f", "inputSchema": {}, "outputSchema": SCHEMA})
    assert function.return_parameters == SCHEMA


def test_no_keyword_of_a_bare_schema_is_lost(world: World) -> None:
    schema = {**Order.model_json_schema(), "not": {"required": ["note"]}, "$schema": "s"}
    parameters = {key: value for key, value in schema.items() if key != "title"}
    assert _sent_v1(world, schema) == _sent_v2(world, schema) == {"name": "Order", "parameters": parameters}
    named = {"name": "order", "$ref": "#/$defs/Node", **DEFINED}
    assert _sent_v1(world, named)["parameters"] == NODE


@pytest.mark.parametrize("closed", [False, True])
def test_parameters_nested_too_deeply_are_refused_in_one_line(world: World, closed: bool) -> None:
    schema = properties()
    nested = schema
    for _ in range(300):
        nested = properties(a=nested)
    schema["properties"]["a"] = schema if closed else nested
    with pytest.raises(ValueError, match=r"^functions(\[0\])? is nested too deeply, or contains itself$"):
        _sent_v1(world, {"name": "f", "parameters": schema})


@pytest.mark.parametrize("part", [1, "true", None, ["a"]])
def test_what_is_no_schema_is_not_read_as_one(world: World, part: Any) -> None:
    for parameters in (properties(a=part), properties(a={"properties": {"b": part}})):
        with pytest.raises(ValueError, match=r"functions\[0\]\.parameters\.properties\.a"):
            _sent_v1(world, {"name": "f", "parameters": parameters})


@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ({**ABOUT, "args_schema": SCHEMA}, "the schema of function 'find' is in 'args_schema': name it 'parameters'"),
        ({"type": "web_search_20250305", "name": "web_search"}, "'web_search_20250305' is no type of JSON Schema"),
        (Order, "Order.model_json_schema()"),
    ],
)
def test_other_shapes_are_refused_in_one_line(world: World, tool: Any, text: str) -> None:
    for send in (_sent_v1, _sent_v2):
        with pytest.raises(ValueError, match=re.escape(text)) as raised:
            send(world, tool)
        assert "\n" not in str(raised.value)
    assert world.requests == []


@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ({"type": "web_search_preview"}, "a tool of type 'web_search_preview' is of another API"),
        ({"functionDeclarations": [FUNCTION]}, "the options of tool 'functionDeclarations' must be an object"),
        ({"toolSpec": {**ABOUT, "inputSchema": {"json": SCHEMA}}}, "the tool 'toolSpec' is of another API"),
    ],
)
def test_other_tools_are_refused_in_one_line(world: World, tool: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _sent_v2(world, tool)
    assert world.requests == []


class Task(BaseModel):
    name: str
    run: Callable[[int], int]


@pytest.mark.parametrize("method", ["chat_parse", "chat.parse"])
def test_a_class_without_a_schema_is_named(world: World, method: str) -> None:
    with pytest.raises(ValueError, match="Task has no JSON Schema") as raised:
        world.do(world.client(), method, "x", response_format=Task)
    assert type(raised.value) is ValueError
    assert "\n" not in str(raised.value)
    assert world.requests == []


@pytest.mark.parametrize(
    "message",
    ["Invalid params: the JSON Schema of f", "functions[0].parameters: anyOf is not supported", "unknown keyword $ref"],
)
def test_the_advice_on_a_refused_schema_names_the_flat_form(world: World, message: str) -> None:
    world.answers = [Answer({"status": 422, "message": message}, 422)]
    with pytest.raises(UnprocessableEntityError, match=r"gigachat\.schema\.simplify\(schema\)"):
        world.chat(world.client(), "x")
