"""A text that matches a regular expression: enough of the syntax for patterns found in JSON Schemas.

Literals, escapes, classes, groups, alternatives and repetitions are built; look-around and back-references
are not, and their presence gives an empty text. It must not be used to check a text: that is what `re` is
for.
"""

from __future__ import annotations

import re

_CLASSES = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_COUNT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")

_LONGEST = 100_000


class _Unknown(Exception):
    """The pattern uses syntax that is not built here, or demands too long a text."""


def matching_text(pattern: str, least: int = 0) -> str:
    """Return a text that matches the pattern, of at least `least` characters where a repetition lets it grow.

    Args:
        pattern: A regular expression.
        least: Wanted length in characters.

    Returns:
        A matching text; an empty one when the pattern uses syntax that is not built here, goes too deep or demands
        too long a text.
    """
    try:
        shortest = _Reader(pattern, 0).read()
        if len(shortest) >= least:
            return shortest
        return _Reader(pattern, least).read()
    except (_Unknown, IndexError, RecursionError):
        return ""


class _Reader:
    def __init__(self, pattern: str, grow: int) -> None:
        self._pattern = pattern
        self._grow = grow
        self._at = 0

    def read(self) -> str:
        text = self._alternatives()
        if self._at < len(self._pattern):
            raise _Unknown
        return text

    def _next(self) -> str:
        char = self._pattern[self._at]
        self._at += 1
        return char

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _alternatives(self) -> str:
        first = self._sequence()
        while self._peek() == "|":
            self._at += 1
            self._sequence()
        return first

    def _sequence(self) -> str:
        text = ""
        while self._peek() not in ("", "|", ")"):
            char = self._next()
            if char in "^$":
                continue
            text += self._repeated(self._atom(char))
            if len(text) > _LONGEST:
                raise _Unknown
        return text

    def _atom(self, char: str) -> str:
        if char == "(":
            return self._group()
        if char == "[":
            return self._set()
        if char == "\\":
            return self._escape()
        return "a" if char == "." else char

    def _group(self) -> str:
        if self._peek() == "?":
            self._at += 1
            kind = self._next()
            if kind == "P":
                kind = self._next()
            if kind == "<" and self._peek() not in ("=", "!"):
                while self._next() != ">":
                    pass
            elif kind != ":":
                raise _Unknown
        text = self._alternatives()
        if self._next() != ")":
            raise _Unknown
        return text

    def _escape(self) -> str:
        char = self._next()
        if char in "bB":
            return ""
        if char in "xupPkN" or char.isdigit():
            raise _Unknown
        return _CLASSES.get(char) or _ESCAPES.get(char, char)

    def _set(self) -> str:
        start = self._at - 1
        if self._peek() == "^":
            self._at += 1
        if self._peek() == "]":
            self._at += 1
        while (char := self._next()) != "]":
            if char == "\\":
                self._at += 1
        inside = self._pattern[start + 1 : self._at - 1]
        if "--" in inside:  # `re` warns of it, as of the characters escaped below
            raise _Unknown
        try:
            members = re.compile("[" + re.sub(r"(?<!\\)[\[&|~]", r"\\\g<0>", inside) + "]")
        except re.error:
            raise _Unknown from None
        for candidate in map(
            chr, (*range(97, 123), *range(65, 91), *range(48, 58), *range(32, 127), *range(0x400, 0x500))
        ):
            if members.fullmatch(candidate):
                return candidate
        raise _Unknown

    def _repeated(self, atom: str) -> str:
        char = self._peek()
        low, high = 1, 1
        if char and char in "*+?":
            self._at += 1
            low, high = {"*": (0, self._grow), "+": (1, self._grow), "?": (0, 1)}[char]
        elif (count := _COUNT.match(self._pattern, self._at)) is not None:
            self._at = count.end()
            low = int(count[1])
            high = low if count[2] is None else int(count[3] or self._grow)
        else:
            return atom
        if self._peek() in ("?", "+"):  # lazy and possessive match the same text
            self._at += 1
        times = max(low, min(high, self._grow))
        if len(atom) * times > _LONGEST:
            raise _Unknown
        return atom * times
