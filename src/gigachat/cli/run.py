"""`gigachat run -- PROGRAM …`.

Run a program against a local GigaChat server, which answers without an account. The program finds the server by
environment variables; nothing in it changes. It needs the extra `server`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys

from gigachat.cli.status import INTERRUPTED
from gigachat.cli.streams import print_error, print_note

_NOT_FOUND = 127  # as shells show it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--quiet", action="store_true", help="do not say where the server is")
    parser.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="-- PROGRAM …", help="the program with its arguments"
    )


def run(options: argparse.Namespace) -> int:
    """Run the program, and return its exit status."""
    words = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not words:
        raise ValueError("a program is needed, as in: gigachat run -- python bot.py")
    from gigachat.server import GigaChatServer

    program = shutil.which(words[0])
    if program is None:
        print_error(f"there is no program {words[0]!r}")
        return _NOT_FOUND
    with GigaChatServer() as server:
        if not options.quiet:
            print_note(f"# Local GigaChat at {server.origin}; an echo answers, no model.")
        child = subprocess.Popen([program, *words[1:]], env={**_environment(), **server.environment})
        while True:
            try:
                status = child.wait()
                break
            except KeyboardInterrupt:  # which the program got, too
                continue
    return INTERRUPTED if status == -2 else status if status >= 0 else 128 - status


def _environment() -> dict[str, str]:
    """Return the environment without settings of another account."""
    sys.stdout.flush()
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("GIGACHAT_")}
