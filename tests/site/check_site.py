"""Is the built site whole, in both languages, without a network, and does its search find the forms of a word?"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from docs.staging import ROOT, site_path
from markdown_it import MarkdownIt

import gigachat
from tests.browser.driver import Browser
from tests.site.built import RUSSIAN, SITE, pages, read

EACH_PAGE = [SITE / page for page in pages(SITE)] + [RUSSIAN / page for page in pages(RUSSIAN)]
EACH_SITE = pytest.mark.parametrize(("folder", "language"), [(SITE, "en"), (RUSSIAN, "ru")], ids=["en", "ru"])

SEARCH = "[...document.querySelectorAll('*')].find(node => node.shadowRoot)?.shadowRoot"
BLOCKS = r"<(li|ul|ol|table|tr|pre|blockquote)\b"
DESKTOP, PHONE = (1280, 800), (390, 800)

# The forms of a word, and a page that all of them find.
FORMS = {
    "сертификат сертификата сертификатом сертификаты сертификатов сертификатами": "settings.html",
    "повтор повтора повторы повторов повторами": "reliability.html",
    "функция функции функцию функций функциями": "tools.html",
    "модель модели моделью моделей моделями": "reliability.html",
    "параллельный параллельная параллельные параллельных": "agents.html",
}


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=SITE)) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


def test_both_languages_have_every_page() -> None:
    written = {site_path(path) for path in (ROOT / "docs").rglob("*.md") if not path.name.endswith(".ru.md")}
    assert {path.with_suffix(".html").as_posix() for path in written} <= {path.as_posix() for path in pages(SITE)}
    assert pages(SITE) == pages(RUSSIAN)


@EACH_SITE
def test_pages_name_their_language(folder: Path, language: str) -> None:
    assert {read(folder / page).language for page in pages(folder)} == {language}


@pytest.mark.parametrize("path", EACH_PAGE, ids=lambda path: path.relative_to(SITE).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    page = read(path)
    inside = [link for link in page.links if not urlsplit(link).scheme]
    assert inside
    assert [link for link in inside if page.is_broken(link)] == []


@pytest.mark.parametrize("path", EACH_PAGE, ids=lambda path: path.relative_to(SITE).as_posix())
def test_pages_load_only_files_of_the_site(path: Path) -> None:
    page = read(path)
    assert page.loaded
    assert [address for address in page.loaded if urlsplit(address).scheme or page.is_broken(address)] == []


@EACH_SITE
def test_blocks_are_those_that_github_shows(folder: Path, language: str) -> None:
    staged = ROOT / "build/docs" / language
    for path in sorted(staged.rglob("*.md")):
        page = path.relative_to(staged).with_suffix(".html")
        page = page.with_name("index.html") if page.name == "README.html" else page
        if page.parts[0] == "reference":
            continue
        shown = Counter(re.findall(BLOCKS, MarkdownIt("commonmark").enable("table").render(path.read_text("utf-8"))))
        _, article, _ = re.split(r"</?article.*?>", (folder / page).read_text("utf-8"))
        assert Counter(re.findall(BLOCKS, article)) == shown, f"{language}: {page}"


@EACH_SITE
def test_each_page_is_beside_it_as_markdown_and_in_llms_txt(folder: Path, language: str) -> None:
    listed = (folder / "llms.txt").read_text("utf-8")
    full = (folder / "llms-full.txt").read_text("utf-8")
    for page in pages(folder):
        markdown = page.with_suffix(".md")
        text = (folder / markdown).read_text("utf-8")
        assert text.startswith("# ")
        assert f"/{markdown.as_posix()}>)" in listed
        assert text.splitlines()[0] in full


def test_the_reference_has_every_public_name() -> None:
    anchors = {anchor for path in (SITE / "reference").glob("*.html") for anchor in read(path).anchors}
    documented = {anchor.rpartition(".")[2] for anchor in anchors if anchor.startswith("gigachat.")}
    other_names = {"GigaChatAsyncClient", "GigaChatSyncClient"}  # of GigaChat
    assert set(gigachat.__all__) - {"__version__"} - other_names <= documented


@EACH_SITE
def test_it_needs_no_other_host(folder: Path, language: str, browser: Browser, origin: str) -> None:
    start = f"{origin}/{folder.relative_to(SITE).as_posix()}/".replace("/./", "/")
    browser.open(f"{start}reference/clients.html")
    browser.until("performance.getEntriesByType('resource').some(entry => entry.name.includes('search.json'))")
    loaded = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [address for address in loaded if not address.startswith(origin)] == []
    assert browser.console() == []


def test_the_menu_of_languages_leads_to_the_same_page(browser: Browser, origin: str) -> None:
    browser.open(f"{origin}/reference/errors.html")
    for language, address in (("ru", "/ru/reference/errors.html"), ("en", "/reference/errors.html")):
        browser.run(f"document.querySelector('.md-select__link[hreflang={language}]').click()")
        browser.until(f"location.pathname === '{address}' && document.documentElement.lang === '{language}'")


@pytest.mark.parametrize("page", ["index.html", "ru/settings.html", "ru/reference/clients.html"])
def test_it_fits_a_phone(page: str, browser: Browser, origin: str) -> None:
    browser.size(*PHONE)
    browser.open(f"{origin}/{page}")
    wide = "const root = document.documentElement; return root.scrollWidth - root.clientWidth"
    assert browser.run(wide) == 0


@pytest.mark.parametrize(("forms", "page"), FORMS.items(), ids=[forms.split()[0] for forms in FORMS])
def test_the_search_finds_each_form_of_a_word(forms: str, page: str, browser: Browser, origin: str) -> None:
    first, *others = (_found(browser, f"{origin}/ru/", form) for form in forms.split())
    assert any(address.startswith(f"ru/{page}") for address in first)
    assert others == [first] * len(others)


def test_the_search_finds_names_of_the_reference(browser: Browser, origin: str) -> None:
    assert "reference/clients.html#gigachat.GigaChat.get_balance" in _found(browser, f"{origin}/", "get_balance")


def _found(browser: Browser, start: str, words: str) -> list[str]:
    """Return the addresses that the search offers, without the host and the query."""
    browser.size(*DESKTOP)
    browser.open(f"{start}index.html")
    browser.until("document.querySelector('.md-search__button')")
    browser.click(".md-search__button")
    browser.until(f"{SEARCH}?.querySelector('input')")
    browser.run(
        f"const field = {SEARCH}.querySelector('input'); field.value = arguments[0];"
        "field.dispatchEvent(new InputEvent('input', { bubbles: true }));",
        words,
    )
    links = browser.until(
        f"(links => links.length && links.map(link => link.href))([...{SEARCH}.querySelectorAll('a')])"
    )
    parts = [urlsplit(unquote(link)) for link in links]
    return [f"{part.path.removeprefix('/')}#{part.fragment}" for part in parts]
