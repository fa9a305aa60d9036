"""JSON in the text of a model: alone, in code fences, or among words.

Nothing is repaired or guessed. JSON is taken as it is or not at all, and nothing is taken out of the inside of other
JSON. The work is linear in the length of the text.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_THOUGHTS = re.compile(r"\s*<think>(?:.*?</think>|.*)", re.DOTALL)
_FENCED = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_BRACKET = re.compile(r"[{\[]")
_MOST_TRIES = 1000
_DECODER = json.JSONDecoder()


class Piece(NamedTuple):
    """One piece of JSON in a text."""

    text: str
    value: Any


def without_thoughts(text: str) -> str:
    """Return a text without the `<think>` block at its beginning, which may hold drafts."""
    thoughts = _THOUGHTS.match(text)
    return text if thoughts is None else text[thoughts.end() :]


def pieces(text: str) -> Iterator[Piece]:
    """Yield the JSON in a text: the whole text, whole fenced blocks, then objects and arrays among words.

    Of the latter, only objects with properties and arrays that hold one count: `{}` and `[1]` occur in prose.
    """
    text = without_thoughts(text)
    for block in (text, *_FENCED.findall(text)):
        whole = block.strip()
        try:
            value, end = _DECODER.raw_decode(whole)
        except (ValueError, RecursionError):
            continue
        if end == len(whole):
            yield Piece(whole, value)
            if block is text:
                return
    start = 0
    for _ in range(_MOST_TRIES):
        bracket = _BRACKET.search(text, start)
        if bracket is None:
            return
        begin = bracket.start()
        try:
            value, start = _DECODER.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            start = max(error.pos, begin + 1)  # not inside what is broken
        except (ValueError, RecursionError):  # a number of more digits than Python reads; nested too deeply
            return
        else:
            if value and (isinstance(value, dict) or any(isinstance(one, dict) for one in value)):
                yield Piece(text[begin:start], value)


def problem(text: str) -> str | None:
    """Return why the first object or array of a text is no JSON; None if there is none or it is JSON."""
    text = without_thoughts(text)
    bracket = _BRACKET.search(text)
    if bracket is not None:
        try:
            _DECODER.raw_decode(text, bracket.start())
        except RecursionError:
            return "it is nested too deeply"
        except ValueError as error:
            return str(error)
    return None
