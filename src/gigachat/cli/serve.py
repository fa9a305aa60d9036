"""`gigachat serve`.

Run a local GigaChat server, with real OAuth and TLS. It needs the extra `server`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the server."""
    from gigachat.server import cli

    cli.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the server until it is interrupted."""
    from gigachat.server import cli

    return cli.serve(options)
