"""`gigachat models`.

List the models of the account with what is known about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.status import OK
from gigachat.cli.streams import print_json, printable

if TYPE_CHECKING:
    import argparse

    from gigachat.catalogue import ModelInfo

_HEAD = ("name", "type", "window", "price of 1000 tokens")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--all", action="store_true", help="list models that the account does not list, too")
    add_json_argument(parser)
    add_client_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """List the models."""
    with client(options) as giga:
        models = [model for model in giga.models_info() if model.listed or options.all]
    if options.json:
        from pydantic_core import to_jsonable_python

        print_json([to_jsonable_python(model) for model in models])
        return OK
    rows = [_HEAD, *map(_row, models)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return OK


def _row(model: ModelInfo) -> tuple[str, ...]:
    price: Any = model.price
    cost = "unknown" if price is None else f"{price.input:g} / {price.output:g} {price.currency}, {price.date}"
    window = "" if model.window is None else f"{model.window:,}"
    return printable(model.name), printable(model.type or ""), window, cost
