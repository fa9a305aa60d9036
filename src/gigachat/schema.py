"""JSON Schema: a flat form for models that refuse a schema, and references inlined.

The schemas of callers are sent as written (reference, section 4.4). Nothing here changes them unless it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["inline_references", "parameters_schema", "simplify"]

_DEFINITIONS = ("$defs", "definitions")
_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "dependentSchemas", "dependencies", *_DEFINITIONS)
_DATA = ("enum", "const", "default", "examples", "example", "required", "dependentRequired")  # not schemas
_CHOICES = ("anyOf", "oneOf")
_ABOUT = ("title", "description")
_NOT_TOLD = ("$schema", "$id", "$anchor", "$comment", "discriminator", "nullable")
_LARGEST = 100_000
"""Parts a schema may have once its references are inlined: nested ones can make it endless."""
_TOO_LARGE = f"the schema has more than {_LARGEST} parts once its references are inlined"


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
    try:
        simple: dict[str, Any] = _flattened(_References(schema).inlined(cut=True))
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None
    return simple


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
    try:
        inlined: dict[str, Any] = _References(schema).inlined()
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None
    return inlined


# References


class _References:
    """The references of a schema: local ones, each a URI fragment with a JSON pointer."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        if not isinstance(root, Mapping):
            raise TypeError(f"a JSON Schema is a mapping, such as Model.model_json_schema(), not {type(root).__name__}")
        self._root = root
        self._left = _LARGEST
        self._recursive: frozenset[str] = frozenset()

    def inlined(self, *, cut: bool = False) -> Any:
        """Return the root with its references inlined.

        Args:
            cut: Whether a reference inside its own target loses its parts. Otherwise it stays.
        """
        if not cut:
            self._recursive = self._on_circles()
        plain = self._inline({key: value for key, value in self._root.items() if key not in _DEFINITIONS}, ())
        kept: dict[str, Any] = {}
        waiting = list(_references(plain))
        while waiting:
            _, name, key, *_ = [*unquote(waiting.pop()).split("/"), "", ""]
            key = key.replace("~1", "/").replace("~0", "~")
            if name in _DEFINITIONS and key not in kept.get(name, {}):
                definition = self._inline(self._root[name][key], ())
                kept.setdefault(name, {})[key] = definition
                waiting += _references(definition)
        return {**plain, **kept}

    def _inline(self, node: Any, inside: tuple[str, ...]) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError(_TOO_LARGE)
        if isinstance(node, list | tuple):
            return [self._inline(item, inside) for item in node]
        if not isinstance(node, dict):
            return node
        reference = _reference(node)
        if reference is None or reference in self._recursive:
            # A reference that stays may lead into definitions.
            omitted = ("discriminator",) if self._recursive else (*_DEFINITIONS, "discriminator")
            kept = {key: value for key, value in node.items() if key not in omitted}
            return _with_parts(kept, lambda part: self._inline(part, inside))
        target = target_of(self._root, reference)
        if reference in inside:
            target = {key: target[key] for key in ("type", *_ABOUT) if key in target}
        else:
            target = self._inline(target, (*inside, reference))
        beside = self._inline({key: value for key, value in node.items() if key != "$ref"}, inside)
        return _both(target, beside)

    def _on_circles(self) -> frozenset[str]:
        """Return the references that lead back to themselves, and those between two such."""
        inside: dict[str, set[str]] = {}
        waiting = list(_references(self._root))
        while waiting:
            reference = waiting.pop()
            if reference not in inside:
                inside[reference] = set(_references(target_of(self._root, reference)))
                waiting += inside[reference]
        # A reference is on no cycle if it contains no other one, or if no other one contains it: remove these.
        return frozenset(_trimmed(_trimmed(inside)))


