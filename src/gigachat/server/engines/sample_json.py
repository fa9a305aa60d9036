"""Sample values of a JSON Schema, for function arguments and structured answers of the echo.

A value keeps types, enumerations, required members and limits. Texts are the first proper name of the question, or all
of it; numbers are those of the question where they are allowed. A recursion and a text with a `pattern` are omitted
from optional members, items and alternatives, and refused elsewhere. The work is bounded: a schema that needs more
than `_LARGEST` steps is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from gigachat._references import target_of

_LARGEST = 10_000
"""Members, items, characters and merged keywords a schema may need."""
_FREE = 32
"""Keywords and required members that count as one step."""
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
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?![\w.])")


class Unfilled(ValueError):
    """No sample is made for this schema. The message says why."""


class _Impossible(Unfilled):
    """This place can't be filled, but may perhaps be left out."""


def sample(schema: Mapping[str, Any], text: str = "") -> Any:
    """Return a value that a JSON Schema allows.

    Args:
        schema: The whole schema; `$ref` is resolved inside it.
        text: Where texts come from.

    Raises:
        Unfilled: The schema is malformed, needs too much work, or requires a text that matches a `pattern`.
    """
    try:
        return _Sampler(schema, text).value(schema, inside=("#",))
    except (TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Unfilled(f"the JSON Schema is malformed ({type(error).__name__})") from None


class _Sampler:
    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self._root = root
        name = _NAME.search(text[:_TEXT])
        self._text = name.group() if name is not None else text.strip()[:_TEXT].strip()
        self._numbers = [float(number) for number in _NUMBER.findall(text[:_TEXT])]
        self._left = _LARGEST

    def value(self, schema: Any, name: str = "", index: int = 0, inside: tuple[str, ...] = ()) -> Any:
        """Return the value at a place.

        Args:
            schema: Its schema.
            name: Name of the member.
            index: Number of the item of an array.
            inside: The references that have led here.
        """
        if schema is False:
            raise _Impossible(f"the JSON Schema allows no value for {name}" if name else "the JSON Schema is false")
        if not isinstance(schema, Mapping):
            return self._text or name or "echo"
        self._spend(1 + (len(schema) + len(schema.get("required") or ())) // _FREE)
        for keyword in ("$ref", "allOf", "anyOf", "oneOf"):
            if keyword in schema:
                beside = {other: one for other, one in schema.items() if other != keyword}
                return self._combined(keyword, schema[keyword], beside, name, index, inside)
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
                return self._object(schema, inside)
            case "array":
                return self._array(schema, name, inside)
            case "integer" | "number" as kind:
                return _number(schema, self._numbers, index, whole=kind == "integer")
            case "boolean":
                return index % 2 == 0
            case "null":
                return None
            case _:
                return self._string(schema, name, index)

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Unfilled(f"the JSON Schema needs more than {_LARGEST} values or characters")

    def _combined(
        self, keyword: str, others: Any, beside: Mapping[str, Any], name: str, index: int, inside: tuple[str, ...]
    ) -> Any:
        """Return the value of a schema that refers to others."""
        if keyword == "$ref":
            if others in inside:
                raise _Impossible(f"the JSON Schema refers to itself without end at {others}")
            return self.value(self._merged([self._target(others)], beside), name, index, (*inside, others))
        if keyword == "allOf":
            return self.value(self._merged(others, beside), name, index, inside)
        self._spend(len(others))
        impossible = _Impossible("the JSON Schema has no alternatives")
        for other in sorted(others, key=lambda one: one == {"type": "null"}):
            try:
                return self.value(self._merged([other], beside), name, index, inside)
            except _Impossible as error:
                impossible = error
        raise impossible

    def _merged(self, parts: Iterable[Any], beside: Mapping[str, Any]) -> dict[str, Any]:
        """Return one schema for several, near enough to make a value that all of them allow."""
        merged: dict[str, Any] = {}
        properties: dict[str, Any] = {}
        required: list[str] = []
        for part in (beside, *parts):
            self._spend(1)
            if part is False:
                raise _Impossible("the JSON Schema allows no value")
            if isinstance(part, Mapping):
                self._spend(len(part) + len(part.get("properties") or ()) + len(part.get("required") or ()))
                merged |= part
                properties |= part.get("properties") or {}
                required += part.get("required") or ()
        return merged | {key: one for key, one in (("properties", properties), ("required", required)) if one}

    def _target(self, reference: str) -> Any:
        """Return what a local `$ref` points at; a schema that allows anything if it is not found."""
        try:
            return target_of(self._root, reference)
        except ValueError:
            return {}

    def _object(self, schema: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = dict.fromkeys(schema.get("required") or ())
        built: dict[str, Any] = {}
        for name, one in properties.items():
            try:
                built[name] = self.value(one, name, 0, inside)
            except _Impossible:
                if name in required:
                    raise
        names = [name for name in required if name not in properties]
        self._spend(schema.get("minProperties", 0))
        names += [f"key{number}" for number in range(len(built) + len(names), schema.get("minProperties", 0))]
        return built | {name: self.value(schema.get("additionalProperties"), name, 0, inside) for name in names}

    def _array(self, schema: Mapping[str, Any], name: str, inside: tuple[str, ...]) -> list[Any]:
        rest = schema.get("items")
        first = list(schema.get("prefixItems") or ())
        if isinstance(rest, list):  # a tuple before draft 2020-12
            first, rest = rest, schema.get("additionalItems")
        least = schema.get("minItems", 0)
        size = min(max(len(first), least, 1), schema.get("maxItems", _LARGEST))
        self._spend(size)
        built: list[Any] = []
        for index in range(size):
            try:
                one = first[index] if index < len(first) else rest
                built.append(self.value(one, name, index, inside))
            except _Impossible:
                if index < least:
                    raise
                break
        return built

    def _string(self, schema: Mapping[str, Any], name: str, index: int) -> str:
        if "pattern" in schema:
            what = f"the pattern of {name}" if name else "a pattern"
            raise _Impossible(f"the local server makes no text for {what}; order the answer with reply()")
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
        return text


def _number(schema: Mapping[str, Any], preferred: list[float], index: int, *, whole: bool) -> float:
    """Return the number at this place of an array: a preferred one, a multiple from a limit on, or the middle."""
    excluded = [schema[name] for name in ("exclusiveMinimum", "exclusiveMaximum") if name in schema]
    low = max(schema.get(name, -math.inf) for name in ("minimum", "exclusiveMinimum"))
    high = min(schema.get(name, math.inf) for name in ("maximum", "exclusiveMaximum"))
    step = schema.get("multipleOf") or 1
    if low > -math.inf:
        first, direction = math.ceil(low / step), 1
    else:
        first, direction = (math.floor(high / step), -1) if high < math.inf else (1, 1)
    tried = [] if "multipleOf" in schema else list(preferred)
    tried += [(first + direction * turn) * step for turn in range(_STEPS)]
    if math.isfinite(high - low):
        tried.append((low + high) / 2)
    allowed = [
        number
        for number in tried
        if low <= number <= high and number not in excluded and (not whole or float(number).is_integer())
    ]
    number: float = allowed[index % len(allowed)] if allowed else first * step
    return int(number) if float(number).is_integer() else number


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
