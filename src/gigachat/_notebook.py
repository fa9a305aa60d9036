"""What a notebook shows of a result, as HTML and as Markdown, without a dependency on IPython.

Texts of the service and of models are untrusted: they are shown as they are, and nothing in them runs, is loaded or is
a link. In HTML they are escaped, inside elements in which no formula is typeset. In Markdown they are in one fence,
which is longer than any in the texts.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRAPPED = "white-space: pre-wrap; overflow-wrap: anywhere"
_TICKS = re.compile("`+")


@dataclass(frozen=True, slots=True)
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
        return [[_printable(cell) for cell in row] for row in self.table] if len(self.table) > 1 else []

    @property
    def line(self) -> str:
        """The facts in one line."""
        return " · ".join(_printable(fact) for fact in self.facts if fact not in (None, ""))

    @property
    def html(self) -> str:
        """The parts as HTML."""
        parts = []
        if self.text:
            parts.append(f'<pre style="{_WRAPPED}">{html.escape(_printable(self.text))}</pre>')
        if rows := [[f"<code>{html.escape(cell)}</code>" for cell in row] for row in self.rows]:
            head, *body = ("".join(f"<{tag}>{cell}</{tag}>" for cell in row) for tag, row in _tagged(rows))
            lines = "".join(f"<tr>{row}</tr>" for row in body)
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>")
        if self.line:
            parts.append(f"<small><code>{html.escape(self.line)}</code></small>")
        return f"<div>{''.join(parts)}</div>"

    @property
    def markdown(self) -> str:
        """The parts as Markdown."""
        rows = self.rows
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        shown = "\n\n".join(filter(None, (_printable(self.text), "\n".join(table), self.line)))
        fence = "`" * max(3, 1 + max(map(len, _TICKS.findall(shown)), default=0))
        return f"{fence}text\n{shown}\n{fence}"


class NotebookResult:
    """A result that notebooks show by its parts."""

    def _shown(self) -> Shown:
        """Return what is shown."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """Return HTML for a notebook; everything in it is escaped."""
        return self._shown().html

    def _repr_markdown_(self) -> str:
        """Return Markdown for a notebook; everything in it is fenced."""
        return self._shown().markdown


def tokens(count: int | None) -> str:
    """Return a token count as a fact; empty if it is not known."""
    return f"{count} tokens" if count else ""


def _tagged(rows: list[list[str]]) -> list[tuple[str, list[str]]]:
    return [("td" if number else "th", row) for number, row in enumerate(rows)]


def _printable(value: object) -> str:
    """Return text without what JSON and HTML cannot hold: half a surrogate pair, and NUL."""
    return str("" if value is None else value).replace("\0", "�").encode("utf-8", "replace").decode()
