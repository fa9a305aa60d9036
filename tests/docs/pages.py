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
ENGLISH_ONLY = ("docs/api-notes.md",)
DOCS = tuple(sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
TWINS = (
    READMES,
    *(
        (page, f"{page.removesuffix('.md')}.ru.md")
        for page in DOCS
        if not page.endswith(".ru.md") and page not in ENGLISH_ONLY
    ),
)
"""Pages in English and the same in Russian."""
FILES = tuple(
    f"docs/recipes/{name}{language}.md"
    for name in ("aiogram", "celery", "dask", "django", "fastapi", "gunicorn", "langchain", "ray", "spark")
    for language in ("", ".ru")
)
"""Recipes whose snippets are files for other packages."""
PAGES = tuple(sorted([*(path.name for path in ROOT.glob("*.md")), *DOCS, SKILL]))

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
