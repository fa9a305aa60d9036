"""The references of a JSON Schema, and schemas that are merged because a reference stands beside other keywords."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import Any
from urllib.parse import unquote

_DEFINITIONS = ("$defs", "definitions")
MAPS_OF_SCHEMAS = ("properties", "patternProperties", "dependentSchemas", "dependencies", *_DEFINITIONS)
ANNOTATIONS = ("title", "description")
_DATA = ("enum", "const", "default", "examples", "example", "required", "dependentRequired")  # not schemas
_LARGEST = 100_000
"""Parts a schema may have once its references are inlined: nested ones can make it endless."""
_TOO_LARGE = f"the schema has more than {_LARGEST} parts once its references are inlined"


class References:
    """The references of a schema or document: local ones, each a URI fragment with a JSON pointer.

    Args:
        root: The whole schema or document.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        if not isinstance(root, Mapping):
            raise TypeError(f"a JSON Schema is a mapping, such as Model.model_json_schema(), not {type(root).__name__}")
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
            return with_subschemas(kept, lambda part: self._inline(part, inside))
        target = target_of(self._root, reference)
        if reference not in inside:
            target = self._inline(target, (*inside, reference))
        elif self._cut:
            target = {key: target[key] for key in ("type", *ANNOTATIONS) if key in target}
        else:
            raise ValueError(f"the schema refers to itself at {reference!r}: describe the depth you need without $ref")
        beside = self._inline({key: value for key, value in node.items() if key != "$ref"}, inside)
        return merged(target, beside)

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


def target_of(root: Any, reference: object) -> Any:
    """Return the schema that a local reference leads to: a URI fragment with a JSON pointer.

    Args:
        root: The whole schema.
        reference: The value of `$ref`, for example `#/$defs/City`.

    Raises:
        ValueError: There is none.
    """
    if not isinstance(reference, str) or not reference.startswith("#"):
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
            with_subschemas({key: value for key, value in node.items() if key not in _DEFINITIONS}, waiting.append)


def with_subschemas(node: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a schema with each schema directly inside it changed. Constants, defaults and examples are kept."""
    # A property may be called `enum` or `$ref`: its name is not a keyword.
    return {
        key: value
        if key in _DATA
        else {name: change(schema) for name, schema in value.items()}
        if key in MAPS_OF_SCHEMAS and isinstance(value, dict)
        else change(value)
        for key, value in node.items()
    }


def merged(target: Any, beside: dict[str, Any]) -> Any:
    """Merge the keywords beside a reference into its target; those beside it win where both cannot apply."""
    if not isinstance(target, dict):
        return beside if target is True and beside else target
    return merged_all((target, beside))


def merged_all(schemas: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Merge the keywords of several schemas; the later ones win where they cannot apply together."""
    whole: dict[str, Any] = {}
    for one in schemas:
        for key, value in one.items():
            before = whole.get(key)
            if key in MAPS_OF_SCHEMAS and isinstance(value, dict):
                whole[key] = before if isinstance(before, dict) else {}
                whole[key].update(value)
            elif key == "required" and isinstance(value, list):
                whole[key] = before if isinstance(before, list) else []
                whole[key] += value
            else:
                whole[key] = value
    if isinstance(whole.get("required"), list):
        whole["required"] = distinct(whole["required"])
    return whole


def distinct(values: Iterable[Any]) -> list[Any]:
    """Return values, which may be lists and mappings, without repetitions."""
    return [*{repr(value): value for value in values}.values()]
