"""Descriptions of functions: made of OpenAPI, and checked by the service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gigachat import models
from gigachat._engine.transport import Stage
from tests.unit.world import Answer, World, lost

FUNCTION = {
    "name": "weather",
    "description": "Погода",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
VALID = {
    "status": 200,
    "message": "Function is valid",
    "json_ai_rules_version": "1.0.5",
    "warnings": [{"description": "few_shot_examples are missing", "schema_location": "(root)"}],
}


def test_converting(world: World) -> None:
    world.answers += [lost(Stage.WAITING), Answer({"functions": [FUNCTION]}, headers={"x-request-id": "r"})]
    answer = world.do(world.client(), "openapi_function_convert", "openapi: 3.0.0 # Погода")
    assert isinstance(answer, models.OpenApiFunctions)
    assert [function.name for function in answer.functions] == ["weather"]
    assert answer.functions[0].model_dump(exclude_unset=True, by_alias=True) == FUNCTION
    assert answer.x_headers is not None
    assert answer.x_headers["x-request-id"] == "r"
    request = world.api_requests[-1]
    assert request.url.endswith("/functions/convert")
    assert request.content == "openapi: 3.0.0 # Погода".encode()
    assert "Content-Type" not in request.headers


@pytest.mark.parametrize(
    ("document", "kind"), [("", ValueError), (" \n", ValueError), ({}, TypeError), (b"openapi:", TypeError)]
)
def test_what_is_no_document(world: World, document: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="OpenAPI document"):
        world.do(world.client(), "openapi_function_convert", document)
    assert world.requests == []


@pytest.mark.parametrize("function", [FUNCTION, models.Function.model_validate(FUNCTION)], ids=["mapping", "model"])
def test_validating(world: World, function: Any) -> None:
    world.answers += [lost(Stage.WAITING), Answer(VALID)]
    answer = world.do(world.client(), "validate_function", function)
    assert isinstance(answer, models.FunctionValidationResult)
    assert answer.valid
    assert (answer.status, answer.message, answer.json_ai_rules_version) == (200, "Function is valid", "1.0.5")
    assert answer.warnings is not None
    assert [(issue.description, issue.schema_location) for issue in answer.warnings] == [
        ("few_shot_examples are missing", "(root)")
    ]
    request = world.api_requests[-1]
    assert request.url.endswith("/functions/validate")
    assert json.loads(request.content or b"") == FUNCTION


def test_a_wrong_description_is_sent_as_it_is(world: World) -> None:
    errors = [{"description": "name is required", "schema_location": "(root)"}]
    world.answers.append(Answer({"status": 200, "message": "Incorrect function syntax", "errors": errors}))
    answer = world.do(world.client(), "validate_function", {"parameters": {"type": 7}})
    assert json.loads(world.api_requests[0].content or b"") == {"parameters": {"type": 7}}
    assert not answer.valid
    assert answer.errors[0].description == "name is required"
    assert answer.warnings is None


@pytest.mark.parametrize("function", ["weather", None, [FUNCTION]])
def test_what_is_no_description(world: World, function: Any) -> None:
    with pytest.raises(TypeError, match="a function is"):
        world.do(world.client(), "validate_function", function)
    assert world.requests == []
