"""Every page has a place in the navigation of the site, in both languages, and its links lead to pages of the site."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docs.staging import LANGUAGES, ROOT, site_path, stage

CONFIGURATIONS = {"en": "zensical.toml", "ru": "zensical.ru.toml"}
REFERENCE = sorted(path for path in (ROOT / "docs/reference").glob("*.md") if not path.match("*.ru.md"))
EACH_LANGUAGE = pytest.mark.parametrize("language", LANGUAGES)


def _project(language: str) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / CONFIGURATIONS[language]).read_text("utf-8"))["project"]
    return project


def _places(navigation: list[Any]) -> Iterator[str]:
    """Yield the pages of a navigation, in their order."""
    for entry in navigation:
        if isinstance(entry, dict):
            for inner in entry.values():
                yield from _places(inner if isinstance(inner, list) else [inner])
        else:
            yield entry


@EACH_LANGUAGE
def test_every_page_has_a_place_in_the_navigation(language: str) -> None:
    english = [ROOT / "README.md", *(path for path in (ROOT / "docs").rglob("*.md") if not path.match("*.ru.md"))]
    places = list(_places(_project(language)["nav"]))
    assert len(places) == len(set(places))
    missing = {site_path(path).as_posix() for path in english} - set(places)
    assert not missing, f"add them to nav in {CONFIGURATIONS[language]}"


def test_both_languages_have_the_same_navigation() -> None:
    english, russian = (list(_places(_project(language)["nav"])) for language in LANGUAGES)
    assert english == russian


def test_both_configurations_differ_in_words_and_addresses_only() -> None:
    english, russian = (_project(language) for language in LANGUAGES)
    assert russian["plugins"].pop("search")
    for project in (english, russian):
        for name in ("docs_dir", "extra", "nav", "site_description", "site_dir", "site_url"):
            del project[name]
        del project["theme"]["language"], project["plugins"]["llmstxt"]["sections"]
    assert english == russian


@EACH_LANGUAGE
def test_the_navigation_leads_to_pages_and_their_links_into_the_site(language: str, tmp_path: Path) -> None:
    stage(language, tmp_path)
    assert [place for place in _places(_project(language)["nav"]) if not (tmp_path / place).is_file()] == []
    texts = {path.name: path.read_text("utf-8") for path in tmp_path.glob("*.md")}
    assert all("](" in texts[name] for name in ("index.md", "api.md"))
    assert [name for name, text in texts.items() if re.search(r"\]\([^)]*(\.ru\.md|\.\./)|\.md\]\(", text)] == []


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_both_languages_have_the_same_reference(path: Path) -> None:
    english, russian = (page.read_text("utf-8") for page in (path, path.with_suffix(".ru.md")))
    names = re.findall(r"^(?::::| ).*$", english, re.MULTILINE)
    assert names
    assert re.findall(r"^(?::::| ).*$", russian, re.MULTILINE) == names
