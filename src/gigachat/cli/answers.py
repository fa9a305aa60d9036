"""Answers as they arrive: words as they are, or Markdown if rich is installed."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gigachat.cli.streams import is_terminal, print_note, printable, shows_colours
from gigachat.tools.runs import RunCall, RunDone, RunText

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_ARGUMENTS_SHOWN = 200


def show_stream(events: Iterable[Any], *, plain: bool = False) -> Any:
    """Print the events of a run, and return its result; None if it was closed before its end.

    Args:
        events: The run.
        plain: Whether Markdown is printed as it is.
    """
    result: Any = None
    with _writer(plain=plain) as write:
        for event in events:
            if isinstance(event, RunText):
                write(event.text)
            elif isinstance(event, RunCall):
                print_note(f"→ {shown_call(event.call)}")
            elif isinstance(event, RunDone):
                result = event.result
    return result


def shown_call(call: Any) -> str:
    """Return a call of a function on one line."""
    arguments = json.dumps(call.arguments, ensure_ascii=False, default=str)
    if len(arguments) > _ARGUMENTS_SHOWN:
        arguments = f"{arguments[:_ARGUMENTS_SHOWN]}…"
    return f"{call.name} {arguments}"


@contextmanager
def _writer(*, plain: bool) -> Iterator[Callable[[str], None]]:
    if not plain and shows_colours():
        try:
            from rich.console import Console
            from rich.live import Live
            from rich.markdown import Markdown
        except ImportError:
            pass
        else:
            text = ""
            console = Console()
            with Live(console=console, refresh_per_second=8, vertical_overflow="visible") as live:

                def show(piece: str) -> None:
                    nonlocal text
                    text += printable(piece)
                    live.update(Markdown(text))

                yield show
            return
    last = ""

    def write(piece: str) -> None:
        nonlocal last
        last = piece or last
        sys.stdout.write(printable(piece))
        sys.stdout.flush()

    try:
        yield write
    finally:
        if last and not last.endswith("\n"):
            sys.stdout.write("\n")
            sys.stdout.flush()
        if is_terminal(sys.stdout):
            sys.stdout.flush()
