"""Descriptions of functions in the shapes that models, other APIs and MCP servers give them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_OF_A_FUNCTION = ("name", "description", "parameters", "few_shot_examples", "return_parameters")
_SCHEMA_ELSEWHERE = {"inputSchema": "parameters", "input_schema": "parameters", "outputSchema": "return_parameters"}
_OF_A_SCHEMA = frozenset({"properties", "$ref", "allOf", "anyOf", "oneOf"})
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def function_fields(description: Any) -> Any:
    """Return the fields of a function, given as one or in another shape; what has no fields is returned as it is.

    Read are the JSON Schema of a model, whose title is the name, and tools as OpenAI (`{"type": "function",
    "function": {...}}`), Anthropic (`input_schema`) and MCP servers (`inputSchema`) have them. Of tools of other APIs
    only name, description and schemas are read.

    Raises:
        ValueError: It is a class or a Python function, a tool of another API that is no function, or its schema has an
            unknown name.
    """
    if isinstance(description, BaseModel):
        description = description.model_dump(by_alias=True, exclude_none=True)
    if inspect.isclass(description):
        raise ValueError(
            f"a function is a mapping: of a pydantic model pass {description.__name__}.model_json_schema()"
        )
    if callable(description) and not isinstance(description, Mapping):
        raise ValueError("a function is a mapping with name, description and parameters: gigachat.tool(f).function()")
    if not isinstance(description, Mapping):
        return description
    fields = dict(description)
    kind = fields.get("type")
    if kind == "function" or (kind == "custom" and "input_schema" in fields):
        inner = fields.get("function")
        return _own_fields(inner if isinstance(inner, Mapping) else fields)
    if isinstance(kind, str) and kind not in _TYPES:
        raise ValueError(f"{kind!r} is no type of JSON Schema: a function has the fields name, description, parameters")
    if not fields.get("name") and fields.get("title"):
        fields["name"] = fields.pop("title")
    if not fields.get("parameters"):
        if _SCHEMA_ELSEWHERE.keys() & fields.keys():
            return _own_fields(fields)
        if _OF_A_SCHEMA & fields.keys() or kind is not None:
            own = {key: fields.pop(key) for key in _OF_A_FUNCTION if key in fields}
            return {**own, "parameters": fields}
        for key, value in fields.items():
            if key not in _OF_A_FUNCTION and isinstance(value, Mapping) and _OF_A_SCHEMA & value.keys():
                raise ValueError(f"the schema of function {fields.get('name')!r} is in {key!r}: name it 'parameters'")
    return fields


def _own_fields(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of the tool of another API."""
    fields = {key: tool[key] for key in _OF_A_FUNCTION if key in tool}
    for key, name in _SCHEMA_ELSEWHERE.items():
        if tool.get(key) is not None and not fields.get(name):
            fields[name] = tool[key]
    return fields
