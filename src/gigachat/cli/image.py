"""`gigachat image`.

Let the model draw a picture, by API v2, and save it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.files import check_output, path_of
from gigachat.cli.status import FAILED, OK
from gigachat.cli.streams import print_error, print_json

if TYPE_CHECKING:
    import argparse

_TOOL = "image_generate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("text", nargs="+", metavar="TEXT", help="what to draw")
    parser.add_argument("-o", "--output", type=path_of, default=Path(), metavar="PATH", help="directory, or file")
    add_json_argument(parser)
    add_client_arguments(parser, model=True)


def run(options: argparse.Namespace) -> int:
    """Draw, and print the path of each picture."""
    check_output(options.output, folder=True)
    with client(options, model=options.model) as giga:
        completion = giga.chat.create(" ".join(options.text), tools=[_TOOL])
        if not completion.images:
            print_error(f"the model drew nothing: {completion.text or 'its answer is empty'}")
            return FAILED
        if len(completion.images) > 1 and not options.output.is_dir():
            raise ValueError(f"{options.output}: there are several pictures, name a directory")
        for picture in completion.images:
            path = picture.save(options.output)
            print_json({"id": picture.id, "path": str(path)}) if options.json else print(path)
    return OK
