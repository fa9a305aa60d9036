"""The pages about the diagnosis have every code and step, in the words of its reports."""

from __future__ import annotations

import pytest

from gigachat.diagnosis import Code, Step
from gigachat.diagnosis.texts import STEPS, Facts, Text, Words, texts
from tests.docs.pages import read

PAGES = ("docs/doctor.md", "docs/doctor.ru.md")
_FIELDS = Facts(**{name: name.upper() for name, default in Facts()._asdict().items() if not default})


def words_of(text: Text, page: str) -> Words:
    return text.ru if page.endswith(".ru.md") else text.en


def described(page: str) -> dict[str, tuple[str, str, str]]:
    """Return what a page says of each code: verdict, meaning and advice, in its order."""
    tables = [table for table in read(page).tables if table[0][0] in ("Code", "Код")]
    rows = [row for table in tables for row in table[1:]]
    assert len(rows) == len({row[0] for row in rows})
    return {code.strip("`"): (verdict.strip("`"), meaning, advice) for code, verdict, meaning, advice in rows}


@pytest.mark.parametrize("page", PAGES)
def test_every_code_is_described_in_the_words_of_the_reports(page: str) -> None:
    expected = {}
    for code, text in texts().items():
        _, meaning, advice, local_advice = (part.format_map(_FIELDS._asdict()) for part in words_of(text, page))
        assert local_advice in " ".join(read(page).prose.split())
        expected[code.value] = (text.verdict, meaning, advice or "–")
    assert described(page) == expected
    assert [*expected] == [code.value for code in Code]


@pytest.mark.parametrize("page", PAGES)
def test_every_step_is_described_in_order(page: str) -> None:
    (table,) = (table for table in read(page).tables if table[0][0] in ("Step", "Шаг"))
    language = STEPS["ru" if page.endswith(".ru.md") else "en"]
    assert [(row[0], row[1].strip("`")) for row in table[1:]] == [(language[step], step.value) for step in Step]
