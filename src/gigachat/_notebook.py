"""What a notebook shows of a result, as HTML and as Markdown, without a dependency on IPython.

Texts of the service and of models are untrusted: they are shown as they are, and nothing in them runs, is loaded or is
a link. In HTML they are escaped, inside elements in which no formula is typeset. In Markdown they are in one fence,
which is longer than any in the texts. Characters that control a terminal or the direction of text are shown as `�`.
Long texts are cut, because a notebook stores them in its file.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRAPPED = "white-space: pre-wrap; overflow-wrap: anywhere"
_TICKS = re.compile("`+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MOST_OF_TEXT = 20_000  # characters
_MOST_OF_CELL = 1000


@dataclass(slots=True, eq=False)
class Shown:
    """The parts of a result that are shown.

    Attributes:
        text: Its text.
        table: Rows of a table; the first one is the header.
        facts: Facts in one line; None and empty ones are left out.
    """

    text: str = ""
    table: Sequence[Sequence[object]] = ()
    facts: Sequence[object] = ()

    @property
    def rows(self) -> list[list[str]]:
        """The rows of the table as text; none if it has a header only."""
        return [[_displayed(cell, _MOST_OF_CELL) for cell in row] for row in self.table] if len(self.table) > 1 else []

    @property
    def line(self) -> str:
        """The facts in one line."""
        return " · ".join(_displayed(fact, _MOST_OF_CELL) for fact in self.facts if fact not in (None, ""))

    @property
    def html(self) -> str:
        """The parts as HTML."""
        parts = []
        if self.text:
            text = _escaped(_displayed(self.text, _MOST_OF_TEXT))
            parts.append(f'<pre style="{_WRAPPED}">{text}</pre>')
        rows = self.rows
        if rows:
            head, body = _html_row("th", rows[0]), "".join(_html_row("td", row) for row in rows[1:])
            parts.append(f"<table><thead>{head}</thead><tbody>{body}</tbody></table>")
        if self.line:
            parts.append(f"<small><code>{_escaped(self.line)}</code></small>")
        return f"<div>{''.join(parts)}</div>"

    @property
    def markdown(self) -> str:
        """The parts as Markdown."""
        rows = self.rows
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        shown = "\n\n".join(filter(None, (_displayed(self.text, _MOST_OF_TEXT), "\n".join(table), self.line)))
        fence = "`" * max(3, 1 + max(map(len, _TICKS.findall(shown)), default=0))
        return f"{fence}text\n{shown}\n{fence}"


class NotebookResult(ABC):
    """A result that notebooks show by its parts."""

    @abstractmethod
    def _shown(self) -> Shown:
        """Return what is shown."""

    def _repr_html_(self) -> str:
        """Return HTML for a notebook; everything in it is escaped."""
        return self._shown().html

    def _repr_markdown_(self) -> str:
        """Return Markdown for a notebook; everything in it is fenced."""
        return self._shown().markdown


def tokens(count: int | None) -> str:
    """Return a token count as a fact; empty if it is not known."""
    return f"{count} tokens" if count else ""


def _escaped(text: str) -> str:
    import html  # here: each model of chats imports this module

    return html.escape(text)


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}><code>{_escaped(cell)}</code></{tag}>' for cell in cells)}</tr>"


def _displayed(value: object, most: int) -> str:
    """Return a value as text of a limited length, in which no character controls the display.

    Args:
        value: The value; dicts and lists are shown as JSON, None as nothing.
        most: The maximum number of characters; a note says how many more there are.
    """
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False, default=str)
    whole = str("" if value is None else value)
    text = whole if len(whole) <= most else f"{whole[:most]}… ({len(whole) - most} more characters)"
    return _CONTROL.sub("�", text).encode("utf-8", "replace").decode()
