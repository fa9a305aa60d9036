"""The built site as data: its pages with their links and anchors. It judges nothing."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE = Path(__file__).parents[2] / "build" / "site"
RUSSIAN = SITE / "ru"


class Page(HTMLParser):
    """A page, read from its file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.language = ""
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        """Addresses of what the browser loads with the page."""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what is of interest in a tag."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "html":
            self.language = given.get("lang", "")
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "alternate"):
            self.loaded.append(given["href"])
        elif "src" in given:
            self.loaded.append(given["src"])

    def is_broken(self, link: str) -> bool:
        """Whether an address inside the site leads to a file or an anchor that does not exist."""
        path, anchor = (unquote(part) for part in (urlsplit(link).path, urlsplit(link).fragment))
        target = (self.path.parent / path).resolve() if path else self.path
        if target.is_dir():
            target /= "index.html"
        return not target.is_file() or bool(anchor and target.suffix == ".html" and anchor not in read(target).anchors)


@cache
def read(path: Path) -> Page:
    """Return the page of a file."""
    return Page(path)


def pages(root: Path) -> list[Path]:
    """Return the paths of the pages of a language, without the page for wrong addresses."""
    found = (path.relative_to(root) for path in root.rglob("*.html"))
    return sorted(path for path in found if path.parts[0] != "ru" and path.name != "404.html")
