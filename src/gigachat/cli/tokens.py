"""`gigachat tokens`.

Count the tokens of texts: one request, free of charge. --estimate counts without a request, less exactly.
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
    parser.add_argument("--estimate", action="store_true", help="estimate without a request")
    add_json_argument(parser)
    add_client_arguments(parser, model=True)


def run(options: argparse.Namespace) -> int:
    """Count."""
    texts = texts_of(options)
    with client(options, model=options.model) as giga:
        if options.estimate:
            counts = [{"tokens": giga.estimate_tokens(text).tokens, "characters": len(text)} for text in texts]
        else:
            counts = [{"tokens": one.tokens, "characters": one.characters} for one in giga.tokens_count(texts)]
    if options.json:
        print_json(counts)
        return OK
    for count in counts:
        print(count["tokens"])
    return OK
