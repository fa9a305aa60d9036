"""The skill for coding agents: its front matter, its test, and the mistakes that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gigachat import ClientClosedError, GigaChat, UnprocessableEntityError
from gigachat.server import GigaChatServer
from tests.docs.pages import ROOT, SKILL, python_blocks, read

pytest_plugins = ["pytester"]


@pytest.fixture(scope="module")
def server() -> Iterator[GigaChatServer]:
    with GigaChatServer() as running:
        yield running


def test_the_front_matter_names_the_skill_and_its_use() -> None:
    text = (ROOT / SKILL).read_text("utf-8")
    match = re.match(r"---\nname: ([a-z-]+)\ndescription: (.+)\n---\n\n# ", text)
    assert match is not None
    assert match[1] == (ROOT / SKILL).parent.name
    assert len(match[2]) <= 1024  # the limit of the format
    assert len(text.splitlines()) < 500


@pytest.mark.slow
def test_the_test_of_the_skill_passes(pytester: pytest.Pytester) -> None:
    (block,) = (block for block in python_blocks(SKILL) if block.text.startswith("# test_bot.py\n"))
    pytester.makepyfile(test_bot=block.text)
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=2)


def _after_close(giga: GigaChat) -> None:
    giga.chat("…")
    giga.close()
    giga.chat("…")


MISTAKES: dict[str, tuple[type[Exception], Callable[[Any], object]]] = {
    "client.chat.completions.create": (AttributeError, lambda giga: giga.chat.completions),
    "stream=True": (TypeError, lambda giga: giga.chat("…", stream=True)),
    "`tools=` in `giga.chat(...)`": (TypeError, lambda giga: giga.chat("…", tools=[])),
    'GigaChat("key")': (TypeError, lambda giga: GigaChat("key")),  # type: ignore[arg-type]
    "`temperature=0`": (UnprocessableEntityError, lambda giga: giga.chat("…", temperature=0)),
    "ClientClosedError": (ClientClosedError, _after_close),
}


@pytest.mark.parametrize("named", MISTAKES)
def test_what_the_skill_says_not_to_do_fails(named: str, server: GigaChatServer) -> None:
    assert named in read(SKILL).prose
    error, mistake = MISTAKES[named]
    with GigaChat(**server.client_options) as giga, pytest.raises(error):
        mistake(giga)
