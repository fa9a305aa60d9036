"""`gigachat doctor`.

Find out why requests fail: examine the settings, the network, TLS, the clock, the sign-in, the models and the balance,
and say what to do. Two requests are sent to the model, for one token each. No secret is printed.

Exit status: 0 nothing failed, 1 a step failed, 2 wrong arguments.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.status import FAILED, OK
from gigachat.cli.streams import draws, is_terminal, print_json

if TYPE_CHECKING:
    import argparse

    from gigachat.diagnosis import Verdict

_TIMEOUT = 15.0
_COLOURS: dict[Verdict, int] = {"ok": 32, "warning": 33, "failed": 31, "skipped": 90}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--language", choices=("ru", "en"), help="language of the report; that of the system by default"
    )
    add_json_argument(parser)
    add_client_arguments(parser, model=True)


def run(options: argparse.Namespace) -> int:
    """Print the report of a diagnosis."""
    from gigachat.diagnosis import diagnose

    timeout = _TIMEOUT if options.timeout is None else options.timeout
    report = diagnose(lambda: client(options, model=options.model), language=options.language, timeout=timeout)
    if options.json:
        print_json(report.model_dump(mode="json"))
    else:
        width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None
        print(
            report.render(width=width, mark=_coloured if draws() and not os.environ.get("NO_COLOR") else None),
            flush=True,
        )
    return OK if report.ok else FAILED


def _coloured(verdict: Verdict, word: str) -> str:
    return f"\033[{_COLOURS[verdict]}m{word}\033[0m"
