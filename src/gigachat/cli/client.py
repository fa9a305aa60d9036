"""The client of a command: its options, and the key that `gigachat login` stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from gigachat import GigaChat


def add_client_arguments(parser: argparse.ArgumentParser, *, model: bool = False) -> None:
    """Add the options of the client to a parser.

    Args:
        parser: The parser.
        model: Whether the command has a model to choose.
    """
    group = parser.add_argument_group("client")
    if model:
        group.add_argument("-m", "--model", metavar="NAME", help="model; GIGACHAT_MODEL if not given")
    group.add_argument("--timeout", type=float, metavar="SECONDS", help="longest wait for the service")


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option for programs that read the output."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def client(options: argparse.Namespace, *, model: str | None = None) -> GigaChat:
    """Return the client of a command.

    Args:
        options: As `add_client_arguments` describes.
        model: Model of its requests; GIGACHAT_MODEL if not given.
    """
    from gigachat import GigaChat
    from gigachat.cli.keys import stored_options

    return GigaChat(model=model, timeout=options.timeout, **stored_options())
