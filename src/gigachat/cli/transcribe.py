"""`gigachat transcribe`.

Print the text of a recording, or the answer to a question about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.files import path_of
from gigachat.cli.status import OK
from gigachat.cli.streams import print_model, printable

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings")
    parser.add_argument("--prompt", metavar="TEXT", help="what to do with the recording, instead of its text")
    add_json_argument(parser)
    add_client_arguments(parser, model=True)


def run(options: argparse.Namespace) -> int:
    """Transcribe the recordings, one after the other."""
    for name in options.files:
        if not path_of(name).is_file():
            raise ValueError(f"{name}: there is no such file")
    asked = {"prompt": options.prompt} if options.prompt else {}
    with client(options, model=options.model) as giga:
        for name in options.files:
            completion = giga.transcribe(path_of(name), **asked)
            if options.json:
                print_model(completion)
            else:
                print(printable(completion.text))
    return OK
