"""The texts of the diagnosis: complete in both languages, and printable in every console."""

from __future__ import annotations

import string
from typing import get_args

import pytest

from gigachat._engine.auth.methods import KEY_PROBLEMS
from gigachat.diagnosis import Code, Finding, Language, Report, Step, Verdict
from gigachat.diagnosis.account import KEY_CODES
from gigachat.diagnosis.examination import system_language
from gigachat.diagnosis.texts import METHODS, PROBLEMS, STEPS, VERDICTS, Facts, Words, texts

LANGUAGES: tuple[Language, ...] = get_args(Language)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_code_has_texts_and_no_text_is_left_over() -> None:
    assert [*texts()] == [*Code]
    assert {text.verdict for text in texts().values()} == {*get_args(Verdict)}


@pytest.mark.parametrize("code", Code)
def test_a_code_has_all_words_in_both_languages(code: Code) -> None:
    text = texts()[code]
    for words in (text.en, text.ru):
        assert words.seen
        assert words.meaning.endswith(".")
        assert bool(words.advice) is (text.verdict != "ok")
        assert not words.advice or words.advice.endswith((".", "}"))
        assert not words.local_advice or words.local_advice.endswith(".")
        assert words.local_advice or "developers.sber.ru" not in words.advice  # a local server has no such page
    assert not any("а" <= letter.lower() <= "я" for part in text.en for letter in part)
    assert any("а" <= letter.lower() <= "я" for letter in text.ru.meaning)
    # The same facts in both, so that none is lost in a translation.
    assert [fields(part) for part in text.en] == [fields(part) for part in text.ru]
    assert set().union(*map(fields, text.en)) <= {*Facts._fields}


@pytest.mark.parametrize("code_page", ["cp866", "cp1251"])
def test_consoles_of_windows_can_show_every_text(code_page: str) -> None:
    shown = [word for table in (METHODS, PROBLEMS, STEPS, VERDICTS) for word in table["ru"].values()]
    shown += [part for text in texts().values() for part in (*text.en, *text.ru)]
    assert [part.encode(code_page).decode(code_page) for part in shown] == shown


@pytest.mark.parametrize("table", [METHODS, PROBLEMS, STEPS, VERDICTS])
def test_short_words_are_complete_in_both_languages(table: dict[Language, dict[str, str]]) -> None:
    assert table["en"].keys() == table["ru"].keys()
    assert {*STEPS["en"]} == {*Step}
    assert {*VERDICTS["en"]} == {*get_args(Verdict)}


def test_every_problem_of_a_key_has_a_code() -> None:
    assert KEY_CODES.keys() == KEY_PROBLEMS.keys()


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "ru_RU"}, "ru"),
    ],
)
def test_the_language_is_that_of_the_system(
    variables: dict[str, str], language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert system_language() == language


@pytest.mark.parametrize(
    ("given", "language"), [("Russian_Russia", "ru"), ("ru_RU", "ru"), ("en_US", "en"), (None, "en")]
)
def test_the_language_of_a_system_without_variables(
    given: str | None, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("locale.getlocale", lambda: (given, None))
    assert system_language() == language


def report_of(*verdicts: Verdict) -> Report:
    words = Words("what was seen, in some words", "what it means", "what to do")
    findings = [
        Finding(step=Step.NAMES, verdict=verdict, code=Code.NAME_FOUND, **words._asdict()) for verdict in verdicts
    ]
    return Report(language="en", findings=tuple(findings))


def test_only_a_failed_step_makes_a_report_fail() -> None:
    assert report_of("ok", "warning", "skipped").ok
    assert not report_of("ok", "failed").ok


def test_the_text_of_a_report() -> None:
    assert str(report_of("ok", "failed")).splitlines() == [
        "ok       names         what was seen, in some words",
        "FAILED   names         what was seen, in some words",
        "                       what it means",
        "                       what to do",
    ]
    marked = report_of("ok").render(mark=lambda verdict, word: f"<{verdict}:{word}>")
    assert marked == "<ok:ok>       names         what was seen, in some words"


@pytest.mark.parametrize("width", [1, 55, 80])
def test_lines_are_broken_at_the_width_of_a_terminal(width: int) -> None:
    lines = report_of("failed").render(width=width).splitlines()
    assert all(len(line) <= max(width, 53) for line in lines)
    assert " ".join(line[23:] for line in lines) == "what was seen, in some words what it means what to do"
