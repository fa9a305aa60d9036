"""JSON Schema: a flat form for models that refuse a schema, and references inlined.

The schemas of callers are sent as written (reference, section 4.4). Nothing here changes them unless it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import Any
from urllib.parse import unquote

__all__ = ["inline_references", "parameters_schema", "simplify"]

_DEFINITIONS = ("$defs", "definitions")
_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "dependentSchemas", "dependencies", *_DEFINITIONS)
_DATA = ("enum", "const", "default", "examples", "example", "required", "dependentRequired")  # not schemas
_CHOICES = ("anyOf", "oneOf")
_ANNOTATIONS = ("title", "description")
_OMITTED = ("$schema", "$id", "$anchor", "$comment", "discriminator", "nullable")
_LARGEST = 100_000
"""Parts a schema may have once its references are inlined: nested ones can make it endless."""


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
        ValueError: A reference leads nowhere or outside the schema, or the result would be too large.
    """
    return _changed(schema, lambda references: references.inlined())


def _changed(schema: Mapping[str, Any], change: Callable[[References], dict[str, Any]]) -> dict[str, Any]:
    try:
        return change(References(schema))
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None


# References


class References:
    """The references of a schema or document: local ones, each a URI fragment with a JSON pointer.

    Args:
        root: The whole schema or document.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._cut = False
        self._left = _LARGEST
        self._recursive: frozenset[str] = frozenset()

    def inlined(self, *, cut: bool = False) -> dict[str, Any]:
        """Return the root with its references inlined.

        Args:
            cut: Whether a reference inside its own target loses its parts. Otherwise it stays.
        """
        self._cut = cut
        if not cut:
            self._recursive = self._cyclic()
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

    def inlined_part(self, part: Any) -> Any:
        """Return a part of the root with its references inlined.

        Raises:
            ValueError: A reference leads nowhere, outside the root or to itself, or the parts would be too large.
        """
        return self._inline(part, ())

    def _inline(self, node: Any, inside: tuple[str, ...]) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"the schema has more than {_LARGEST} parts once its references are inlined")
        if isinstance(node, list | tuple):
            return [self._inline(item, inside) for item in node]
        if not isinstance(node, dict):
            return node
        reference = _reference(node)
        if reference is None or reference in self._recursive:
            # A reference that stays may lead into definitions.
            omitted = ("discriminator",) if self._recursive else (*_DEFINITIONS, "discriminator")
            kept = {key: value for key, value in node.items() if key not in omitted}
            return with_subschemas(kept, lambda part: self._inline(part, inside))
        target = target_of(self._root, reference)
        if reference not in inside:
            target = self._inline(target, (*inside, reference))
        elif self._cut:
            target = {key: target[key] for key in ("type", *_ANNOTATIONS) if key in target}
        else:
            raise ValueError(f"the schema refers to itself at {reference!r}: describe the depth you need without $ref")
        beside = self._inline({key: value for key, value in node.items() if key != "$ref"}, inside)
        return _merged(target, beside)

    def _cyclic(self) -> frozenset[str]:
        """Return the references that lead back to themselves, and those between two such."""
        contained: dict[str, set[str]] = {}
        waiting = list(_references(self._root))
        while waiting:
            reference = waiting.pop()
            if reference not in contained:
                contained[reference] = set(_references(target_of(self._root, reference)))
                waiting += contained[reference]
        containing: dict[str, set[str]] = {reference: set() for reference in contained}
        for reference, inside in contained.items():
            for one in inside:
                containing[one].add(reference)
        return _without_order(contained) & _without_order(containing)


def _without_order(graph: Mapping[str, Collection[str]]) -> frozenset[str]:
    """Return the nodes that have no place in a topological order, because a cycle comes before them."""
    sorter = TopologicalSorter(graph)
    ordered: set[str] = set()
    with suppress(CycleError):  # the order of the other nodes is known all the same
        sorter.prepare()
    while ready := sorter.get_ready():
        ordered.update(ready)
        sorter.done(*ready)
    return frozenset(graph.keys() - ordered)


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
    """Yield the references in a schema, without those of definitions."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list | tuple):
            waiting += node
        elif isinstance(node, Mapping):
            reference = _reference(node)
            if reference is not None:
                yield reference
            with_subschemas({key: value for key, value in node.items() if key not in _DEFINITIONS}, waiting.append)


def with_subschemas(node: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a schema with each schema directly inside it changed. Constants, defaults and examples are kept."""
    # A property may be called `enum` or `$ref`: its name is not a keyword.
    return {
        key: value
        if key in _DATA
        else {name: change(schema) for name, schema in value.items()}
        if key in _MAPS_OF_SCHEMAS and isinstance(value, dict)
        else change(value)
        for key, value in node.items()
    }


def _merged(target: Any, beside: dict[str, Any]) -> Any:
    """Merge the keywords beside a reference into its target; those beside it win where both cannot apply."""
    if not isinstance(target, dict):
        return beside if target is True and beside else target
    merged = {**target, **beside}
    for key in (*_MAPS_OF_SCHEMAS, "required"):
        ours, theirs = beside.get(key), target.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            merged[key] = {**theirs, **ours}
        elif isinstance(ours, list) and isinstance(theirs, list):
            merged[key] = [*theirs, *(name for name in ours if name not in theirs)]
    return merged


# The flat form


def _flattened(node: Any) -> Any:
    if isinstance(node, list):
        return [_flattened(item) for item in node]
    if not isinstance(node, dict):
        return node
    flat = _without_tuple(_without_choices(node))
    flat = with_subschemas({key: value for key, value in flat.items() if key not in _OMITTED}, _flattened)
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
            for part in reversed(parts):
                flat = _merged(part, flat) if isinstance(part, dict) else flat
        else:
            flat = _merged(_chosen(parts), flat)
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
        *_ANNOTATIONS,
    }


def _one_object(choices: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one object with the properties of several. It requires the properties that each of them requires."""
    properties: dict[str, list[Any]] = {}
    for choice in choices:
        for name, one in choice["properties"].items():
            found = properties.setdefault(name, [])
            if one not in found:
                found.append(one)
    first, *others = choices
    same = {key: value for key, value in first.items() if all(key in one and one[key] == value for one in others)}
    required = [
        name for name in first.get("required") or () if all(name in (one.get("required") or ()) for one in others)
    ]
    return {
        **same,
        "properties": {name: ones[0] if len(ones) == 1 else {"anyOf": ones} for name, ones in properties.items()},
        **({"required": required} if required else {}),
    }


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
        choices: list[Any] = []
        for one in (*first, rest):
            if isinstance(one, dict) and one not in choices:
                choices.append(one)
        flat = {key: value for key, value in node.items() if key not in ("prefixItems", "additionalItems", "items")}
        if choices:
            flat["items"] = choices[0] if len(choices) == 1 else {"anyOf": choices}
    if isinstance(flat.get("items"), bool):
        flat = {key: value for key, value in flat.items() if key != "items"}
    return flat
