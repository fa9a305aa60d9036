"""The page of the command names every subcommand, option, choice, exit status and command of a session."""

from __future__ import annotations

import argparse
import inspect
import re
from importlib import import_module
from unittest import mock

import pytest

from gigachat.cli import program, session, status
from tests.docs.pages import read

PAGES = ("docs/command.md", "docs/command.ru.md")


def actions(name: str) -> list[argparse.Action]:
    """Return the arguments of a subcommand."""
    added: list[argparse.Action] = []
    add = argparse._ActionsContainer._add_action

    def noted(self: argparse._ActionsContainer, action: argparse.Action) -> argparse.Action:
        added.append(action)
        return add(self, action)

    with mock.patch.object(argparse._ActionsContainer, "_add_action", noted):
        program.parser_of(name, import_module(program.COMMANDS[name].module))
    return added


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", program.COMMANDS)
def test_each_argument_is_described(name: str, page: str) -> None:
    prose = read(page).prose
    assert re.search(rf"\b{name}\b", prose)
    for action in actions(name):
        assert action.help, action
        for option in action.option_strings:
            assert re.search(rf"`{option}[` ]|(?<= ){option}[` ]", prose), option
        if not action.option_strings:
            for choice in action.choices or ():
                assert re.search(rf"\b{choice}\b", prose), choice


@pytest.mark.parametrize("page", PAGES)
def test_each_exit_status_and_command_of_a_session_is_described(page: str) -> None:
    tables = read(page).tables
    statuses = {number for name, number in vars(status).items() if name.isupper() and isinstance(number, int)}
    assert {int(row[0]) for row in tables[0][1:]} == statuses
    described = {word for row in tables[2] for word in re.findall(r"/\w+", row[0])}
    assert described == set(re.findall(r"/[a-z]+(?= )", inspect.getattr_static(session, "_HELP")))


def test_the_help_lists_each_subcommand_and_exit_status() -> None:
    text = program.overview().format_help()
    for name, command in program.COMMANDS.items():
        assert f"  {name} " in text
        assert command.summary in text
    assert set(re.findall(r"\b\d+(?= )", text.partition("Exit status: ")[2])) == {"0", "1", "2", "3", "4", "5", "130"}
