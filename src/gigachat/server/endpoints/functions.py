"""Descriptions of functions: is one well formed, and which ones does an OpenAPI document describe.

Reference, sections 10.1 and 10.2. It must not be used to check functions of a chat: those are refused with the
chat's own words.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from gigachat.schema import parameters_schema
from gigachat.server.chat.validation_v1 import FUNCTION_NAME
from gigachat.server.wire.errors import invalid_params, invalid_shape
from gigachat.server.wire.requests import read_object
from gigachat.server.wire.responses import answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.service import Endpoint, Service

_RULES = "1.0.5"
_ROOT = "(root)"
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


# Validation


async def _validate(request: Request, service: Service) -> Response:
    """Answer `POST /functions/validate` (reference, section 10.2): status 200 whatever is found."""
    function = read_object(await request.body())
    errors = list(_errors(function))
    verdict: dict[str, Any] = {
        "status": 200,
        "message": "Incorrect function syntax" if errors else "Function is valid",
        "json_ai_rules_version": _RULES,
    }
    if errors:
        verdict["errors"] = errors
    else:
        warnings = list(_warnings(function))
        if warnings:
            verdict["warnings"] = warnings
    return answer(request, verdict)


# Two findings are documented, `name is required` and `few_shot_examples are missing`. They read like those of a
# well-known JSON Schema validator of Go, whose wording the others follow; whether the service's do is not known.


def _finding(description: str, location: str = _ROOT) -> dict[str, str]:
    return {"description": description, "schema_location": location}


def _wrong_type(expected: str, given: Any, location: str) -> dict[str, str]:
    return _finding(f"Invalid type. Expected: {expected}, given: {_type_name(given)}", location)


def _type_name(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"


def _errors(function: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for name in ("name", "parameters"):
        if function.get(name) is None:
            yield _finding(f"{name} is required")
    called = function.get("name")
    if called is not None:
        if not isinstance(called, str):
            yield _wrong_type("string", called, f"{_ROOT}.name")
        elif not FUNCTION_NAME.fullmatch(called):
            yield _finding(f"Does not match pattern '^{FUNCTION_NAME.pattern}$'", f"{_ROOT}.name")
    description = function.get("description")
    if description is not None and not isinstance(description, str):
        yield _wrong_type("string", description, f"{_ROOT}.description")
    for name in ("parameters", "return_parameters"):
        if function.get(name) is not None:
            yield from _schema_errors(function[name], f"{_ROOT}.{name}", must_be_object=name == "parameters")
    yield from _example_errors(function.get("few_shot_examples"))


def _schema_errors(schema: Any, location: str, *, must_be_object: bool = False) -> Iterator[dict[str, str]]:
    """Yield what is wrong with a schema of parameters, down to its innermost property."""
    if not isinstance(schema, Mapping):
        yield _wrong_type("object", schema, location)
        return
    kind = schema.get("type")
    if must_be_object and kind is None:
        yield _finding("type is required", location)
    elif must_be_object and kind != "object":
        yield _finding('type must be one of the following: "object"', f"{location}.type")
    elif kind is not None and not all(one in _TYPES for one in (kind if isinstance(kind, list) else [kind])):
        allowed = ", ".join(f'"{one}"' for one in _TYPES)
        yield _finding(f"type must be one of the following: {allowed}", f"{location}.type")
    properties = schema.get("properties")
    if must_be_object and properties is None:
        yield _finding("properties is required", location)
    elif properties is not None and not isinstance(properties, Mapping):
        yield _wrong_type("object", properties, f"{location}.properties")
    else:
        for name, one in (properties or {}).items():
            yield from _schema_errors(one, f"{location}.properties.{name}")
    required = schema.get("required")
    if required is not None and not isinstance(required, list):
        yield _wrong_type("array", required, f"{location}.required")
    items = schema.get("items")
    if items is not None:
        yield from _schema_errors(items, f"{location}.items")


def _example_errors(examples: Any) -> Iterator[dict[str, str]]:
    location = f"{_ROOT}.few_shot_examples"
    if examples is None:
        return
    if not isinstance(examples, list):
        yield _wrong_type("array", examples, location)
        return
    for number, example in enumerate(examples):
        if not isinstance(example, Mapping):
            yield _wrong_type("object", example, f"{location}.{number}")
            continue
        for name, kind, type_name in (("request", str, "string"), ("params", Mapping, "object")):
            given = example.get(name)
            if given is None:
                yield _finding(f"{name} is required", f"{location}.{number}")
            elif not isinstance(given, kind):
                yield _wrong_type(type_name, given, f"{location}.{number}.{name}")


def _warnings(function: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for name, verb in (("description", "is"), ("few_shot_examples", "are"), ("return_parameters", "are")):
        if not function.get(name):
            yield _finding(f"{name} {verb} missing")


# Conversion

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_DEFINED = "#/$defs/document/"
_NOT_OPENAPI = "the text is not an OpenAPI 3 document"


async def _convert(request: Request, service: Service) -> Response:
    """Answer `POST /functions/convert` (reference, section 10.1); its refusals are not documented."""
    try:
        text = (await request.body()).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise invalid_shape() from None
    # Reading a large YAML document takes seconds.
    return answer(request, {"functions": await asyncio.to_thread(converted, text)})


def converted(text: str) -> list[dict[str, Any]]:
    """Return the functions an OpenAPI 3 document describes: one for each operation.

    Args:
        text: The document, YAML or JSON.

    Raises:
        Refusal: 422 when the text is no such document, or a schema in it can't be written without `$ref`.
    """
    try:
        return list(_Document(_read(text)).functions())
    except ValueError as error:
        raise invalid_params(str(error)) from None
    except RecursionError:
        raise invalid_params("the document is nested too deeply") from None


def _read(text: str) -> dict[str, Any]:
    try:
        try:
            document = json.loads(text)
        except ValueError:
            document = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
        # Through JSON, so that keys are texts and nothing is left that an answer could not carry.
        document = json.loads(json.dumps(document, allow_nan=False))
    except (yaml.YAMLError, ValueError, TypeError):
        raise ValueError(_NOT_OPENAPI) from None
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3"):
        raise ValueError(_NOT_OPENAPI)
    return document


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML read as JSON would be: no dates, and only `true` and `false` are booleans."""


