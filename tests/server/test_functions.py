"""Descriptions of functions, checked and converted by the local server, over a real socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.api import SYNTAX, WEATHER, Api

if TYPE_CHECKING:
    pass


# Validation

COMPLETE = {
    **WEATHER,
    "few_shot_examples": [{"request": "weather in Псков", "params": {"city": "Псков"}}],
    "return_parameters": {"type": "object", "properties": {"t": {"type": "number"}}},
}


def validated(api: Api, function: Any) -> dict[str, Any]:
    answer = api.http.post("/functions/validate", json=function)
    assert answer.status_code == 200
    verdict: dict[str, Any] = answer.json()
    assert verdict.pop("status") == 200
    assert verdict.pop("json_ai_rules_version") == "1.0.5"
    return verdict


def finding(description: str, location: str = "(root)") -> dict[str, str]:
    return {"description": description, "schema_location": location}


def test_a_valid_function(api: Api) -> None:
    assert validated(api, COMPLETE) == {"message": "Function is valid"}
    assert validated(api, WEATHER) == {
        "message": "Function is valid",
        "warnings": [finding("few_shot_examples are missing"), finding("return_parameters are missing")],
    }
    whole = api.http.post("/functions/validate", json=WEATHER).json()
    assert list(whole) == ["status", "message", "json_ai_rules_version", "warnings"]
    bare = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    assert finding("description is missing") in validated(api, bare)["warnings"]


def test_the_documented_error(api: Api) -> None:
    nameless = {name: value for name, value in COMPLETE.items() if name != "name"}
    answer = api.http.post("/functions/validate", json=nameless)
    assert answer.json() == {
        "status": 200,
        "message": "Incorrect function syntax",
        "json_ai_rules_version": "1.0.5",
        "errors": [{"description": "name is required", "schema_location": "(root)"}],
    }
    assert list(answer.json()) == ["status", "message", "json_ai_rules_version", "errors"]


NAME = finding(r"Does not match pattern '^[A-Za-z_.\-][A-Za-z0-9_.\-]*$'", "(root).name")
OBJECT = 'type must be one of the following: "object"'
LOCATION = "(root).parameters"


def parameters(**changes: Any) -> dict[str, Any]:
    return {"parameters": {"type": "object", "properties": {}, **changes}}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": ["object", "null"]},
        {"$ref": "#/$defs/Node", "$defs": {"Node": {"properties": {"child": {"$ref": "#/$defs/Node"}}}}},
        {"properties": {"a": False, "b": {"type": "array", "items": [True]}}},
    ],
)
def test_any_schema_of_an_object_is_valid(api: Api, schema: dict[str, Any]) -> None:
    assert validated(api, {**COMPLETE, "parameters": schema}) == {"message": "Function is valid"}


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"name": "1st"}, [NAME]),
        ({"name": "погода"}, [NAME]),
        ({"name": "a b"}, [NAME]),
        ({"name": ""}, [NAME]),
        ({"name": None}, [finding("name is required")]),
        ({"name": 5}, [finding("Invalid type. Expected: string, given: integer", "(root).name")]),
        ({"name": True}, [finding("Invalid type. Expected: string, given: boolean", "(root).name")]),
        ({"description": 0.5}, [finding("Invalid type. Expected: string, given: number", "(root).description")]),
        ({"parameters": None}, [finding("parameters is required")]),
        ({"parameters": "{}"}, [finding("Invalid type. Expected: object, given: string", LOCATION)]),
        ({"parameters": []}, [finding("Invalid type. Expected: object, given: array", LOCATION)]),
        (parameters(type="string"), [finding(OBJECT, f"{LOCATION}.type")]),
        (parameters(type=["string", "null"]), [finding(OBJECT, f"{LOCATION}.type")]),
        (
            parameters(properties=[]),
            [finding("Invalid type. Expected: object, given: array", f"{LOCATION}.properties")],
        ),
        (parameters(required="a"), [finding("Invalid type. Expected: array, given: string", f"{LOCATION}.required")]),
        (
            {"return_parameters": 1},
            [finding("Invalid type. Expected: object, given: integer", "(root).return_parameters")],
        ),
        (
            {"few_shot_examples": {}},
            [finding("Invalid type. Expected: array, given: object", "(root).few_shot_examples")],
        ),
        (
            {"few_shot_examples": ["a", {"request": 1}]},
            [
                finding("Invalid type. Expected: object, given: string", "(root).few_shot_examples.0"),
                finding("params is required", "(root).few_shot_examples.1"),
                finding("Invalid type. Expected: string, given: integer", "(root).few_shot_examples.1.request"),
            ],
        ),
        ({"name": "1", "parameters": None}, [finding("parameters is required"), NAME]),
    ],
)
def test_wrong_functions(api: Api, changes: dict[str, Any], errors: list[dict[str, str]]) -> None:
    assert validated(api, {**COMPLETE, **changes}) == {"message": "Incorrect function syntax", "errors": errors}


@pytest.mark.parametrize("body", [b"", b"name: f", b"[]", b'"f"', b"null"])
def test_what_is_no_object_cannot_be_validated(api: Api, body: bytes) -> None:
    answer = api.http.post("/functions/validate", content=body)
    assert (answer.status_code, answer.json()) == (400, {"status": 400, "message": SYNTAX})


# Conversion

SMS = """
openapi: 3.0.1
info: {title: SMS, version: 2024-01-01}
paths:
  /v{version}/sms:
    parameters:
      - $ref: '#/components/parameters/Version'
    post:
      operationId: send_sms
      summary: Отправка
      description: Отправка SMS по табельному номеру
      parameters:
        - {name: X-Trace, in: header, required: true, schema: {type: string}}
        - {name: urgent, in: query, schema: {type: boolean, default: false}}
      requestBody:
        required: true
        content:
          text/plain: {schema: {type: string}}
          application/json:
            schema: {$ref: '#/components/schemas/Sms'}
      responses:
        200:
          description: OK
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Status'}
        default: {description: Error}
    get:
      summary: Список
      responses: {'200': {$ref: '#/components/responses/Statuses'}}