def _trimmed(inside: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return what contains each reference, without the references that contain none of those that are left.

    Args:
        inside: The references that each one contains.
    """
    containing: dict[str, set[str]] = {reference: set() for reference in inside}
    for reference, found in inside.items():
        for inner in found:
            containing[inner].add(reference)
    left = {reference: len(found) for reference, found in inside.items()}
    waiting = [reference for reference, number in left.items() if not number]
    while waiting:
        removed = waiting.pop()
        del left[removed]
        for outer in containing[removed]:
            left[outer] -= 1
            if not left[outer]:
                waiting.append(outer)
    return {reference: containing[reference] & left.keys() for reference in left}


def target_of(root: Any, reference: str) -> Any:
    """Return the schema that a local reference leads to: a URI fragment with a JSON pointer.

    Args:
        root: The whole schema.
        reference: The value of `$ref`, for example `#/$defs/City`.

    Raises:
        ValueError: There is none.
    """
    if not reference.startswith("#"):
        raise ValueError(f"the schema refers to {reference!r} outside itself: put the definition into the schema")
    target: Any = root
    start, *steps = unquote(reference).split("/")
    for step in steps if start == "#" else [start]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list | tuple) and step.isdecimal() and len(step) < 10 and int(step) < len(target):
            target = target[int(step)]
        elif isinstance(target, Mapping) and step in target:
            target = target[step]
        else:
            raise ValueError(f"the schema refers to {reference!r}, which it does not define")
    if not isinstance(target, Mapping | bool):
        raise ValueError(f"the schema refers to {reference!r}, which is not a schema")
    return target


def _reference(node: Mapping[str, Any]) -> str | None:
    reference = node.get("$ref")
    return reference if isinstance(reference, str) else None


def _references(node: Any) -> Iterator[str]:
    """Yield the references in a schema, without those of definitions.

    Raises:
        ValueError: The schema is too large, or contains itself.
    """
    waiting = [node]
    parts = 0
    while waiting:
        node = waiting.pop()
        parts += 1
        if parts > _LARGEST:
            raise ValueError(_TOO_LARGE)
        if isinstance(node, list | tuple):
            waiting += node
        elif isinstance(node, Mapping):
            reference = _reference(node)
            if reference is not None:
                yield reference
            _with_parts({key: value for key, value in node.items() if key not in _DEFINITIONS}, waiting.append)


def _with_parts(node: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
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


def _both(target: Any, beside: dict[str, Any]) -> Any:
    """Merge the keywords beside a reference into its target; those beside it win where both cannot apply."""
    if not isinstance(target, dict):
        return beside if target is True and beside else target
    return _merged((target, beside))


def _merged(schemas: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Merge the keywords of several schemas; the later ones win where they cannot apply together."""
    merged: dict[str, Any] = {}
    for one in schemas:
        for key, value in one.items():
            before = merged.get(key)
            if key in _MAPS_OF_SCHEMAS and isinstance(value, dict):
                merged[key] = before if isinstance(before, dict) else {}
                merged[key].update(value)
            elif key == "required" and isinstance(value, list):
                merged[key] = before if isinstance(before, list) else []
                merged[key] += value
            else:
                merged[key] = value
    if isinstance(merged.get("required"), list):
        merged["required"] = _different(merged["required"])
    return merged


def _different(values: Iterable[Any]) -> list[Any]:
    """Return values, which may be lists and mappings, without repetitions."""
    return [*{repr(value): value for value in values}.values()]


# The flat form


def _flattened(node: Any) -> Any:
    if isinstance(node, list):
        return [_flattened(item) for item in node]
    if not isinstance(node, dict):
        return node
    flat = _without_tuple(_without_choices(node))
    flat = _with_parts({key: value for key, value in flat.items() if key not in _NOT_TOLD}, _flattened)
    for key in _MAPS_OF_SCHEMAS:
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
            flat = _merged((*(part for part in parts if isinstance(part, dict)), flat))
        else:
            flat = _both(_chosen(parts), flat)
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
    return ("const" in node or isinstance(node.get("enum"), list)) and node.keys() <= {"const", "enum", "type", *_ABOUT}


def _one_object(choices: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an object with the properties of several, of which it must have those that each of them must have."""
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
        "properties": {name: _any_of(_different(ones)) for name, ones in properties.items()},
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
        choices = _different(one for one in (*first, rest) if isinstance(one, dict))
        flat = {key: value for key, value in node.items() if key not in ("prefixItems", "additionalItems", "items")}
        if choices:
            flat["items"] = _any_of(choices)
    if isinstance(flat.get("items"), bool):
        flat = {key: value for key, value in flat.items() if key != "items"}
    return flat
