"""JSON Schema: a flat form for models that refuse a schema, and references inlined.

The schemas of callers are sent as written (reference, section 4.4). Nothing here changes them unless it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat._references import (
    ANNOTATIONS,
    MAPS_OF_SCHEMAS,
    References,
    distinct,
    merged,
    merged_all,
    with_subschemas,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["inline_references", "parameters_schema", "simplify"]

_CHOICES = ("anyOf", "oneOf")
_OMITTED = ("$schema", "$id", "$anchor", "$comment", "discriminator", "nullable")


def simplify(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat form of a schema, for models that refuse a schema with 422 (reference, section 4.4).

    In the flat form

    * a `$ref` is replaced by its target. Inside its own target it keeps type, title and description only;
    * `allOf` is merged. Of keywords that cannot be merged the last one is kept;
    * `null` is removed from choices, types and enumerations. A value that may be null should not be required;
    * `anyOf`, `oneOf` become one enumeration if they choose between constants, one object with all properties if they
      choose between objects (required are the properties that all of them require), and the first choice otherwise.
      A list of types becomes its first type;
    * the items of a tuple (`prefixItems`, or a list as `items`) have one schema, made of them as of `anyOf`;
    * the schema `true` is `{}`, a property that is `false` is omitted;
    * every object has `properties`;
    * `$defs`, `definitions`, `$schema`, `$id`, `$anchor`, `$comment`, `discriminator` and `nullable` are omitted.

    Other keywords are kept.

    Args:
        schema: A JSON Schema, for example `Model.model_json_schema()`. It is not changed.

    Raises:
        TypeError: The schema is not a mapping.
        ValueError: A reference leads nowhere or outside the schema, or the result would be too large.
    """
    return _changed(schema, lambda references: _flattened(references.inlined(cut=True)))


parameters_schema = simplify
"""The name of `simplify` in earlier versions."""


def inline_references(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with each local `$ref` replaced by its target, unless the target refers to itself.

    Definitions that are no longer referred to are omitted, as is `discriminator`, which refers to them. Everything else
    is unchanged.

    Args:
        schema: A JSON Schema. It is not changed.

    Raises:
        TypeError: The schema is not a mapping.
        ValueError: A reference leads nowhere or outside the schema, or the result would be too large.
    """
    return _changed(schema, lambda references: references.inlined())


def _changed(schema: Mapping[str, Any], change: Callable[[References], dict[str, Any]]) -> dict[str, Any]:
    try:
        return change(References(schema))
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None


def _flattened(node: Any) -> Any:
    if isinstance(node, list):
        return [_flattened(item) for item in node]
    if not isinstance(node, dict):
        return node
    flat = _without_tuple(_without_choices(node))
    flat = with_subschemas({key: value for key, value in flat.items() if key not in _OMITTED}, _flattened)
    for key in MAPS_OF_SCHEMAS:
        if isinstance(flat.get(key), dict):
            flat[key] = {name: {} if part is True else part for name, part in flat[key].items() if part is not False}
    if flat.get("type") == "object":
        flat.setdefault("properties", {})
    return flat


def _without_choices(node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without `allOf`, `anyOf`, `oneOf`, `null` and lists of types."""
    flat = dict(node)
    if flat.get("default", ...) is None and _admits_null(flat) and not _is_null(flat):
        del flat["default"]
    for key in ("allOf", "anyOf", "oneOf"):
        if not _are_schemas(flat.get(key)):
            continue
        parts = [_without_choices(part) if isinstance(part, dict) else part for part in flat.pop(key)]
        if key == "allOf":
            flat = merged_all((*(part for part in parts if isinstance(part, dict)), flat))
        else:
            flat = merged(_chosen(parts), flat)
    return _of_one_type(flat)


def _are_schemas(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, dict | bool) for part in value)


def _is_null(node: Any) -> bool:
    return isinstance(node, dict) and node.get("type") in ("null", ["null"])


def _admits_null(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    kind, values = node.get("type"), node.get("enum")
    choices = [part for key in _CHOICES if _are_schemas(node.get(key)) for part in node[key]]
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or (isinstance(values, list) and None in values)
        or any(map(_admits_null, choices))
    )


def _chosen(choices: list[Any]) -> dict[str, Any]:
    """Return one of several schemas, or what can be said of them together."""
    proper = [{} if choice is True else choice for choice in choices if choice is not False and not _is_null(choice)]
    if not proper:
        return {"type": "null"} if choices else {}
    if len(proper) == 1:
        return dict(proper[0])
    if all(map(_is_constant, proper)):
        values = [value for one in proper for value in (one["enum"] if "enum" in one else [one["const"]])]
        types = {str(one.get("type")) for one in proper}
        return {"enum": values, **({"type": proper[0]["type"]} if len(types) == 1 and "type" in proper[0] else {})}
    if all(isinstance(one.get("properties"), dict) for one in proper):
        return _one_object(proper)
    return dict(proper[0])


def _is_constant(node: dict[str, Any]) -> bool:
    return ("const" in node or isinstance(node.get("enum"), list)) and node.keys() <= {
        "const",
        "enum",
        "type",
        *ANNOTATIONS,
    }


def _one_object(choices: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one object with the properties of several. It requires the properties that each of them requires."""
    properties: dict[str, list[Any]] = {}
    for choice in choices:
        for name, one in choice["properties"].items():
            properties.setdefault(name, []).append(one)
    first, *others = choices
    same = {key: value for key, value in first.items() if all(key in one and one[key] == value for one in others)}
    required_by_others = [set(map(repr, _required(one))) for one in others]
    required = [name for name in _required(first) if all(repr(name) in names for names in required_by_others)]
    return {
        **same,
        "properties": {name: _any_of(distinct(ones)) for name, ones in properties.items()},
        **({"required": required} if required else {}),
    }


def _required(node: dict[str, Any]) -> list[Any]:
    required = node.get("required")
    return required if isinstance(required, list) else []


def _any_of(schemas: list[Any]) -> Any:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _of_one_type(node: dict[str, Any]) -> dict[str, Any]:
    kinds, values = node.get("type"), node.get("enum")
    if isinstance(values, list) and None in values and len(values) > 1:
        node = {**node, "enum": [value for value in values if value is not None] or [None]}
    if not isinstance(kinds, list) or not kinds:
        return node
    proper = [kind for kind in kinds if kind != "null"] or ["null"]
    if len(proper) > 1 and "enum" in node:
        return {key: value for key, value in node.items() if key != "type"}  # its values say it
    return {**node, "type": proper[0]}


def _without_tuple(node: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an array whose items have one schema."""
    items, prefix = node.get("items"), node.get("prefixItems")
    first, rest = (items, node.get("additionalItems")) if isinstance(items, list) else (prefix, items)
    flat = node
    if isinstance(first, list):
        choices = distinct(one for one in (*first, rest) if isinstance(one, dict))
        flat = {key: value for key, value in node.items() if key not in ("prefixItems", "additionalItems", "items")}
        if choices:
            flat["items"] = _any_of(choices)
    if isinstance(flat.get("items"), bool):
        flat = {key: value for key, value in flat.items() if key != "items"}
    return flat
