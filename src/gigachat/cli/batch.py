"""`gigachat batch`.

Process requests in the background, for accounts with pay-as-you-go. FILE is JSON Lines; each line has an id and a
request.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.files import path_of
from gigachat.cli.status import OK
from gigachat.cli.streams import is_terminal, print_model, print_note, printable

if TYPE_CHECKING:
    import argparse

    from gigachat import models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "action", choices=("list", "create", "show", "wait", "results"), nargs="?", default="list", help="(%(default)s)"
    )
    parser.add_argument("name", nargs="?", metavar="FILE|ID", help="file to create a batch from, id of the others")
    parser.add_argument(
        "--method", choices=("chat_completions", "embedder"), default="chat_completions", help="(%(default)s)"
    )
    add_json_argument(parser)
    add_client_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Do the action."""
    if options.action != "list" and not options.name:
        raise ValueError(f"batch {options.action} needs {'a file' if options.action == 'create' else 'an id'}")
    with client(options) as giga:
        if options.action == "results":
            for result in giga.batch_results(options.name):
                print_model(result)
            return OK
        if options.action == "create":
            shown = [giga.create_batch(path_of(options.name), options.method)]
        elif options.action == "wait":
            shown = [giga.wait_batch(options.name, progress=_progress if is_terminal(sys.stderr) else None)]
        else:
            shown = giga.get_batches(options.name).batches
    for batch in shown:
        _show(batch, options)
    return OK


def _progress(batch: models.Batch) -> None:
    counts = batch.request_counts
    print_note(f"{batch.status}: {counts.completed} of {counts.total}")


def _show(batch: models.Batch, options: argparse.Namespace) -> None:
    if options.json:
        print_model(batch)
    else:
        counts = batch.request_counts
        print(f"{printable(batch.id_)}  {printable(str(batch.status))}  {counts.completed}/{counts.total}")