_UNWANTED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _UNWANTED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)$"), ["t", "f"])


class _Document:
    """An OpenAPI 3 document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        # References start at the document, while a schema is converted alone: it takes the document along as
        # definitions, which are left out again.
        self._definitions = {"document": _redirected(document)}

    def functions(self) -> Iterator[dict[str, Any]]:
        """Yield the functions in the order of the document."""
        for path, raw in _mapping(self._document, "paths").items():
            item = self._followed(raw)
            for method in _METHODS:
                operation = item.get(method)
                if isinstance(operation, Mapping):
                    yield self._function(path, method, operation, _listed(item, "parameters"))

    def _function(self, path: str, method: str, operation: Mapping[str, Any], shared: Sequence[Any]) -> dict[str, Any]:
        name = _valid(str(operation.get("operationId") or f"{method}_{path.strip('/{}')}"))
        function: dict[str, Any] = {"name": name}
        description = operation.get("description") or operation.get("summary")
        if description:
            function["description"] = str(description)
        function["parameters"] = self._parameters(operation, shared)
        returned = self._returned(operation)
        if returned is not None:
            function["return_parameters"] = returned
        return function

    def _parameters(self, operation: Mapping[str, Any], shared: Sequence[Any]) -> dict[str, Any]:
        """Return one schema for what goes into path, query and body."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        parameters: dict[tuple[str, str], Mapping[str, Any]] = {}
        for raw in (*shared, *_listed(operation, "parameters")):
            parameter = self._followed(raw)
            if not isinstance(parameter.get("name"), str):
                raise ValueError(_NOT_OPENAPI)
            parameters[parameter["name"], str(parameter.get("in"))] = parameter
        for (name, place), parameter in parameters.items():
            # Headers and cookies are no business of the model.
            if place not in ("path", "query"):
                continue
            schema = parameter.get("schema") or self._content_schema(parameter)
            schema = schema if isinstance(schema, Mapping) else {}
            described = {"description": parameter["description"]} if parameter.get("description") else {}
            properties[name] = self._plain({**schema, **described})
            if parameter.get("required") is True or place == "path":
                required.append(name)
        body = self._followed(operation.get("requestBody") or {})
        schema = self._content_schema(body)
        if schema is not None:
            plain = self._plain(schema)
            members = plain.get("properties")
            if not isinstance(members, dict) or properties.keys() & members.keys():
                # What is no object, or would hide a parameter, stays whole.
                members, plain = {"body": plain}, {"required": ["body"] if body.get("required") is True else []}
            properties |= members
            required += _listed(plain, "required")
        made: dict[str, Any] = {"type": "object", "properties": properties}
        if required:
            made["required"] = required
        return made

    def _returned(self, operation: Mapping[str, Any]) -> dict[str, Any] | None:
        schema = self._content_schema(self._followed(_mapping(operation, "responses").get("200") or {}))
        return None if schema is None else self._plain(schema)

    def _content_schema(self, holder: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the schema of a body: of its JSON form, else of the first."""
        content = _mapping(holder, "content")
        for kind in sorted(content, key=lambda kind: "json" not in kind):
            schema = _mapping(content, kind).get("schema")
            return schema if isinstance(schema, Mapping) else None
        return None

    def _plain(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return parameters_schema({**_redirected(schema), "$defs": self._definitions})
        except ValueError as error:
            raise ValueError(str(error).replace(_DEFINED, "#/")) from None

    def _followed(self, node: Any) -> Mapping[str, Any]:
        """Return what a reference outside schemas points to; anything else as it is."""
        seen: list[str] = []
        while isinstance(node, Mapping) and isinstance(node.get("$ref"), str):
            reference: str = node["$ref"]
            if not reference.startswith("#/") or reference in seen:
                raise ValueError(f"the document refers to {reference!r}, which it does not define")
            seen.append(reference)
            node = self._document
            for part in reference.removeprefix("#/").split("/"):
                node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
            if node is None:
                raise ValueError(f"the document refers to {reference!r}, which it does not define")
        if not isinstance(node, Mapping):
            raise ValueError(_NOT_OPENAPI)
        return node


def _valid(name: str) -> str:
    """Return the nearest name a function may have."""
    cleaned = re.sub(r"[^A-Za-z0-9_.\-]+", "_", name)
    return f"_{cleaned}" if cleaned[:1].isdigit() else cleaned


def _redirected(node: Any) -> Any:
    """Return the same with references into the document pointing at the definitions instead."""
    if isinstance(node, list):
        return [_redirected(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    return {
        key: _DEFINED + value[2:]
        if key == "$ref" and isinstance(value, str) and value.startswith("#/")
        else _redirected(value)
        for key, value in node.items()
    }


def _mapping(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a member that must be an object; absent and null are an empty one."""
    value = holder.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(_NOT_OPENAPI)
    return value


def _listed(holder: Mapping[str, Any], name: str) -> Sequence[Any]:
    """Return a member that must be a list; absent and null are an empty one."""
    value = holder.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError(_NOT_OPENAPI)
    return value


ENDPOINTS: Sequence[tuple[str, str, Endpoint]] = (
    ("POST", "/functions/validate", _validate),
    ("POST", "/functions/convert", _convert),
)
