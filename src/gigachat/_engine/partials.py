"""Values of a structured answer while it is streamed: the finished elements of a list, or an object that grows.

The text is parsed when it has grown by 64 characters and by a twentieth, and elements that are finished only once: the
work is linear in its length.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gigachat._engine.json_text import without_thoughts

if TYPE_CHECKING:
    from gigachat._engine.value_type import ValueType

_LEAST = 64
_SHARE = 20
_OBJECT = re.compile(r'\{\s*["}]')
_BARE_OBJECT = re.compile(r'\{\s*"(?!value")[^"\\]*"\s*:')  # where `{"value": …}` is expected
_WRAPPED = re.compile(r'\{\s*"value"\s*:\s*')
_ARRAY = re.compile(r"\s*(?:```\w*\s*)?(?=\[)")
_SPACE = re.compile(r"\s*")
_AFTER_ELEMENT = re.compile(r"\s*([,\]])")
_DECODER = json.JSONDecoder()


class Partials:
    """The partial values of one answer.

    Args:
        kind: Type of the whole value.
    """

    def __init__(self, kind: ValueType) -> None:
        self.kind = kind
        self._pieces: list[str] = []
        self._size = 0
        self._enough = _LEAST
        self._begun = False
        self._elements: list[Any] | None = None  # of a list
        self._last: Any = None
        self._over = False

    def feed(self, piece: str) -> Any:
        """Take more text and return the value so far; None if there is nothing new.

        Returns:
            A list of the finished elements, each validated, if the value is a list; otherwise a dictionary of plain
            JSON, whose last text may be cut. It is a new object.
        """
        if self._over:
            return None
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size < self._enough:
            return None
        text = "".join(self._pieces)
        if not self._begun:
            text = self._from_its_beginning(text)
        value: Any = None
        if self._begun:
            if self._elements is None:
                value = self._object(text)
            else:
                before = len(self._elements)
                text = self._rest(text, self._elements)
                value = self._elements[:] if len(self._elements) > before else None
        self._pieces = [text]
        self._size = len(text)
        self._enough = self._size + max(_LEAST, self._size // _SHARE)
        return value

    def _from_its_beginning(self, text: str) -> str:
        """Return a text from the beginning of the value, if it has arrived."""
        known = without_thoughts(text)
        begin = self._beginning(known)
        if begin is None or begin == len(known):
            return text
        self._begun = True
        if self.kind.wrapped and known[begin] == "[":
            self._elements = []
            begin += 1
        return known[begin:]

    def _beginning(self, text: str) -> int | None:
        if self.kind.wrapped and (found := _WRAPPED.search(text) or _ARRAY.match(text)):
            return found.end()
        found = (_BARE_OBJECT if self.kind.wrapped else _OBJECT).search(text)
        return None if found is None else found.start()

    def _object(self, text: str) -> Any:
        from pydantic_core import from_json

        try:
            value = from_json(text, allow_partial="trailing-strings")
        except ValueError:
            value = None
        if not isinstance(value, dict) or value == self._last:
            return None
        self._last = value
        return value

    def _rest(self, text: str, elements: list[Any]) -> str:
        """Add the finished elements at the beginning of a text and return the rest of it."""
        at = 0
        while True:
            begin = _SPACE.match(text, at).end()  # type: ignore[union-attr]
            try:
                _, end = _DECODER.raw_decode(text, begin)
            except (ValueError, RecursionError):
                return text[at:]
            after = _AFTER_ELEMENT.match(text, end)
            if after is None:  # more digits of a number may follow
                return text[at:]
            element = self._validated(text[begin:end])
            if element is None:
                self._over = True
                return ""
            elements += element
            at = after.end()
            if after[1] == "]":
                self._over = True
                return ""

    def _validated(self, element: str) -> list[Any] | None:
        """Return an element as a list of one; None if the whole value will not fit, or is not only a list."""
        try:
            value = self.kind.validate(f"[{element}]")
        except Exception:  # also of a type's own validator
            return None
        return value if isinstance(value, list) else None
