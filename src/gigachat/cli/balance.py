"""`gigachat balance`.

Show how many tokens of prepaid packages are left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.status import OK
from gigachat.cli.streams import print_model, printable

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_json_argument(parser)
    add_client_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Show the balance."""
    with client(options) as giga:
        balance = giga.get_balance()
    if options.json:
        print_model(balance)
        return OK
    for item in balance.balance:
        print(f"{printable(item.usage)}: {item.value:,}")
    return OK
