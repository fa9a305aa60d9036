"""Docstrings of tools: the description of the function and the texts of its parameters.

docstring-parser finds the parameters, in the style of Google, NumPy, Sphinx or epytext. The description is the rest of
the docstring, with all its lines: the parser itself drops what follows a section.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_HEADER = re.compile(r"\s*(args|arguments|params|parameters|keyword (args|arguments)|other parameters)\s*:?\s*", re.I)
_UNDERLINE = re.compile(r"\s*-{3,}\s*")
_TYPE_LINE = re.compile(r"\s*[:@]type\s+(\w+)\s*:.*")


def read_docstring(docstring: str | None, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the description of a function, and the texts of parameters by name.

    Args:
        docstring: The docstring.
        names: The parameters of the function. Texts of others stay in the description.
    """
    text = inspect.cleandoc(docstring or "")
    if not text or not names:
        return text, {}
    from docstring_parser import ParseError, parse  # here, for many tools have no such section

    try:
        params = parse(text).params
    except ParseError:
        return text, {}
    lines = text.splitlines()
    removed: set[int] = set()
    texts: dict[str, str] = {}
    for param in params:
        name = param.arg_name.lstrip("*\\")
        said = [line.strip() for line in (param.description or "").splitlines() if line.strip()]
        found = _lines_of(lines, param.arg_name, said) if said and name in names and name not in texts else None
        if found:
            removed.update(found)
            texts[name] = "\n".join(said)
    removed.update(index for index, line in enumerate(lines) if (of := _TYPE_LINE.fullmatch(line)) and of[1] in texts)
    _remove_headers(lines, removed)
    kept = "\n".join(line for index, line in enumerate(lines) if index not in removed)
    return re.sub(r"\n{3,}", "\n\n", kept).strip(), texts


def _lines_of(lines: Sequence[str], name: str, said: Sequence[str]) -> list[int] | None:
    """Return the indices of the lines that hold the name of a parameter and its text; None if there are none."""
    own_name = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    full = [index for index, line in enumerate(lines) if line.strip()]
    stripped = [lines[index].strip() for index in full]
    for place, line in enumerate(stripped):
        if line.endswith(said[0]) and own_name.search(line[: -len(said[0])]):
            if stripped[place + 1 : place + len(said)] == said[1:]:
                return full[place : place + len(said)]
        elif own_name.search(line) and stripped[place + 1 : place + 1 + len(said)] == said:
            return full[place : place + 1 + len(said)]
    return None


def _remove_headers(lines: Sequence[str], removed: set[int]) -> None:
    """Remove the headers of sections that have become empty."""
    for index, line in enumerate(lines):
        if not _HEADER.fullmatch(line):
            continue
        following = index + 1
        while following < len(lines) and (_UNDERLINE.fullmatch(lines[following]) or not lines[following].strip()):
            following += 1
        left = next(
            (
                one
                for number, one in enumerate(lines)
                if number > index and number not in removed and one.strip() and not _UNDERLINE.fullmatch(one)
            ),
            "",
        )
        if following in removed and _indent(left) <= _indent(line):
            removed.update(range(index, following))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
