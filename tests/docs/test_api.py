"""The table of methods and endpoints is the API itself: nothing is missing, and what it says of the tests is so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from starlette.routing import Route

from gigachat import AsyncGigaChat, GigaChat
from gigachat._engine.endpoint import ModeMethod
from gigachat.api.assistants import AssistantsNamespace
from gigachat.api.chat import ChatNamespace
from gigachat.api.threads import ThreadsNamespace
from gigachat.server.app import create_app
from tests.contract.replay import Exchange, recording
from tests.contract.test_recordings import CASES, COMPOSED
from tests.contract.test_recordings_v2 import CASES as CASES_V2
from tests.docs.pages import ROOT, read
from tests.support.callers import hybrid_name

PAGES = ("docs/api.md", "docs/api.ru.md")
SIGN_IN = {"get_token"}
NO_ENDPOINT = {"request", "openai_client"}  # each reaches any of them


@dataclass(frozen=True)
class Row:
    """One endpoint: its notes, its methods, and the files it is tested with."""

    endpoint: str
    notes: str
    methods: tuple[str, ...]
    awaited: tuple[str, ...]
    files: tuple[str, ...]

    def answers(self, exchange: Exchange) -> bool:
        """Whether an exchange is one of this endpoint."""
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(self.endpoint))
        return re.fullmatch(pattern, f"{exchange.method} {_shortened(exchange.path)}") is not None

    @property
    def exchanges(self) -> list[str]:
        """Names of the recorded and documented exchanges."""
        return [file.rpartition("/")[2].removesuffix(".json") for file in self.files if file.endswith(".json")]


@cache
def rows(page: str) -> tuple[Row, ...]:
    (table,) = (table for table in read(page).tables if any("GigaChat" in cell for cell in table[0]))
    return tuple(
        Row(
            endpoint_.strip("`"),
            notes,
            tuple(re.findall(r"`([\w.]+)`", methods)),
            tuple(re.findall(r"`([\w.]+)`", awaited)),
            tuple(re.findall(r"\]\(\.\./([^)]+)\)", tested)),
        )
        for endpoint_, notes, methods, awaited, tested in table[1:]
    )


def _shortened(path: str) -> str:
    """Return a path as the table writes it: without query, and with `/api` at the sign-in only."""
    return re.sub(r"^/api(?=/v\d/(?!oauth))", "", path.partition("?")[0])


def _public(kind: type[Any]) -> set[str]:
    return {
        name
        for owner in kind.__mro__
        for name, member in vars(owner).items()
        if isinstance(member, ModeMethod) and not name.startswith("_")
    }


def _cases() -> dict[str, set[str]]:
    """Return the methods each exchange is played back to."""
    cases: dict[str, set[str]] = {}
    for name, case in (*CASES.items(), *((name, case) for (name, _), case in CASES_V2.items())):
        cases.setdefault(name, set()).add(case.method)
    return cases


def test_every_endpoint_of_the_api_is_in_the_table_once() -> None:
    served = {
        f"{method} {_shortened(re.sub(r':path', '', route.path))}"
        for route in create_app().routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    served = {re.sub(r"\{\w+\}", "{}", one) for one in served if not one.endswith(" /oauth")}
    named = [re.sub(r"\{\w+\}", "{}", row.endpoint) for row in rows(PAGES[0])]
    assert sorted(named) == sorted(served)


def test_every_method_is_in_the_table() -> None:
    there = _public(AsyncGigaChat) | {"chat"}
    there |= {f"chat.{name}" for name in _public(ChatNamespace)}
    there |= {f"assistants.{name}" for name in _public(AssistantsNamespace)}
    there |= {f"threads.{name}" for name in _public(ThreadsNamespace)}
    named = [method for row in rows(PAGES[0]) for method in row.methods]
    assert set(named) == there - NO_ENDPOINT
    assert sorted(named) == sorted(
        [*set(named), *SIGN_IN]
    )  # two endpoints sign in; all others have methods of their own


@pytest.mark.parametrize("row", rows(PAGES[0]), ids=lambda row: row.endpoint)
def test_methods_of_the_table_are_there_in_each_form(row: Row) -> None:
    assert row.awaited == tuple(map(hybrid_name, row.methods))
    hybrid, plain = GigaChat(access_token="token"), AsyncGigaChat(access_token="token")
    for client, names in ((hybrid, (*row.methods, *row.awaited)), (plain, row.methods)):
        for name in names:
            found: Any = client
            for part in name.split("."):
                found = getattr(found, part)
            assert callable(found)


@pytest.mark.parametrize("row", rows(PAGES[0]), ids=lambda row: row.endpoint)
def test_exchanges_of_the_table_are_those_of_its_methods(row: Row) -> None:
    cases = _cases()
    tested = set()
    assert row.exchanges
    for name in row.exchanges:
        assert any(row.answers(exchange) for exchange in recording(name)), name
        tested |= cases[name]
    if not SIGN_IN & set(row.methods):  # signing in is a part of each exchange
        assert tested == set(row.methods) - COMPOSED


@pytest.mark.parametrize("row", rows(PAGES[0]), ids=lambda row: row.endpoint)
def test_tests_of_the_table_are_about_its_endpoint(row: Row) -> None:
    files = [ROOT / file for file in row.files if file.startswith(("tests/e2e/", "tests/server/"))]
    assert files
    text = "".join(file.read_text("utf-8") for file in files)
    path = re.sub(r"^\w+ (/api)?/v\d|\{\w+\}.*", "", row.endpoint)
    # By a method's name, or by the path, which is cut short where a file is about one kind of things.
    named = [rf"[.\"']{re.escape(method)}\b" for method in row.methods]
    assert any(re.search(pattern, text) for pattern in (*named, rf"\"({re.escape(path)}|{re.escape(_tail(path))})\""))


def _tail(path: str) -> str:
    return path[path.index("/", 1) :] if path.count("/") > 1 else path


@pytest.mark.parametrize("page", PAGES)
def test_words_of_the_table_fit_the_files(page: str) -> None:
    words = {
        "recorded": "recorded",
        "записано": "recorded",
        "documented": "documented",
        "по документации": "documented",
    }
    prose = read(page).prose
    found = re.findall(r"([\w ]+): \[\w[^\]]*\]\(\.\./tests/contract/(\w+)/", prose)
    assert len(found) >= len(rows(page))
    assert all(words[word.strip()] == folder for word, folder in found)


@pytest.mark.parametrize("row", rows(PAGES[0]), ids=lambda row: row.endpoint)
def test_notes_of_the_table_are_about_its_endpoint(row: Row) -> None:
    match = re.fullmatch(r"\[([\d.]+)\]\(api-notes\.md#([\w-]+)\)", row.notes)
    assert match is not None
    assert match[2].partition("-")[0] == match[1].replace(".", "")
    notes = (ROOT / "docs/api-notes.md").read_text("utf-8")
    section = re.search(rf"^#+ {re.escape(match[1])}\.? .*?(?=^## |\Z)", notes, re.MULTILINE | re.DOTALL)
    assert section is not None
    method, _, path = re.sub(r"\{\w+\}", "{id}", row.endpoint).partition(" ")
    named = f"`{method} {path.removeprefix('/v1')}"
    assert named in section[0].replace("{model}", "{id}") or path.endswith("/oauth")


def test_both_tables_are_the_same() -> None:
    assert rows(PAGES[0]) == rows(PAGES[1])
