"""Does a sample keep to its schema, whatever valid JSON Schema it is, and does its work have a bound?"""

from __future__ import annotations

from typing import Any

import pytest

from gigachat.server.engines.sample_json import Unfilled, sample
from tests.server.api import Api

TEXT = {"type": "string", "maxLength": 5}
NODE = {"properties": {"title": TEXT, "nodes": {"type": "array", "items": {"$ref": "#/$defs/Node"}}}}


def properties(**one: Any) -> dict[str, Any]:
    return {"type": "object", "properties": one}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (properties(a={"type": "array", "items": [{"type": "number"}, TEXT]}), {"a": [1, "words"]}),
        (properties(a={"items": [{"const": 1}], "additionalItems": {"const": 2}, "minItems": 3}), {"a": [1, 2, 2]}),
        (properties(a={"type": "array", "items": False}), {"a": []}),
        (properties(a={"type": "array", "items": True}), {"a": ["words"]}),
        (properties(old=False, new=TEXT), {"new": "words"}),
        (properties(a=True), {"a": "words"}),
        (properties(a={"anyOf": [TEXT]}, b={"$ref": "#/properties/a/anyOf/0"}), {"a": "words", "b": "words"}),
        ({**properties(a={"$ref": "#/$defs/%D0%90%3C"}), "$defs": {"А<": {"const": 5}}}, {"a": 5}),
        ({**properties(a={"$ref": "#/$defs/Any"}), "$defs": {"Any": True}}, {"a": "words"}),
        (
            {**properties(root={"$ref": "#/$defs/Node"}), "$defs": {"Node": NODE}},
            {"root": {"title": "words", "nodes": []}},
        ),
        ({"$ref": "#/definitions/A", "definitions": {"A": properties(a={"const": None})}}, {"a": None}),
        (properties(a={"type": ["null", "integer"]}, b={"enum": ["fast", None, 1]}), {"a": 1, "b": "fast"}),
    ],
)
def test_arguments_fit_their_schema(api: Api, schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sample(schema, "words") == expected
    function = {"name": "words", "parameters": schema}
    answer = api.chat({"role": "user", "content": "words"}, functions=[function], function_call={"name": "words"})
    assert answer.json()["choices"][0]["message"]["function_call"]["arguments"] == expected


def test_values_without_end_are_refused() -> None:
    with pytest.raises(Unfilled, match="refers to itself without end"):
        sample({"properties": {"a": {"$ref": "#"}}, "required": ["a"]})


MANY = 100_000


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 9000, "items": {f"x-{number}": 0 for number in range(MANY)}},
        {"type": "array", "minItems": 900, "items": {"required": ["a"] * MANY}},
    ],
    ids=["keywords", "required"],
)
def test_work_has_a_bound(schema: dict[str, Any]) -> None:
    with pytest.raises(Unfilled, match="needs more than 10000"):
        sample(schema, "words")
