"""The lines that a user writes in a session, with a history of them: with prompt_toolkit if it is installed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from gigachat.cli.keys import made_directory
from gigachat.cli.streams import draws, is_terminal, print_note
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

QUOTES = '"""'
_KEPT = 1000


class Lines(Protocol):
    """Lines of the user."""

    def read(self, prompt: str) -> str:
        """Return the next line.

        Raises:
            EOFError: There is none.
            KeyboardInterrupt: The user dropped the line.
            UnicodeError: It is not text.
        """
        ...


def read_message(lines: Lines) -> str:
    """Return a line, or the text between lines of quotes.

    Args:
        lines: Where from.
    """
    first = lines.read("> ").lstrip("\ufeff")
    if not first.lstrip().startswith(QUOTES):
        return first
    text = [first.lstrip().removeprefix(QUOTES)]
    while not text[-1].rstrip().endswith(QUOTES):
        text.append(lines.read(". "))
    text[-1] = text[-1].rstrip().removesuffix(QUOTES)
    return "\n".join(text).strip("\n")


def lines_of_terminal(commands: Sequence[str], status: Callable[[], str]) -> Lines:
    """Return the lines of the terminal.

    Args:
        commands: What is completed.
        status: Returns what is shown below the line.
    """
    if draws():
        try:
            return _Toolkit(commands, status)
        except ImportError:
            pass
    return _Standard()


class _Toolkit:
    """Lines of prompt_toolkit. Alt-Enter begins a new one in the same message.

    Raises:
        ImportError: It is not installed.
    """

    def __init__(self, commands: Sequence[str], status: Callable[[], str]) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import FileHistory, InMemoryHistory
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

        keys = KeyBindings()

        @keys.add("escape", "enter")
        def new_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        path = _history_file("history")
        self._session: PromptSession[str] = PromptSession(
            history=InMemoryHistory() if path is None else FileHistory(str(path)),
            completer=WordCompleter(list(commands), sentence=True),
            complete_while_typing=False,
            key_bindings=keys,
        )
        self._status = status

    def read(self, prompt: str) -> str:
        """Return the next line."""
        return str(self._session.prompt(prompt, bottom_toolbar=self._status))


class _Standard:
    """Lines of `input`, with readline where Python has it."""

    def __init__(self) -> None:
        self._readline: Any = None
        self._path: Path | None = None
        try:
            import readline
        except ImportError:  # on Windows
            return
        self._readline, self._path = readline, _history_file("lines")
        readline.set_history_length(_KEPT)
        if self._path is not None:
            try:
                readline.read_history_file(self._path)
            except OSError:  # of another library
                self._path = None

    def read(self, prompt: str) -> str:
        """Return the next line."""
        if is_terminal(sys.stdout):
            line = input(prompt)
        else:
            print_note(prompt, end="")
            line = input()
        if self._path is not None and line.strip():
            self._readline.write_history_file(self._path)
        return line


def _history_file(name: str) -> Path | None:
    """Return the file of the history, which only the user can read; None if it cannot be written."""
    try:
        path = made_directory() / name
        path.touch(mode=0o600)
    except (OSError, ConfigurationError):
        return None
    return path
