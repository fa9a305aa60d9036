"""Descriptions of functions: validation, and conversion of OpenAPI documents (reference, sections 10.1 and 10.2)."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from gigachat._references import References
from gigachat._service import FUNCTION_NAME
from gigachat.models.chat import FewShotExample
from gigachat.server.wire.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.wire.requests import read_object
from gigachat.server.wire.shapes import problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request

    from gigachat.server.service import Endpoints, Service

# Validation. Two messages are documented, `name is required` and `few_shot_examples are missing`. The others follow the
# wording of the JSON Schema validator for Go that these two resemble.

_FUNCTION = {
    "name": str,
    "parameters": dict[str, Any],
    "description": str | None,
    "return_parameters": dict[str, Any] | None,
    "few_shot_examples": list[FewShotExample] | None,
}
_PARAMETERS = {"properties": dict[str, Any] | None, "required": list[Any] | None}


async def _validate(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /functions/validate`: status 200 whatever is found."""
    function = read_object(await request.body())
    errors = [
        {"description": text, "schema_location": ".".join(("(root)", *map(str, way)))}
        for way, text in _errors(function)
    ]
    warnings = [
        {"description": f"{name} {verb} missing", "schema_location": "(root)"}
        for name, verb in (("description", "is"), ("few_shot_examples", "are"), ("return_parameters", "are"))
        if not function.get(name)
    ]
    return {
        "status": 200,
        "message": "Incorrect function syntax" if errors else "Function is valid",
        "json_ai_rules_version": "1.0.5",
        **({"errors": errors} if errors else {"warnings": warnings} if warnings else {}),
    }


def _errors(function: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the place and the text of each error."""
    found = list(problems(function, _FUNCTION))
    parameters = function.get("parameters")
    if isinstance(parameters, dict):
        found += problems(parameters, _PARAMETERS, ("parameters",))
        kinds = parameters.get("type", "object")
        if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
            yield ("parameters", "type"), 'type must be one of the following: "object"'
    yield from ((problem.way, problem.text) for problem in found if not problem.unknown)
    name = function.get("name")
    if isinstance(name, str) and not re.fullmatch(FUNCTION_NAME, name):
        yield ("name",), f"Does not match pattern '^{FUNCTION_NAME}$'"


# Conversion: one function for each operation. Its refusals are not documented.

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_LARGEST_TEXT = 1024 * 1024
_NOT_OPENAPI = "the text is not an OpenAPI 3 document"


async def _convert(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /functions/convert`."""
    body = await request.body()
    if len(body) > _LARGEST_TEXT:
        raise Refusal(413)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise invalid_shape("The body is not UTF-8.") from None
    # Reading a large YAML document takes seconds.
    return {"functions": await asyncio.to_thread(converted, text)}


def converted(text: str) -> list[dict[str, Any]]:
    """Return the functions an OpenAPI 3 document describes, one for each operation.

    Args:
        text: The document, YAML or JSON.

    Raises:
        Refusal: 422 when the text is no such document, or its references cannot be replaced.
    """
    try:
        document = _read(text)
        if not document["openapi"].startswith("3"):
            raise ValueError(_NOT_OPENAPI)
        references = References(document)
        return [
            _function(path, method, _inlined(operation, references), _inlined(item.get("parameters") or [], references))
            for path, item in (document.get("paths") or {}).items()
            for method, operation in item.items()
            if method in _METHODS
        ]
    except (ValueError, yaml.YAMLError, AttributeError, TypeError, KeyError):
        raise invalid_params(_NOT_OPENAPI) from None
    except RecursionError:
        raise invalid_params("the document is nested too deeply") from None


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        read = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
        # Through JSON, so that keys are texts and every value can be sent.
        return json.loads(json.dumps(read, default=str, allow_nan=False))


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read: nested ones take unbounded memory")
        return super().compose_node(parent, index)


def _inlined(part: Any, references: References) -> Any:
    try:
        return references.inlined_part(part)
    except ValueError as error:
        raise invalid_params(str(error)) from None


def _function(path: str, method: str, operation: dict[str, Any], shared: list[Any]) -> dict[str, Any]:
    """Return the function of an operation; `shared` are the parameters of all operations of its path."""
    name = re.sub(r"[^A-Za-z0-9_.\-]+", "_", str(operation.get("operationId") or f"{method}_{path.strip('/{}')}"))
    function: dict[str, Any] = {"name": f"_{name}" if name[:1].isdigit() else name}
    description = operation.get("description") or operation.get("summary")
    if description:
        function["description"] = str(description)
    function["parameters"] = _parameters([*shared, *(operation.get("parameters") or [])], operation.get("requestBody"))
    returned = _schema((operation.get("responses") or {}).get("200"))
    if returned is not None:
        function["return_parameters"] = returned
    return function


def _parameters(described: list[dict[str, Any]], body: dict[str, Any] | None) -> dict[str, Any]:
    """Return one schema for the parameters in path, query and body. Those in headers and cookies are left out."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for one in {one["name"]: one for one in described if one["in"] in ("path", "query")}.values():
        about = {"description": one["description"]} if one.get("description") else {}
        properties[one["name"]] = {**_described(one.get("schema")), **about}
        required += [one["name"]] if one.get("required") else []
    schema = _schema(body)
    if schema is not None and schema.get("type") == "object":
        properties = {**(schema.get("properties") or {}), **properties}
        required += schema.get("required") or []
    elif schema is not None and body is not None:
        properties["body"] = schema
        required += ["body"] if body.get("required") else []
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _schema(holder: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the schema of a body: of its JSON form, else of the first."""
    content: dict[str, Any] = (holder or {}).get("content") or {}
    form: dict[str, Any] = content.get("application/json") or next(iter(content.values()), {})
    return None if form.get("schema") is None else _described(form["schema"])


def _described(schema: dict[str, Any] | bool | None) -> dict[str, Any]:
    """Return a schema that may be a boolean, or be missing, as an object."""
    return {"not": {}} if schema is False else schema if isinstance(schema, dict) else {}


ENDPOINTS: Endpoints = (
    ("POST", "/functions/validate", _validate),
    ("POST", "/functions/convert", _convert),
)
