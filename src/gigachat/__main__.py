"""The command `gigachat`, also `python -m gigachat`. It reads arguments and loads what a subcommand needs, no more.

Another distribution, such as `gigachat-cli`, may install a script of the same name; `python -m gigachat` remains ours.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gigachat import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


class _Version(argparse.Action):
    """Print the version, and the distributions that install another script of this name."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import entry_points

        print(f"gigachat {__version__}")
        for script in entry_points(group="console_scripts", name="gigachat"):
            if script.dist is not None and script.dist.name != "gigachat":
                print(
                    f"{script.dist.name} {script.dist.version} also installs a command gigachat; "
                    "python -m gigachat is always this package"
                )
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        arguments: Command line without the program's name; that of the process when None.

    Returns:
        The exit status: 0 when all went well, 1 with a sentence on stderr otherwise.
    """
    parser = argparse.ArgumentParser(prog="gigachat", description="The SDK for GigaChat.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    serve = commands.add_parser(
        "serve", help="run a local GigaChat server", description="Run a local GigaChat server: real OAuth and TLS."
    )
    try:
        from gigachat.server import cli
    except ImportError as error:
        if error.name is None or error.name.startswith("gigachat"):
            raise
        parser.parse_known_args(arguments)
        print(error, file=sys.stderr)
        return 1
    cli.add_arguments(serve)
    return cli.serve(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
