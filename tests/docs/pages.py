"""The project's pages as data: code blocks, sections, tables and links. It judges nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.ru.md")
SKILL = "src/gigachat/.agents/skills/gigachat/SKILL.md"
COMPATIBILITY = ("docs/compatibility.md", "docs/compatibility.ru.md")
ERRORS = ("docs/errors.md", "docs/errors.ru.md")
SETTINGS = ("docs/settings.md", "docs/settings.ru.md")
TWINS = (
    READMES,
    ("docs/agents.md", "docs/agents.ru.md"),
    ("docs/api.md", "docs/api.ru.md"),
    ("docs/command.md", "docs/command.ru.md"),
    COMPATIBILITY,
    ("docs/doctor.md", "docs/doctor.ru.md"),
    ERRORS,
    ("docs/files.md", "docs/files.ru.md"),
    ("docs/local-server.md", "docs/local-server.ru.md"),
    ("docs/mcp.md", "docs/mcp.ru.md"),
    ("docs/observability.md", "docs/observability.ru.md"),
    ("docs/rag.md", "docs/rag.ru.md"),
    ("docs/reliability.md", "docs/reliability.ru.md"),
    SETTINGS,
    ("docs/structured-answers.md", "docs/structured-answers.ru.md"),
    ("docs/testing.md", "docs/testing.ru.md"),
    ("docs/tools.md", "docs/tools.ru.md"),
)
"""Pages in English and the same in Russian."""
PAGES = tuple(
    sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / SKILL))
)

_FENCE = re.compile(r"^(`{3,})(\w*)\s*$")
_HEADING = re.compile(r"^(#+) (.+)$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line it begins on and the number of its section."""

    page: str
    language: str
    text: str
    line: int
    section: int

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """A page, taken apart."""

    name: str
    headings: tuple[tuple[int, str], ...]
    blocks: tuple[Block, ...]
    tables: tuple[tuple[tuple[str, ...], ...], ...]
    links: tuple[str, ...]
    prose: str


def read(name: str) -> Page:
    """Take a page apart."""
    headings: list[tuple[int, str]] = []
    blocks: list[Block] = []
    tables: list[list[tuple[str, ...]]] = []
    prose: list[str] = []
    fence, begun, inside = "", 0, list[str]()
    language = ""
    for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), 1):
        if fence:
            if line.startswith(fence):
                section = sum(level == 2 for level, _ in headings)
                blocks.append(Block(name, language, "\n".join(inside) + "\n", begun, section))
                fence = ""
            else:
                inside.append(line)
            continue
        if opening := _FENCE.match(line):
            fence, language, begun, inside = opening[1], opening[2], number, []
            continue
        if heading := _HEADING.match(line):
            headings.append((len(heading[1]), heading[2]))
        if line.startswith("|"):
            if not (prose and prose[-1].startswith("|")):
                tables.append([])
            cells = tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|")))
            if not set(line) <= set("|-: "):
                tables[-1].append(cells)
        prose.append(line)
    assert not fence, f"{name}: a code block is not closed"
    text = "\n".join(prose)
    return Page(name, tuple(headings), tuple(blocks), tuple(map(tuple, tables)), tuple(_LINK.findall(text)), text)


def python_blocks(name: str) -> list[Block]:
    """Return the Python snippets of a page."""
    return [block for block in read(name).blocks if block.language == "python"]
