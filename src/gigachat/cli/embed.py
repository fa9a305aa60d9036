"""`gigachat embed`.

Print the vector of each text, a JSON array a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.status import OK
from gigachat.cli.streams import print_json
from gigachat.cli.texts import add_texts_argument, texts_of

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_texts_argument(parser)
    add_json_argument(parser)
    add_client_arguments(parser, model=True)


def run(options: argparse.Namespace) -> int:
    """Print the vectors."""
    texts = texts_of(options)
    with client(options) as giga:
        done = 0
        for slice_ in giga.embed_slices(texts, options.model):
            for vector in slice_:
                numbers = [float(number) for number in vector]
                print_json({"text": texts[done], "embedding": numbers} if options.json else numbers)
                done += 1
    return OK
