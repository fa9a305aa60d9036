"""A valid instance of a JSON Schema, filled plausibly from the words of a text.

It serves function arguments and structured answers of the echo engine. It must not guess at meaning: a
number the text names is used where the schema allows it, otherwise the smallest allowed value stands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gigachat.server.engines.patterns import matching_text

_DEPTH = 6
"""Below this depth optional members and recursive branches are left out, so that recursion ends."""
_LARGEST = 10_000
"""Members, items and characters a schema may demand."""
_STEPS = 64
"""How many multiples are tried when a number is looked for."""
_TEXT = 2000
"""How much of the text is looked at."""
_FORMATS = {
    "date-time": "2026-01-21T11:49:30Z",
    "date": "2026-01-21",
    "time": "11:49:30Z",
    "duration": "PT1H",
    "email": "user@example.com",
    "idn-email": "user@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "iri": "https://example.com/",
    "uri-reference": "/example",
    "json-pointer": "/example",
    "regex": ".*",
    "byte": "0LXRhdC+",
    "binary": "echo",
}
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
_QUOTED = re.compile(r"[«\"“]([^»\"”]+)[»\"”]")
_PROPER = re.compile(r"(?<=[^.!?\s]\s)[A-ZА-ЯЁ][\w-]+(?:\s[A-ZА-ЯЁ][\w-]+)*")
_WORD = re.compile(r"[^\W\d_][\w-]*")
_WHOLE = {
    "text",
    "query",
    "question",
    "message",
    "content",
    "request",
    "prompt",
    "answer",
    "summary",
    "description",
}


class Filler:
    """Builds instances of one schema out of one text.

    Args:
        schema: The whole JSON Schema; `$ref` is resolved inside it.
        text: Where words and numbers come from.
    """

    def __init__(self, schema: Mapping[str, Any], text: str = "") -> None:
        self._root = schema
        self._text = text[:_TEXT]
        self._numbers = [float(number) for number in _NUMBER.findall(self._text)]
        self._left = _LARGEST
        self._open: list[str] = []
        """References being built: one that comes again is a recursion to end where the schema lets us."""

    def instance(self) -> Any:
        """Return one instance of the schema, always the same for the same text.

        Raises:
            ValueError: The schema is malformed, or demands more than a local server should build.
        """
        try:
            return self._build(self._root, "", 0, 0)
        except (TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"the JSON Schema is malformed ({type(error).__name__})") from None

    def _build(self, schema: Any, name: str, depth: int, index: int) -> Any:
        if not isinstance(schema, Mapping):
            return self._words(name)
        self._spend(1)
        outside = len(self._open)
        try:
            return self._built(self._resolved(schema, depth), name, depth, index)
        finally:
            del self._open[outside:]

    def _built(self, schema: Mapping[str, Any], name: str, depth: int, index: int) -> Any:
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][index % len(schema["enum"])]
        if index == 0:
            if schema.get("default") is not None:
                return schema["default"]
            if schema.get("examples"):
                return schema["examples"][0]
        match self._type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number" as kind:
                return self._number(schema, index, whole=kind == "integer")
            case "boolean":
                return index % 2 == 0
            case "null":
                return None
            case _:
                return self._string(schema, name, index)

    def _resolved(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """Return the schema with references followed, unions decided and conjunctions merged."""
        merged: dict[str, Any] = dict(schema)
        for _ in range(32):  # A reference to itself would never end.
            if "$ref" in merged:
                reference = str(merged.pop("$ref"))
                self._open.append(reference)
                merged = _merge(self._target(reference), merged)
            elif "allOf" in merged:
                for part in merged.pop("allOf"):
                    merged = _merge(merged, part)
            elif "anyOf" in merged or "oneOf" in merged:
                branches = merged.pop("anyOf" if "anyOf" in merged else "oneOf")
                merged = _merge(merged, self._branch(branches, depth))
            else:
                break
        return merged

    def _recursive(self, schema: Any, depth: int) -> bool:
        """Tell whether building this schema would go round in a circle, or too deep."""
        return depth >= _DEPTH or (isinstance(schema, Mapping) and schema.get("$ref") in self._open)

    def _branch(self, branches: Any, depth: int) -> Any:
        """Return the alternative to build: the first that is not null and not a recursion."""
        if not isinstance(branches, Sequence) or not branches:
            return {}
        null = [one for one in branches if isinstance(one, Mapping) and one.get("type") == "null"]
        others = [one for one in branches if one not in null]
        ending = [one for one in others if not self._recursive(one, 0)]
        preferred = null or ending if depth >= _DEPTH else ending or null
        return (preferred or others)[0]

    def _target(self, reference: str) -> Mapping[str, Any]:
        """Return what a local `$ref` points at; what can't be found allows anything."""
        node: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping) and step in node:
                node = node[step]
            elif isinstance(node, Sequence) and step.isdigit() and int(step) < len(node):
                node = node[int(step)]
            else:
                return {}
        return node if isinstance(node, Mapping) else {}

    def _spend(self, size: int) -> None:
        """Count what is built against what may be."""
        self._left -= size
        if self._left < 0:
            raise ValueError(f"the JSON Schema demands more than {_LARGEST} values or characters")

    def _type(self, schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        if isinstance(kind, str):
            return kind
        if "properties" in schema or "required" in schema or "additionalProperties" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        if {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"} & schema.keys():
            return "number"
        return "string"

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = list(schema.get("required") or ())
        names = [name for name in properties if name in required or not self._recursive(properties[name], depth)]
        names += [name for name in required if name not in properties]
        extra = schema.get("additionalProperties")
        self._spend(schema.get("minProperties", 0))
        while len(names) < schema.get("minProperties", 0):
            names.append(f"key{len(names) + 1}")
        return {name: self._build(properties.get(name, extra), name, depth + 1, 0) for name in names}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first = list(schema.get("prefixItems") or ())
        items = schema.get("items")
        least = schema.get("minItems", 0)
        wanted = len(first)
        if items is not False and not self._recursive(items, depth):
            wanted = max(wanted, 1)
        size = min(max(least, wanted), schema.get("maxItems", max(least, wanted)))
        self._spend(max(size, 0))
        schemas = (first + [items] * size)[:size]
        return [self._build(one, name, depth + 1, index) for index, one in enumerate(schemas)]

    def _number(self, schema: Mapping[str, Any], index: int, *, whole: bool) -> float:
        """Return the number at this place of an array: of the text if allowed, else the next allowed one."""
        step = schema.get("multipleOf")
        low, open_low = _limit(schema, "minimum", "exclusiveMinimum", max)
        high, open_high = _limit(schema, "maximum", "exclusiveMaximum", min)

        def allowed(number: float) -> bool:
            return not (
                (whole and not float(number).is_integer())
                or (low is not None and (number < low or (open_low and number == low)))
                or (high is not None and (number > high or (open_high and number == high)))
                or (step and abs(number / step - round(number / step)) > 1e-9)
            )

        unit = step or 1
        if low is not None:
            steps = [(math.ceil(low / unit) + turn) * unit for turn in range(_STEPS)]
        elif high is not None:
            steps = [(math.floor(high / unit) - turn) * unit for turn in range(_STEPS)]
        else:
            steps = [(1 + turn) * unit for turn in range(_STEPS)]
        between = [(low + high) / 2] if low is not None and high is not None else []
        found = list(dict.fromkeys(one for one in (*self._numbers, *steps, *between) if allowed(one)))
        number = found[index % len(found)] if found else low or high or 0
        return int(number) if float(number).is_integer() else number

    def _string(self, schema: Mapping[str, Any], name: str, index: int) -> str:
        form = str(schema.get("format"))
        if form.startswith("uuid"):  # pydantic names the version: uuid4
            return f"00000000-0000-{form[4:] or 4}000-8000-{index + 1:012}"
        if form in _FORMATS:
            return _FORMATS[form]
        least = schema.get("minLength", 0)
        most = schema.get("maxLength")
        self._spend(least)
        if "pattern" in schema:
            return matching_text(str(schema["pattern"]), least)
        text = self._words(name)
        if index:
            text = f"{text} {index + 1}"
        if len(text) < least:
            text = (text + " ") * (least // (len(text) + 1) + 1)
            text = text[:least]
        return text if most is None else text[:most]

    def _words(self, name: str) -> str:
        """Return words of the text that suit a member of this name."""
        if not self._text.strip():
            return name or "echo"
        if name.lower() in _WHOLE:
            return self._text.strip()[:200]
        for pattern in (_QUOTED, _PROPER):
            found = pattern.search(self._text)
            if found is not None:
                return found.group(1) if pattern is _QUOTED else found.group()
        words = _WORD.findall(self._text)
        return words[-1] if words else self._text.strip()[:40]


def _merge(first: Mapping[str, Any], second: Any) -> dict[str, Any]:
    """Return the conjunction of two schemas, near enough to build an instance of both."""
    if not isinstance(second, Mapping):
        return dict(first)
    merged = {**first, **second}
    for key in ("properties", "$defs"):
        if isinstance(first.get(key), Mapping) and isinstance(second.get(key), Mapping):
            merged[key] = {**first[key], **second[key]}
    if first.get("required") and second.get("required"):
        merged["required"] = [
            *first["required"],
            *(name for name in second["required"] if name not in first["required"]),
        ]
    return merged


def _limit(schema: Mapping[str, Any], closed: str, opened: str, tighter: Any) -> tuple[float | None, bool]:
    """Return the tighter of a closed and an open limit, and whether it is open."""
    if opened not in schema:
        return schema.get(closed), False
    if closed not in schema:
        return schema[opened], True
    limit = tighter(schema[closed], schema[opened])
    return limit, limit == schema[opened]
