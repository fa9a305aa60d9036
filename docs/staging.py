"""Write the sources of the site, a folder of Markdown for each language: `python docs/staging.py FOLDER`.

A page has the same name in both languages, so the menu of languages leads to the same page. Pages without a
translation are in English in both folders. The READMEs are the first pages. Other files of the repository are in the
folder `source` if a page links to them. A link whose text is the name of a page shows its title.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = {"en": "{}", "ru": "«{}»"}
"""Languages, and how each quotes the title of a page."""

_FENCE = re.compile(r"^(```.*?^```\s*?$)", re.MULTILINE | re.DOTALL)
_TWIN = re.compile(r"^\*\[(?:На русском|In English)\]\(\S+\)\*\n+", re.MULTILINE)
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_ADDRESS = re.compile(r"[a-z]+:|#")


def stage(language: str, folder: Path) -> None:
    """Write the pages of a language, and the files they link to, into a folder."""
    waiting = {ROOT / "README.md", *(path for path in (ROOT / "docs").rglob("*.md") if not _is_russian(path))}
    written: set[Path] = set()
    while waiting:
        path = waiting.pop()
        written.add(path)
        target = folder / site_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copyfile(path, target)
            continue
        text, linked = _rewritten(path, language)
        target.write_text(text, "utf-8")
        waiting |= linked - written


def site_path(path: Path) -> PurePosixPath:
    """Return the path in the site of an English page or a file of the repository."""
    name = PurePosixPath(path.relative_to(ROOT).as_posix())
    if name == PurePosixPath("README.md"):
        return PurePosixPath("index.md")
    return name.relative_to("docs") if name.parts[0] == "docs" else "source" / name


def _is_russian(path: Path) -> bool:
    return path.name.endswith(".ru.md")


def _english(path: Path) -> Path:
    """Return the English page of a page in either language."""
    return path.with_name(path.name.removesuffix(".ru.md") + ".md") if _is_russian(path) else path


def _source(path: Path, language: str) -> Path:
    """Return the translation of an English page, or the page itself if there is none."""
    translation = path.with_name(f"{path.stem}.{language}.md")
    return translation if translation.exists() else path


def _title(page: Path) -> str:
    return page.read_text("utf-8").partition("\n")[0].removeprefix("# ")


def _rewritten(path: Path, language: str) -> tuple[str, set[Path]]:
    """Return the text of an English page in a language, with links inside the site, and the files they lead to."""
    source = _source(path, language)
    linked: set[Path] = set()

    def rewritten(found: re.Match[str]) -> str:
        text, link = found[1], found[2]
        if _ADDRESS.match(link):
            return found[0]
        name, hash_, anchor = link.partition("#")
        target = _english((path.parent / name).resolve())
        if target.is_dir() or any(part.startswith(".") for part in site_path(target).parts):
            return text  # the site has no folders, and leaves hidden files out
        linked.add(target)
        if text.endswith(".md"):
            text = LANGUAGES["en" if source == path else language].format(_title(_source(target, language)))
        if source == path and _source(target, language) != target:
            hash_ = anchor = ""  # the translated page has other headings
        relative = os.path.relpath(site_path(target), site_path(path).parent)
        return f"[{text}]({Path(relative).as_posix()}{hash_}{anchor})"

    parts = _FENCE.split(_TWIN.sub("", source.read_text("utf-8"), count=1))
    parts[::2] = [_LINK.sub(rewritten, part) for part in parts[::2]]
    return "".join(parts), linked


if __name__ == "__main__":
    build = Path(sys.argv[1])
    for each in LANGUAGES:
        shutil.rmtree(build / each, ignore_errors=True)
        stage(each, build / each)
