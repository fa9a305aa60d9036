"""Descriptions of functions: validation, and conversion of OpenAPI documents (reference, sections 10.1 and 10.2)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from gigachat.schema import target_of
from gigachat.server.chat.validation import FUNCTION_NAME
from gigachat.server.wire.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.wire.requests import read_object
from gigachat.server.wire.responses import answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.service import Endpoint, Service

# Validation. Two findings are documented, `name is required` and `few_shot_examples are missing`. They read like those
# of a JSON Schema validator of Go, whose wording the others follow.

_ROOT = "(root)"
_NAMES = {type(None): "null", bool: "boolean", str: "string", int: "integer", float: "number", list: "array"}
_FIELDS = {"description": str, "parameters": dict, "return_parameters": dict, "few_shot_examples": list}


async def _validate(request: Request, service: Service) -> Response:
    """Answer `POST /functions/validate`: status 200 whatever is found."""
    function = read_object(await request.body())
    errors = list(_errors(function))
    verdict: dict[str, Any] = {
        "status": 200,
        "message": "Incorrect function syntax" if errors else "Function is valid",
        "json_ai_rules_version": "1.0.5",
    }
    warnings = [
        {"description": f"{name} {verb} missing", "schema_location": _ROOT}
        for name, verb in (("description", "is"), ("few_shot_examples", "are"), ("return_parameters", "are"))
        if not function.get(name)
    ]
    if errors:
        verdict["errors"] = [{"description": text, "schema_location": place} for place, text in errors]
    elif warnings:
        verdict["warnings"] = warnings
    return answer(request, verdict)


def _errors(function: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each error."""
    yield from _field_errors(function, {"name": str, **_FIELDS}, ("name", "parameters"), _ROOT)
    name = function.get("name")
    if isinstance(name, str) and not FUNCTION_NAME.fullmatch(name):
        yield f"{_ROOT}.name", f"Does not match pattern '^{FUNCTION_NAME.pattern}$'"
    parameters = function.get("parameters")
    if isinstance(parameters, dict):
        place = f"{_ROOT}.parameters"
        yield from _field_errors(parameters, {"properties": dict, "required": list}, (), place)
        kinds = parameters.get("type", "object")
        if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
            yield f"{place}.type", 'type must be one of the following: "object"'
    examples = function.get("few_shot_examples")
    for number, example in enumerate(examples if isinstance(examples, list) else ()):
        place = f"{_ROOT}.few_shot_examples.{number}"
        if isinstance(example, dict):
            yield from _field_errors(example, {"request": str, "params": dict}, ("request", "params"), place)
        else:
            yield place, _wrong_type(dict, example)


def _field_errors(
    value: Mapping[str, Any], kinds: Mapping[str, type], required: Sequence[str], place: str
) -> Iterator[tuple[str, str]]:
    for name in required:
        if value.get(name) is None:
            yield place, f"{name} is required"
    for name, kind in kinds.items():
        if value.get(name) is not None and not isinstance(value[name], kind):
            yield f"{place}.{name}", _wrong_type(kind, value[name])


def _wrong_type(kind: type, given: Any) -> str:
    return f"Invalid type. Expected: {_NAMES.get(kind, 'object')}, given: {_NAMES.get(type(given), 'object')}"


# Conversion. Its refusals are not documented.

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_LARGEST_TEXT = 1024 * 1024
_LARGEST = 100_000
"""Values in all functions together: references can make a small document large."""
_NOT_OPENAPI = "the text is not an OpenAPI 3 document"


async def _convert(request: Request, service: Service) -> Response:
    """Answer `POST /functions/convert`."""
    body = await request.body()
    if len(body) > _LARGEST_TEXT:
        raise Refusal(413)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise invalid_shape() from None
    # Reading a large YAML document takes seconds.
    return answer(request, {"functions": await asyncio.to_thread(converted, text)})


def converted(text: str) -> list[dict[str, Any]]:
    """Return the functions an OpenAPI 3 document describes, one for each operation.

    Args:
        text: The document, YAML or JSON.

    Raises:
        Refusal: 422 when the text is no such document, or its references cannot be replaced.
    """
    try:
        return list(_Document(_read(text)).functions())
    except (ValueError, yaml.YAMLError, AttributeError, TypeError, KeyError) as error:
        raise invalid_params(str(error) if isinstance(error, _Unconverted) else _NOT_OPENAPI) from None
    except RecursionError:
        raise invalid_params("the document is nested too deeply") from None


