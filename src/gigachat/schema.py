"""JSON Schema into the form the service accepts for function parameters, meaning kept.

`$ref` is inlined, `Optional` becomes its type, every object has `properties`. Everything else (limits, enums,
nested `required`) stays. What can't be expressed is a ValueError, never a silent loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["function_fields", "inline_references", "parameters_schema"]

_DEFINITIONS = ("$defs", "definitions")
_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "dependentSchemas")
_DATA = ("enum", "const", "default", "examples", "example")  # values, not schemas: never rewritten
_OF_AN_OBJECT = (
    "type",
    "properties",
    "required",
    "additionalProperties",
    *_DEFINITIONS,
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
)


def parameters_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a function's parameters as the service reads it (reference, section 4.4).

    Args:
        schema: JSON Schema of an object, for example `Model.model_json_schema()`.

    Raises:
        ValueError: A reference points nowhere, outside the schema, or back to itself.
    """
    try:
        simple: dict[str, Any] = _simplified(inline_references(schema))
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None
    return simple


def function_fields(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a function; of a model's JSON Schema the title is its name, what describes the object its
    parameters. `type` and `strict` of a tool of OpenAI are dropped, since the service does not know them.
    """
    fields = dict(description)
    if fields.get("type") == "function":  # a tool as other services want it
        del fields["type"]
        fields.pop("strict", None)
    if not fields.get("name") and fields.get("title"):
        fields["name"] = fields.pop("title")
    if not fields.get("parameters") and "properties" in fields:
        fields["parameters"] = {key: fields.pop(key) for key in _OF_AN_OBJECT if key in fields}
    return fields


def inline_references(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with each local `$ref` replaced by what it points to, and without definitions.

    Raises:
        ValueError: A reference points nowhere, outside the schema, or back to itself.
    """
    try:
        inlined: dict[str, Any] = _inline(dict(schema), schema, ())
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None
    return inlined


def _inline(node: Any, root: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list | tuple):
        return [_inline(item, root, inside) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        if reference in inside:
            raise ValueError(f"the schema refers to itself at {reference!r}: describe the depth you need without $ref")
        target = _inline(_resolve(reference, root), root, (*inside, reference))
        beside = _inline({key: value for key, value in node.items() if key != "$ref"}, root, inside)
        return _both(target, beside)
    kept = {key: value for key, value in node.items() if key not in _DEFINITIONS}
    return _with_parts(kept, lambda part: _inline(part, root, inside))


def _with_parts(node: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a schema with the schemas in it changed."""
    # A property may be called `enum` or `$ref`: its name is not a keyword.
    return {
        key: value
        if key in _DATA
        else {name: change(schema) for name, schema in value.items()}
        if key in _MAPS_OF_SCHEMAS and isinstance(value, dict)
        else change(value)
        for key, value in node.items()
    }


def _both(target: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    """Merge the keywords beside a reference into its target; those beside it win where both cannot apply."""
    both = {**target, **beside}
    for key in (*_MAPS_OF_SCHEMAS, "required"):
        ours, theirs = beside.get(key), target.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            both[key] = {**theirs, **ours}
        elif isinstance(ours, list) and isinstance(theirs, list):
            both[key] = [*theirs, *(name for name in ours if name not in theirs)]
    return both


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    if not reference.startswith("#"):
        raise ValueError(f"the schema refers to {reference!r} outside itself: put the definition into the schema")
    target: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, dict) or part not in target:
            raise ValueError(f"the schema refers to {reference!r}, which it does not define")
        target = target[part]
    if not isinstance(target, dict):
        raise ValueError(f"the schema refers to {reference!r}, which is not a schema")
    return target


def _simplified(node: Any) -> Any:
    if isinstance(node, list):
        return [_simplified(item) for item in node]
    if not isinstance(node, dict):
        return node
    simple = _with_parts(_without_null(node), _simplified)
    for key in _MAPS_OF_SCHEMAS:
        if isinstance(simple.get(key), dict):
            simple[key] = {name: {} if schema is True else schema for name, schema in simple[key].items()}
    if simple.get("type") == "object":
        simple.setdefault("properties", {})
    return simple


_NULLS = ({"type": "null"}, {"type": ["null"]})


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """Collapse Optional: a value that may be absent is simply not required."""
    node = dict(node)
    if isinstance(node.get("type"), list) and "null" in node["type"]:
        types = [name for name in node["type"] if name != "null"] or ["null"]
        node["type"] = types[0] if len(types) == 1 else types
        _drop_null_default(node)
    for key in ("anyOf", "oneOf"):
        if not isinstance(node.get(key), list):
            continue
        choices = [choice for choice in node[key] if choice not in _NULLS]
        if len(choices) == len(node[key]):
            continue
        _drop_null_default(node)
        if len(choices) > 1:
            node[key] = choices
            continue
        del node[key]
        only = choices[0] if choices else {"type": "null"}
        if isinstance(only, dict):
            node = _without_null({**only, **node})
    return node


def _drop_null_default(node: dict[str, Any]) -> None:
    if node.get("default", ...) is None:
        del node["default"]
