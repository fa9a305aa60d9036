"""The page on testing: its files, written where a reader would write them, pass under pytest; its output is true."""

from __future__ import annotations

import re

import pytest

from gigachat.server import GigaChatServer
from tests.docs.pages import Block, python_blocks, read

pytest_plugins = ["pytester"]

PAGES = ("docs/testing.md", "docs/testing.ru.md")
RECORDED = "test_recorded.py"


def _files(page: str) -> dict[str, str]:
    """Return the snippets by the names in their first lines."""

    def name(block: Block) -> str:
        match = re.match(r"# (\w+\.py)\n", block.text)
        assert match is not None, block
        return match[1]

    return {name(block): block.text for block in python_blocks(page)}


def _written(pytester: pytest.Pytester, page: str) -> dict[str, str]:
    files = _files(page)
    for name, text in files.items():
        (pytester.path / name).write_text(text, "utf-8")
    return files


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_tests_of_the_page_pass(page: str, pytester: pytest.Pytester) -> None:
    files = _written(pytester, page)
    expected = sum(len(re.findall(r"\n(?:async )?def test_", text)) for name, text in files.items() if name != RECORDED)
    assert expected > 5
    pytester.runpytest_subprocess("-W", "error", f"--ignore={RECORDED}").assert_outcomes(passed=expected)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_recorded_test_is_recorded_and_given_again(
    page: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    _written(pytester, page)
    with GigaChatServer() as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        pytester.runpytest_subprocess("--gigachat-record", RECORDED).assert_outcomes(passed=1)
        for name in service.environment:
            monkeypatch.delenv(name)
    named = re.findall(r"`(recordings/\S+\.json)`", read(page).prose)
    assert named
    assert (pytester.path / named[0]).exists()
    pytester.runpytest_subprocess(RECORDED).assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_message_shown_is_the_one_of_the_code(page: str, pytester: pytest.Pytester) -> None:
    (shown,) = (block.text for block in read(page).blocks if block.language == "text")
    _written(pytester, page)
    question = re.search(r"user '(.*)'", shown)
    sought = re.search(r"asked '(.*)';", shown)
    assert question is not None
    assert sought is not None
    pytester.makepyfile(
        test_shown=f"""
        import bot

        def test_shown(gigachat_server):
            bot.answer({question[1]!r})
            gigachat_server.assert_asked({sought[1]!r})
    """
    )
    result = pytester.runpytest_subprocess("test_shown.py")
    result.assert_outcomes(failed=1)
    # The first line of the page; the closest question follows the others.
    result.stdout.fnmatch_lines([f"E*{line.strip()}" for line in shown.splitlines()])


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_every_fixture(page: str) -> None:
    import gigachat.testing

    text = read(page).prose
    assert all(f"`{name}`" in text for name in gigachat.testing.__all__ if name.startswith("gigachat_"))