components:
  parameters:
    Version: {name: version, in: path, description: версия API, required: true, schema: {type: string}}
  responses:
    Statuses:
      description: OK
      content:
        application/json:
          schema: {type: array, items: {$ref: '#/components/schemas/Status'}}
  schemas:
    Sms:
      type: object
      required: [employeeId, text]
      properties:
        employeeId: {type: integer, format: int32, description: Id сотрудника}
        text: {type: string, minLength: 1}
        day: {type: string, example: 2024-01-01}
        phone: {$ref: '#/components/schemas/Phone'}
    Phone:
      type: object
      required: [number]
      properties: {number: {type: string}, home: {type: boolean}}
    Status:
      type: object
      properties:
        status: {type: boolean}
        phone: {type: string, nullable: true}
"""
STATUS = {
    "type": "object",
    "properties": {"status": {"type": "boolean"}, "phone": {"type": "string", "nullable": True}},
}
FUNCTIONS = [
    {
        "name": "send_sms",
        "description": "Отправка SMS по табельному номеру",
        "parameters": {
            "type": "object",
            "properties": {
                "version": {"type": "string", "description": "версия API"},
                "urgent": {"type": "boolean", "default": False},
                "employeeId": {"type": "integer", "format": "int32", "description": "Id сотрудника"},
                "text": {"type": "string", "minLength": 1},
                "day": {"type": "string", "example": "2024-01-01"},
                "phone": {
                    "type": "object",
                    "required": ["number"],
                    "properties": {"number": {"type": "string"}, "home": {"type": "boolean"}},
                },
            },
            "required": ["version", "employeeId", "text"],
        },
        "return_parameters": STATUS,
    },
    {
        "name": "get_v_version_sms",
        "description": "Список",
        "parameters": {
            "type": "object",
            "properties": {"version": {"type": "string", "description": "версия API"}},
            "required": ["version"],
        },
        "return_parameters": {"type": "array", "items": STATUS},
    },
]


def converted(api: Api, document: str) -> list[dict[str, Any]]:
    answer = api.http.post("/functions/convert", content=document.encode()).raise_for_status().json()
    assert list(answer) == ["functions"]
    functions: list[dict[str, Any]] = answer["functions"]
    return functions


def document(operation: dict[str, Any], path: str = "/a", method: str = "post", **components: Any) -> str:
    whole = {"openapi": "3.1.0", "info": {}, "paths": {path: {method: operation}}, "components": components}
    return json.dumps(whole, ensure_ascii=False)


def body_of(schema: Any, **fields: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}, **fields}


def test_an_openapi_document_becomes_functions(api: Api) -> None:
    assert converted(api, SMS) == FUNCTIONS
    assert list(converted(api, SMS)[0]) == ["name", "description", "parameters", "return_parameters"]


def test_json_and_a_byte_order_mark_are_read_too(api: Api) -> None:
    text = document({"operationId": "f", "responses": {}})
    bare = [{"name": "f", "parameters": {"type": "object", "properties": {}}}]
    assert converted(api, text) == bare
    assert converted(api, "\ufeff" + text) == bare
    assert converted(api, text.replace("3.1.0", "3.0")) == bare


def test_converted_functions_are_valid_and_can_be_called(api: Api) -> None:
    for function in converted(api, SMS):
        assert validated(api, function)["message"] == "Function is valid"
    answer = api.chat(functions=converted(api, SMS), function_call={"name": "send_sms"}).json()
    assert {"version", "employeeId", "text"} <= answer["choices"][0]["message"]["function_call"]["arguments"].keys()


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ({"operationId": "users.list"}, "users.list"),
        ({"operationId": "список users"}, "_users"),
        ({"operationId": "1st"}, "_1st"),
        ({}, "post_a_b_id"),
    ],
)
def test_names_are_made_valid(api: Api, operation: dict[str, Any], name: str) -> None:
    (function,) = converted(api, document(operation, "/a/b/{id}"))
    assert function["name"] == name
    assert validated(api, function)["message"] == "Function is valid"


def parameters_of(api: Api, operation: dict[str, Any], **components: Any) -> dict[str, Any]:
    (function,) = converted(api, document({"operationId": "f", **operation}, **components))
    found: dict[str, Any] = function["parameters"]
    return found


def test_a_body_that_is_no_object_stays_whole(api: Api) -> None:
    numbers = {"type": "array", "items": {"type": "integer"}}
    whole = parameters_of(api, {"requestBody": body_of(numbers, required=True)})
    assert whole == {"type": "object", "properties": {"body": numbers}, "required": ["body"]}
    assert "required" not in parameters_of(api, {"requestBody": body_of(numbers)})


def test_a_parameter_of_the_operation_stands_before_that_of_its_path(api: Api) -> None:
    item = {
        "parameters": [{"name": "id", "in": "query", "schema": {"type": "integer"}, "required": True}],
        "get": {"operationId": "f", "parameters": [{"name": "id", "in": "query", "schema": {"type": "string"}}]},
    }
    (function,) = converted(api, json.dumps({"openapi": "3.0.0", "paths": {"/a": item}}))
    assert function["parameters"] == {"type": "object", "properties": {"id": {"type": "string"}}}


def test_a_schema_is_converted_as_it_is(api: Api) -> None:
    body = {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "b": False}}
    found = parameters_of(api, {"requestBody": body_of({"$ref": "#/components/schemas/%D0%90"})}, schemas={"А": body})
    assert found == body
    free = {"name": "free", "in": "query", "schema": True}
    assert parameters_of(api, {"parameters": [free]})["properties"] == {"free": {}}


def test_data_that_looks_like_a_reference_is_data(api: Api) -> None:
    body = {"type": "object", "properties": {"$ref": {"type": "string"}, "a": {"default": {"$ref": "#/x"}}}}
    assert parameters_of(api, {"requestBody": body_of(body)}) == body


def test_only_the_answer_200_is_returned(api: Api) -> None:
    responses = {"201": body_of({"type": "string"}), "default": body_of({"type": "string"})}
    (function,) = converted(api, document({"operationId": "f", "responses": responses}))
    assert "return_parameters" not in function


NOT_OPENAPI = "Invalid params: the text is not an OpenAPI 3 document"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", NOT_OPENAPI),
        ("hello", NOT_OPENAPI),
        ("[]", NOT_OPENAPI),
        ("{", NOT_OPENAPI),
        ("a: b: c", NOT_OPENAPI),
        ("swagger: '2.0'\npaths: {}", NOT_OPENAPI),
        ("openapi: 2.0.0\npaths: {}", NOT_OPENAPI),
        ("openapi: 3.0.0\npaths: [1]", NOT_OPENAPI),
        ("openapi: 3.0.0\npaths: {/a: 1}", NOT_OPENAPI),
        ("openapi: 3.0.0\npaths: {/a: {get: {parameters: {a: 1}}}}", NOT_OPENAPI),
        ("openapi: 3.0.0\npaths: {/a: {get: {parameters: [{in: query}]}}}", NOT_OPENAPI),
        ("openapi: 3.0.0\nx: !!python/object:os.system {}", NOT_OPENAPI),
        ("openapi: 3.0.0\nx: &a [*a]", NOT_OPENAPI),
        ("openapi: 3.0.0\nx: .nan", NOT_OPENAPI),
        (
            document({"requestBody": {"$ref": "#/components/requestBodies/B"}}),
            "Invalid params: the schema refers to '#/components/requestBodies/B', which it does not define",
        ),
        (
            document({"requestBody": {"$ref": "other.yaml#/B"}}),
            "Invalid params: the schema refers to 'other.yaml#/B' outside itself: put the definition into the schema",
        ),
        (
            document({"requestBody": {"$ref": "#/components/a"}}, a={"$ref": "#/components/a"}),
            "Invalid params: the schema refers to itself at '#/components/a': describe the depth you need without $ref",
        ),
        (
            document({"requestBody": body_of({"$ref": "#/components/schemas/A"})}),
            "Invalid params: the schema refers to '#/components/schemas/A', which it does not define",
        ),
        (
            document(
                {"requestBody": body_of({"$ref": "#/components/schemas/A"})},
                schemas={"A": {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/A"}}}},
            ),
            "Invalid params: the schema refers to itself at '#/components/schemas/A': "
            "describe the depth you need without $ref",
        ),
        ("[" * 1_000, "Invalid params: the document is nested too deeply"),
    ],
)
def test_other_texts_are_refused(api: Api, text: str, message: str) -> None:
    answer = api.http.post("/functions/convert", content=text.encode())
    assert (answer.status_code, answer.json()) == (422, {"status": 422, "message": message})


def test_a_document_cannot_grow_without_bound(api: Api) -> None:
    schemas: dict[str, Any] = {"A0": {"type": "string"}}
    for number in range(1, 40):
        one = {"$ref": f"#/components/schemas/A{number - 1}"}
        schemas[f"A{number}"] = {"type": "object", "properties": {"a": one, "b": one}}
    text = document({"requestBody": body_of({"$ref": "#/components/schemas/A39"})}, schemas=schemas)
    answer = api.http.post("/functions/convert", content=text.encode())
    assert answer.json()["message"] == (
        "Invalid params: the schema has more than 100000 parts once its references are inlined"
    )
    bomb = "openapi: 3.0.0\nx0: &x0 [a]\n" + "".join(
        f"x{number}: &x{number} [{', '.join([f'*x{number - 1}'] * 10)}]\n" for number in range(1, 12)
    )
    assert api.http.post("/functions/convert", content=bomb.encode()).json()["message"] == NOT_OPENAPI
    assert api.http.post("/functions/convert", content=b"x" * 2_000_000).status_code == 413


def test_a_schema_that_repeats_itself_unused_does_no_harm(api: Api) -> None:
    schemas = {"A": {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/A"}}}}
    assert len(converted(api, document({"operationId": "f"}, schemas=schemas))) == 1


def test_bytes_that_are_no_text_are_refused(api: Api) -> None:
    answer = api.http.post("/functions/convert", content=b"openapi: \xff")
    assert (answer.status_code, answer.json()) == (400, {"status": 400, "message": SYNTAX})
