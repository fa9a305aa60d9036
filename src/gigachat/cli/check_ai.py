"""`gigachat check-ai`.

Tell whether a text was written by a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.status import OK
from gigachat.cli.streams import print_model, printable
from gigachat.cli.texts import add_texts_argument, texts_of

if TYPE_CHECKING:
    import argparse

_MODEL = "GigaCheckDetection"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_texts_argument(parser)
    add_json_argument(parser)
    add_client_arguments(parser, model=True)


def run(options: argparse.Namespace) -> int:
    """Check the texts."""
    texts = texts_of(options)
    with client(options) as giga:
        for text in texts:
            result = giga.check_ai(text, options.model or _MODEL)
            if options.json:
                print_model(result)
            else:
                print(printable(result.category))
    return OK
