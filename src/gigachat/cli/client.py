"""The client of a command: its options, and the key that `gigachat login` stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from gigachat import GigaChat


def add_client_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the client to a parser."""
    group = parser.add_argument_group("client")
    group.add_argument("--model", help="model; GIGACHAT_MODEL if not given")
    group.add_argument("--timeout", type=float, metavar="SECONDS", help="longest wait for the service")


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option for programs that read the output."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def client(options: argparse.Namespace) -> GigaChat:
    """Return the client of a command.

    Args:
        options: As `add_client_arguments` describes.
    """
    from gigachat import GigaChat
    from gigachat.cli.keys import stored_options

    return GigaChat(model=options.model, timeout=options.timeout, **stored_options())
