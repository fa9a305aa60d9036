"""Sample values of a JSON Schema, for function arguments and structured answers of the echo.

A value keeps types, enumerations, required members and limits. Numbers of the question are used where the schema
allows them; texts are the first proper name in it, or all of it. The work is bounded: a schema that demands more than
`_LARGEST` steps is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gigachat.schema import target_of
from gigachat.server.patterns import Pattern

_DEPTH = 6
"""Below this depth optional members and recursive branches are left out, so that recursion ends."""
_LARGEST = 10_000
"""Members, items, characters and merged parts a schema may demand."""
_FREE_KEYWORDS = 32
"""Each so many keywords of a schema count as one step."""
_STEPS = 64
"""How many multiples are tried to find a number."""
_TEXT = 200
_FORMATS = {
    "date-time": "2026-01-21T11:49:30Z",
    "date": "2026-01-21",
    "time": "11:49:30Z",
    "duration": "PT1H",
    "email": "user@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
}
_NAME = re.compile(r"(?<=[^.!?\s]\s)[A-ZА-ЯЁ][\w-]+(?:\s[A-ZА-ЯЁ][\w-]+)*")
"""A proper name: capitalized words that begin no sentence."""
_REPEATED = re.compile(r"\d{1,9}(?=\})")
"""The counts in a regular expression, which make it large."""
_COUNTED = 500
"""Most steps that a regular expression counts."""
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?![\w.])")


class Unfilled(ValueError):
    """No sample is made for this schema. The message says why."""


class _NoText(Unfilled):
    """The text must match a pattern. A member that is not required is left out."""


def sample(schema: Mapping[str, Any], text: str = "") -> Any:
    """Return a value that a JSON Schema allows.

    Args:
        schema: The whole schema; `$ref` is resolved inside it.
        text: Where texts and numbers come from.

    Raises:
        Unfilled: The schema is malformed, demands too much, or demands a text that matches a `pattern`.
    """
    try:
        return _Sampler(schema, text).value(schema, "", 0, 0)
    except RecursionError:
        raise Unfilled("the JSON Schema demands values that are nested too deeply") from None
    except (TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise Unfilled(f"the JSON Schema is malformed ({type(error).__name__})") from None


class _Sampler:
    def __init__(self, schema: Mapping[str, Any], text: str) -> None:
        self._root = schema
        name = _NAME.search(text[:_TEXT])
        self._text = name.group() if name is not None else text.strip()[:_TEXT].strip()
        self._numbers = [float(number) for number in _NUMBER.findall(text[:_TEXT])]
        self._left = _LARGEST
        self._open: list[str] = []
        self._patterns: dict[str, Pattern | None] = {}

    def value(self, schema: Any, name: str, depth: int, index: int) -> Any:
        """Return the value at a place: the member `name`, the item `index` of an array."""
        if not isinstance(schema, Mapping):
            return self._text or name or "echo"
        self._spend(1 + len(schema) // _FREE_KEYWORDS)
        outside = len(self._open)
        try:
            return self._value(self._resolved(schema, depth), name, depth, index)
        finally:
            del self._open[outside:]

    def _value(self, schema: Mapping[str, Any], name: str, depth: int, index: int) -> Any:
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][index % len(schema["enum"])]
        if index == 0 and schema.get("default") is not None:
            return schema["default"]
        if index == 0 and schema.get("examples"):
            return schema["examples"][0]
        match _type(schema):
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

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Unfilled(f"the JSON Schema demands more than {_LARGEST} values or characters")

    def _resolved(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """Return the schema with references followed, alternatives chosen and `allOf` merged."""
        merged: dict[str, Any] = dict(schema)
        for _ in range(32):  # a reference to itself would never end
            if "$ref" in merged:
                reference = str(merged.pop("$ref"))
                self._open.append(reference)
                self._merge(merged, [self._target(reference)])
            elif "allOf" in merged:
                self._merge(merged, merged.pop("allOf"))
            elif "anyOf" in merged or "oneOf" in merged:
                self._merge(merged, [self._branch(merged.pop("anyOf" if "anyOf" in merged else "oneOf"), depth)])
            else:
                break
        return merged

    def _merge(self, merged: dict[str, Any], parts: Sequence[Any]) -> None:
        """Add the keywords of other schemas to one, near enough to make a value that all of them allow."""
        required = list(merged.get("required") or ())
        properties = dict(merged.get("properties") or {})
        for part in parts:
            if isinstance(part, Mapping):
                self._spend(1 + len(part) + len(part.get("properties") or ()) + len(part.get("required") or ()))
                merged.update(part)
                required += part.get("required") or ()
                properties.update(part.get("properties") or {})
        if required:
            merged["required"] = required
        if properties:
            merged["properties"] = properties

    def _recursive(self, schema: Any, depth: int) -> bool:
        return depth >= _DEPTH or (isinstance(schema, Mapping) and schema.get("$ref") in self._open)

    def _branch(self, branches: Any, depth: int) -> Any:
        """Return the first alternative that is neither null nor recursive; below the depth limit null if allowed."""
        if not isinstance(branches, Sequence) or not branches:
            return {}
        self._spend(len(branches))
        null = [one for one in branches if isinstance(one, Mapping) and one.get("type") == "null"]
        others = [one for one in branches if not (isinstance(one, Mapping) and one.get("type") == "null")]
        ending = [one for one in others if not self._recursive(one, 0)]
        preferred = null or ending if depth >= _DEPTH else ending or null
        return (preferred or others)[0]

    def _target(self, reference: str) -> Mapping[str, Any]:
        """Return what a local `$ref` points at; a schema that allows anything if it is not found."""
        try:
            target = target_of(self._root, reference)
        except ValueError:
            return {}
        return target if isinstance(target, Mapping) else {}

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = dict.fromkeys(schema.get("required") or ())
        self._spend(len(schema.get("required") or ()) // _FREE_KEYWORDS)
        extra = schema.get("additionalProperties")
        built: dict[str, Any] = {}
        for name, one in properties.items():
            if one is False or (name not in required and self._recursive(one, depth)):
                continue
            try:
                built[name] = self.value(one, name, depth + 1, 0)
            except _NoText:
                if name in required:
                    raise
        names = [name for name in required if name not in properties]
        self._spend(schema.get("minProperties", 0))
        names += [f"key{number}" for number in range(len(built) + len(names), schema.get("minProperties", 0))]
        return built | {name: self.value(extra, name, depth + 1, 0) for name in names}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        items = schema.get("items")
        if isinstance(items, list):  # a tuple before draft 2020-12
            first, items = items, schema.get("additionalItems")
        else:
            first = list(schema.get("prefixItems") or ())
        wanted = max(len(first), 0 if items is False or self._recursive(items, depth) else 1, schema.get("minItems", 0))
        size = max(0, min(wanted, schema.get("maxItems", wanted)))
        self._spend(size)
        schemas = (first + [items] * size)[:size]
        return [self.value(one, name, depth + 1, index) for index, one in enumerate(schemas)]

    def _number(self, schema: Mapping[str, Any], index: int, *, whole: bool) -> float:
        """Return the number at this place of an array: of the text if allowed, else the next allowed one."""
        lows = [schema[name] for name in ("minimum", "exclusiveMinimum") if name in schema]
        highs = [schema[name] for name in ("maximum", "exclusiveMaximum") if name in schema]
        low, high = max(lows, default=-math.inf), min(highs, default=math.inf)
        step = schema.get("multipleOf")

        def allowed(number: float) -> bool:
            return (
                low <= number <= high
                and number not in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum"))
                and (not whole or float(number).is_integer())
                and not (step and abs(number / step - round(number / step)) > 1e-9)
            )

        unit = step or 1
        if lows:
            start, direction = math.ceil(low / unit), 1
        else:
            start, direction = (math.floor(high / unit), -1) if highs else (1, 1)
        tried = [*self._numbers, *((start + direction * turn) * unit for turn in range(_STEPS))]
        if lows and highs:
            tried.append((low + high) / 2)
        found = list(dict.fromkeys(filter(allowed, tried)))
        number: float = found[index % len(found)] if found else tried[0]
        return int(number) if float(number).is_integer() else number

    def _string(self, schema: Mapping[str, Any], name: str, index: int) -> str:
        form = str(schema.get("format"))
        if form.startswith("uuid"):  # pydantic names the version: uuid4
            return f"00000000-0000-{form[4:] or 4}000-8000-{index + 1:012}"
        text = _FORMATS.get(form) or self._text or name or "echo"
        if form not in _FORMATS:
            text = f"{text} {index + 1}" if index else text
            least = schema.get("minLength", 0)
            self._spend(least)
            text = (text + " ") * (least // (len(text) + 1)) + text
            text = text[: schema.get("maxLength", max(least, len(text)))]
        if "pattern" in schema and not self._matches(str(schema["pattern"]), text):
            what = f"the pattern of {name}" if name else "a pattern"
            raise _NoText(f"the local server makes no text for {what}; order the answer with reply()")
        return text

    def _matches(self, pattern: str, text: str) -> bool:
        if pattern not in self._patterns:
            counts = sum(map(int, _REPEATED.findall(pattern[:_LARGEST])))
            self._spend(min(len(pattern) // 2 + counts**2, _COUNTED))
            try:
                self._patterns[pattern] = Pattern(pattern)
            except ValueError:
                self._patterns[pattern] = None
        found = self._patterns[pattern]
        return found is not None and found.found_in(text)


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    if schema.keys() & {"properties", "required", "additionalProperties"}:
        return "object"
    if schema.keys() & {"items", "prefixItems"}:
        return "array"
    if schema.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}:
        return "number"
    return "string"
