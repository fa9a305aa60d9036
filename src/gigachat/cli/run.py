"""`gigachat run -- PROGRAM ...`.

Run a program against a local GigaChat server, which answers without an account. The program finds the server by
environment variables; nothing in it changes. It needs the extra `server`. The exit status is that of the program.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from gigachat.cli.streams import print_error, print_note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from gigachat.server import GigaChatServer

_NOT_FOUND = 127  # as shells show it
_NOT_STARTED = 126
_ENDING = (signal.SIGTERM,) if sys.platform == "win32" else (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a program; the second one is sent when a terminal is closed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--quiet", action="store_true", help="do not print where the server is")
    parser.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="-- PROGRAM ...", help="the program with its arguments"
    )


def run(options: argparse.Namespace) -> int:
    """Run the program, and return its exit status."""
    words = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not words:
        raise ValueError("a program is needed, as in: gigachat run -- python bot.py")
    from gigachat.server import GigaChatServer

    program = shutil.which(words[0])
    if program is None:
        is_python = words[0].endswith(".py") and os.path.isfile(words[0])
        instead = f"; did you mean: gigachat run -- python {shlex.quote(words[0])}" if is_python else ""
        print_error(f"there is no program {words[0]!r}{instead}")
        return _NOT_FOUND
    ending = [number for number in _ENDING if signal.getsignal(number) != signal.SIG_IGN]  # as nohup ignores SIGHUP
    for number in ending:
        signal.signal(number, _leave)
    with GigaChatServer() as server:
        if not options.quiet:
            print_note(f"# Local GigaChat at {server.origin}; an echo answers, no model.")
        try:
            child = subprocess.Popen(  # noqa: S603 - the program of the caller
                [program, *words[1:]], env=_environment(server)
            )
        except OSError as error:
            print_error(f"{program}: {error.strerror}")
            return _NOT_STARTED
        status = _waited(child, ending)
    return status if status >= 0 else 128 - status  # as shells show signals


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # and stop the server


def _waited(child: subprocess.Popen[Any], ending: Sequence[signal.Signals]) -> int:
    """Return the exit status of a program.

    Args:
        child: The program.
        ending: Signals that it gets when this process gets them.
    """

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    def leave_to_program(number: int, frame: FrameType | None) -> None:
        # The terminal sends it to the program, too. An exception here could lose the program's status.
        pass

    handlers = {**dict.fromkeys(ending, pass_on), signal.SIGINT: leave_to_program}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment(server: GigaChatServer) -> dict[str, str]:
    """Return the environment of the program: it names the server instead of another account, and no proxy for it."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("GIGACHAT_")}
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "localhost,127.0.0.1")))
    return {**kept, "NO_PROXY": direct, "no_proxy": direct, **server.environment}