class _Unconverted(ValueError):
    """The message says why the document is refused."""


def _read(text: str) -> Any:
    try:
        document = json.loads(text)
    except ValueError:
        document = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    # Through JSON, so that keys are texts and every value can be sent.
    document = json.loads(json.dumps(document, allow_nan=False))
    if not document["openapi"].startswith("3"):
        raise ValueError(_NOT_OPENAPI)
    return document


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML read as JSON would be: no dates, no aliases, and only `true` and `false` are booleans."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read: nested ones take unbounded memory")
        return super().compose_node(parent, index)


_UNWANTED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _UNWANTED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)$"), ["t", "f"])


class _Document:
    """An OpenAPI 3 document. What is not of the expected shape is an AttributeError, TypeError or KeyError."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._left = _LARGEST

    def functions(self) -> Iterator[dict[str, Any]]:
        """Yield the functions in the order of the document."""
        for path, item in (self._document.get("paths") or {}).items():
            item = self._whole(item)
            for method in _METHODS:
                if item.get(method) is not None:
                    yield self._function(path, method, item[method], item.get("parameters") or [])

    def _function(self, path: str, method: str, operation: dict[str, Any], shared: list[Any]) -> dict[str, Any]:
        name = re.sub(r"[^A-Za-z0-9_.\-]+", "_", str(operation.get("operationId") or f"{method}_{path.strip('/{}')}"))
        function: dict[str, Any] = {"name": f"_{name}" if name[:1].isdigit() else name}
        description = operation.get("description") or operation.get("summary")
        if description:
            function["description"] = str(description)
        function["parameters"] = self._parameters(operation, [*shared, *(operation.get("parameters") or [])])
        returned = _schema((operation.get("responses") or {}).get("200") or {})
        if returned is not None:
            function["return_parameters"] = dict(returned)
        return function

    def _parameters(self, operation: dict[str, Any], described: list[dict[str, Any]]) -> dict[str, Any]:
        """Return one schema for what is in path, query and body."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        parameters = {(one["name"], one.get("in")): one for one in described}
        for (name, place), one in parameters.items():
            if place not in ("path", "query"):  # headers and cookies are not for the model
                continue
            schema = one.get("schema") or _schema(one)
            about = {"description": one["description"]} if one.get("description") else {}
            properties[name] = {**(schema if isinstance(schema, Mapping) else {}), **about}
            if one.get("required") is True or place == "path":
                required.append(name)
        body = operation.get("requestBody") or {}
        schema = _schema(body)
        if schema is not None:
            plain = dict(schema)
            members = plain.get("properties")
            if not isinstance(members, dict) or properties.keys() & members.keys():
                # A body that is no object, or would hide a parameter, stays whole.
                members, plain = {"body": plain}, {"required": ["body"] if body.get("required") is True else []}
            properties |= members
            required += plain.get("required") or []
        return {"type": "object", "properties": properties, **({"required": required} if required else {})}

    def _whole(self, node: Any, inside: tuple[str, ...] = ()) -> Any:
        """Return the same with each reference replaced by what it points to."""
        self._left -= 1
        if self._left < 0:
            raise _Unconverted(f"the functions of the document have more than {_LARGEST} values")
        if isinstance(node, list):
            return [self._whole(one, inside) for one in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return {name: self._whole(one, inside) for name, one in node.items()}
        if reference in inside:
            raise _Unconverted(
                f"the schema refers to itself at {reference!r}: describe the depth you need without $ref"
            )
        try:
            target = target_of(self._document, reference)
        except ValueError:
            target = None
        if not isinstance(target, dict):
            raise _Unconverted(f"the document refers to {reference!r}, which it does not define")
        beside = {name: one for name, one in node.items() if name != "$ref"}
        return {**self._whole(target, (*inside, reference)), **self._whole(beside, inside)}


def _schema(holder: dict[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of a body: of its JSON form, else of the first."""
    content = holder.get("content") or {}
    for kind in sorted(content, key=lambda kind: "json" not in kind):
        schema = content[kind].get("schema")
        return schema if isinstance(schema, Mapping) else None
    return None


ENDPOINTS: Sequence[tuple[str, str, Endpoint]] = (
    ("POST", "/functions/validate", _validate),
    ("POST", "/functions/convert", _convert),
)
