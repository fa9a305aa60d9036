"""What notebooks show of results, in Chromium: the texts are seen, nothing in them runs or is loaded."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from gigachat.server import GigaChatServer
from tests.browser.driver import Browser
from tests.support.notebooks import executed
from tests.unit.test_notebook import HOSTILE, RESULTS, sendable, shown

EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


class Pages:
    """A web server of one page, which notes what is requested."""

    def __init__(self) -> None:
        self.page = ""
        self.requested: list[str] = []
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pages.requested.append(self.path)
                found = self.path == "/"
                body = pages.page.encode() if found else b""
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture
def pages() -> Iterator[Pages]:
    made = Pages()
    yield made
    made.close()


def opened(browser: Browser, pages: Pages, *outputs: str) -> None:
    """Show outputs in a page as a notebook does, and wait until all it asks for is loaded."""
    cells = "".join(f"<section>{output}</section>" for output in outputs)
    pages.page = f"<!doctype html><link rel=icon href='data:,'><title>Notebook</title>{cells}"
    browser.open(pages.origin)
    browser.until("document.readyState === 'complete'")


def test_a_page_that_is_not_escaped_is_noticed(browser: Browser, pages: Pages) -> None:
    """The check can fail: the same text without escaping runs and is loaded."""
    opened(browser, pages, f"<img src='{pages.origin}/track.png'><script>window.ran = 1</script>")
    assert browser.run("return window.ran") == 1
    assert "/track.png" in pages.requested


@pytest.mark.parametrize("make", RESULTS)
def test_nothing_runs_and_nothing_is_loaded(browser: Browser, pages: Pages, make: Any) -> None:
    texts = [text.replace("http://track.example", pages.origin) for text in HOSTILE]
    outputs = [shown(make(text)) for text in texts]
    rendered = [MarkdownIt("commonmark", {"html": True}).render(markdown) for _, markdown in outputs]
    for number, form in enumerate(([as_html for as_html, _ in outputs], rendered)):
        pages.requested.clear()
        opened(browser, pages, *form)
        assert browser.run("return window.ran") is None
        assert pages.requested == ["/"]
        loaded = "script, img, iframe, svg, object, embed, a, style, base, section [style*=url], section link"
        assert browser.run(f"return document.querySelectorAll({loaded!r}).length") == 0
        assert browser.run("return document.querySelectorAll('section').length") == len(texts)
        seen = browser.run("return [...document.querySelectorAll('section')].map(one => one.textContent)")
        for text, output in zip(texts, seen, strict=True):
            lines = sendable(text).replace("\r\n", "\n").replace("\r", "\n").strip()
            assert lines in output, number
        assert browser.console() == []


def test_the_example_is_readable(browser: Browser, pages: Pages, tmp_path: Path) -> None:
    with GigaChatServer() as server:
        server.reply("<img src='/track.png'> **Псков**", "Псков — древний город.")
        server.reply_call("temperature", {"city": "Псков"})
        server.reply("Минус три.")
        cells = executed(EXAMPLE, server, tmp_path)
    data = [one for cell in cells for one in cell["data"]]
    opened(browser, pages, *(one.get("text/html") or f"<pre>{html.escape(one['text/plain'])}</pre>" for one in data))
    models, chat, run, *_ = browser.run("return [...document.querySelectorAll('section')].map(one => one.innerText)")
    assert "GigaChat-2-Max" in models
    assert chat.startswith("<img src='/track.png'> **Псков**")
    assert "Минус три." in run
    assert "temperature" in run
    assert pages.requested == ["/"]
    assert browser.run("return document.querySelector('table').offsetWidth") > 100
