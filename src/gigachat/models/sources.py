"""The sources that a text cites with marks such as `[sources=[2]]` (reference, section 5.6)."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["CitedSource"]

_MARK = re.compile(r"\[sources=\[([0-9,\s]+)\]\]")
_MOST_DIGITS = 9  # of a number; Python refuses to read thousands of them


@dataclass(frozen=True, slots=True)
class CitedSource:
    """A source that a text cites.

    Attributes:
        number: Its number in the mark.
        url: Its address.
        title: Its title.
    """

    number: int
    url: str | None = None
    title: str | None = None


def cited_sources(passages: Iterable[tuple[str | None, Sequence[Mapping[str, Any] | None]]]) -> list[CitedSource]:
    """Return the sources that texts cite, each once, in the order of their first marks.

    Args:
        passages: Each text, with the values of `inline_data` that its marks may refer to, the nearest first.
    """
    cited: dict[CitedSource, None] = {}
    for text, inline_data in passages:
        given = (data.get("sources") for data in inline_data if data)
        known: ChainMap[str, Any] = ChainMap(*(sources for sources in given if isinstance(sources, dict)))
        for mark in _MARK.finditer(text or ""):
            for number in mark[1].replace(",", " ").split():
                source = known.get(number)
                if isinstance(source, Mapping) and len(number) <= _MOST_DIGITS:
                    cited[CitedSource(int(number), _text(source.get("url")), _text(source.get("title")))] = None
    return list(cited)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
