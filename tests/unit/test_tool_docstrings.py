"""Docstrings of tools: texts of parameters in every style, and nothing of the rest lost."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pytest
from pydantic import Field

from gigachat.tools import as_tool, tool

GOOGLE = """Погода в городе: сейчас.

Не вызывай дважды.

Args:
    city (str): Город,
        одной строкой.
    days: На сколько дней, по умолчанию 1.
"""
GOOGLE_WITHOUT_BLANK_LINE = """Погода в городе: сейчас.

Не вызывай дважды.
Args:
    city: Город,
        одной строкой.
    days (int, optional): На сколько дней, по умолчанию 1.
"""
NUMPY = """Погода в городе: сейчас.

Не вызывай дважды.

Parameters
----------
city : str
    Город,
    одной строкой.
days : int, optional
    На сколько дней, по умолчанию 1.
"""
SPHINX = """Погода в городе: сейчас.

Не вызывай дважды.

:param city: Город,
    одной строкой.
:type city: str
:param int days: На сколько дней, по умолчанию 1.
"""
EPYTEXT = """Погода в городе: сейчас.

Не вызывай дважды.

@param city: Город,
    одной строкой.
@type city: str
@param days: На сколько дней, по умолчанию 1.
"""
STYLES = [GOOGLE, GOOGLE_WITHOUT_BLANK_LINE, NUMPY, SPHINX, EPYTEXT]
NAMES = ["google", "without a blank line", "numpy", "sphinx", "epytext"]


def documented(city: str) -> None:
    """Погода.

    Args:
        city: Город.
    """


def described(docstring: str | None, function: Any = None) -> tuple[str, dict[str, str | None]]:
    """Return the description of a function, and those of its parameters."""

    def weather(city: str, days: int = 1) -> None: ...

    function = function or weather
    function.__doc__ = docstring
    made = as_tool(function)
    return made.description, {name: one.get("description") for name, one in made.parameters["properties"].items()}


@pytest.mark.parametrize("docstring", STYLES, ids=NAMES)
@pytest.mark.parametrize("indent", ["", "        "])
def test_each_style_is_read(docstring: str, indent: str) -> None:
    first, *rest = docstring.splitlines()
    text = "\n".join([first, *(indent + line if line else "" for line in rest)])
    assert described(text) == (
        "Погода в городе: сейчас.\n\nНе вызывай дважды.",
        {"city": "Город,\nодной строкой.", "days": "На сколько дней, по умолчанию 1."},
    )


REST = {
    "google": "\nReturns:\n    dict: Погода.\n\nRaises:\n    ValueError: Нет города.\n",
    "without a blank line": "\nВажно: не звать часто.\n\nExample:\n    >>> weather('Псков')\n    -3\n",
    "numpy": "\nReturns\n-------\ndict\n    Погода.\n\nNotes\n-----\nВажно: не звать часто.\n",
    "sphinx": ":returns: Погода.\n:raises ValueError: Нет города.\n",
    "epytext": "@return: Погода.\n",
}


@pytest.mark.parametrize(("docstring", "style"), list(zip(STYLES, NAMES, strict=True)), ids=NAMES)
def test_what_follows_the_parameters_is_kept(docstring: str, style: str) -> None:
    description, texts = described(docstring + REST[style])
    assert texts == described(docstring)[1]
    start = "Погода в городе: сейчас.\n\nНе вызывай дважды."
    assert description.startswith(start)
    assert re.findall(r"\S+", description.removeprefix(start)) == re.findall(r"\S+", REST[style])


@pytest.mark.parametrize(
    "docstring",
    [
        "Погода.\n\nАргументы:\n    city: Город.\n    days: Дни.\n\nВозвращает:\n    Погоду.",
        "Погода.\n\nПараметры\n---------\ncity : str\n    Город.",
        "Только описание: одна строка.",
        "Args: no section",
        "Погода.\n\nArgs:\nбез отступа",
        "Погода.\n\nArgs:\n    город: Другое имя.",
        "Read C:\\path: https://host:80/x",
        "x" * 10_000,
    ],
)
def test_what_is_no_known_section_stays_in_the_description(docstring: str) -> None:
    assert described(docstring) == (docstring, {"city": None, "days": None})


@pytest.mark.parametrize("docstring", [None, "", " \n "])
def test_a_function_may_have_no_docstring(docstring: str | None) -> None:
    assert described(docstring) == ("", {"city": None, "days": None})


def test_a_parameter_that_does_not_exist_stays_in_the_description() -> None:
    docstring = "Погода.\n\nArgs:\n    city: Город.\n    units: C или F.\n    days: Дни."
    assert described(docstring) == (
        "Погода.\n\nArgs:\n    units: C или F.",
        {"city": "Город.", "days": "Дни."},
    )


def test_texts_of_several_values_are_read() -> None:
    def weather(*cities: str, **options: int) -> None: ...

    docstring = "Погода.\n\nArgs:\n    *cities: Города.\n    **options: Числа.\n"
    assert described(docstring, weather) == ("Погода.\n\nArgs:\n    **options: Числа.", {"cities": "Города."})


def test_with_a_schema_of_its_own_a_tool_keeps_the_whole_docstring() -> None:
    made = tool(parameters={"type": "object"})(documented)
    assert made.description == "Погода.\n\nArgs:\n    city: Город."


def test_a_description_of_the_annotation_wins() -> None:
    def weather(city: Annotated[str, Field(description="Город")], days: int = Field(1, description="Дни")) -> None: ...

    docstring = "Погода.\n\nArgs:\n    city: Другое.\n    days: Другое.\n"
    assert described(docstring, weather) == ("Погода.", {"city": "Город", "days": "Дни"})
