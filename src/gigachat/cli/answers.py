"""Answers as they arrive: words as they are, or Markdown on a terminal if rich is installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gigachat.cli.streams import draws, print_note, printable
from gigachat.tools.runs import RunCall, RunDone, RunText

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gigachat import ToolCall

_ARGUMENTS_SHOWN = 200
_NOTES = {
    "length": "(the answer is cut: it reached the limit of tokens)",
    "refused": "(the service restricts this topic)",
    "max_steps": "(the model called functions too often, and gave no answer)",
}


def show_stream(events: Iterable[Any], *, plain: bool = False) -> Any:
    """Print the events of a run, and return its result; None if it was closed before its end.

    Args:
        events: The run.
        plain: Whether Markdown is printed as it is.
    """
    result: Any = None
    writer = _Plain() if plain else _writer()
    try:
        for event in events:
            if isinstance(event, RunText):
                writer.write(event.text)
            elif isinstance(event, RunCall):
                writer.end()
                print_note(f"→ {shown_call(event.call)}")
            elif isinstance(event, RunDone):
                result = event.result
    finally:
        writer.end()
    if result is not None:
        note_stop(result.stop)
    return result


def note_stop(stop: str) -> None:
    """Print why an answer ended, if it is not complete."""
    if stop in _NOTES:
        print_note(_NOTES[stop])


def shown_call(call: ToolCall, *, most: int | None = _ARGUMENTS_SHOWN) -> str:
    """Return a call of a function on one line.

    Args:
        call: The call.
        most: Most characters of its arguments; None for all.
    """
    arguments = json.dumps(call.arguments, ensure_ascii=False, default=str)
    if most is not None and len(arguments) > most:
        arguments = f"{arguments[:most]}…"
    return f"{call.name} {arguments}"


class _Plain:
    """Writes pieces as they are."""

    def __init__(self) -> None:
        self._last = ""

    def write(self, piece: str) -> None:
        """Write a piece of the text."""
        if piece:
            self._last = piece
            print(printable(piece), end="", flush=True)

    def end(self) -> None:
        """End the last line."""
        if self._last and not self._last.endswith("\n"):
            print(flush=True)
        self._last = ""


def _writer() -> Any:
    if draws():
        try:
            return _Markdown()
        except ImportError:
            pass
    return _Plain()


class _Markdown:
    """Draws Markdown with rich. Only the last paragraph is drawn anew: those above have scrolled away.

    Raises:
        ImportError: rich is not installed.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.markdown import Markdown

        self._console = Console()
        self._markdown = Markdown
        self._live_type = Live
        self._live: Live | None = None
        self._text = ""

    def write(self, piece: str) -> None:
        """Draw a piece of the text."""
        self._text += printable(piece)
        done, self._text = _paragraphs(self._text)
        if done:
            self._show(done)
            self._stop()
            self._console.print()
        if self._text.strip():
            self._show(self._text)

    def end(self) -> None:
        """Leave what is drawn as it is."""
        self._stop()
        self._text = ""

    def _show(self, text: str) -> None:
        if self._live is None:
            # Tools and notes print to the terminal while nothing is drawn, so that no stream needs to be redirected.
            self._live = self._live_type(
                console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
        # Many terminals hide the address of a hyperlink.
        self._live.update(self._markdown(text, hyperlinks=False), refresh=True)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _paragraphs(text: str) -> tuple[str, str]:
    """Return the paragraphs that are complete, and the last one, which may not be. A code block is one paragraph."""
    fence = ""
    at = end = 0
    for line in text.splitlines(keepends=True):
        at += len(line)
        words = line.strip()
        if fence:
            if words == fence:
                fence = ""
        elif words.startswith(("```", "~~~")):
            fence = words[:3]
        elif not words and line.endswith("\n"):
            end = at
    return text[:end].strip("\n"), text[end:]
