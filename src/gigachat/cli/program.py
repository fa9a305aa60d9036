"""The table of the subcommands, and the start of one of them."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from gigachat import __version__
from gigachat.cli.status import CONFIGURATION, FAILED, INTERRUPTED, OK, status_of
from gigachat.cli.streams import prepare_streams, print_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["COMMANDS", "main", "parser_of"]


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        summary: What it does, in one line.
        module: Where it is.
    """

    summary: str
    module: str


COMMANDS: dict[str, Command] = {
    "chat": Command("ask the model, or talk to it in a session", "gigachat.cli.chat"),
    "embed": Command("print the vectors of texts", "gigachat.cli.embed"),
    "tokens": Command("count the tokens of texts", "gigachat.cli.tokens"),
    "models": Command("list the models with window and price", "gigachat.cli.models"),
    "balance": Command("show how many tokens are left", "gigachat.cli.balance"),
    "files": Command("upload, list, read and delete files", "gigachat.cli.files"),
    "batch": Command("process a file of requests at the price of batches", "gigachat.cli.batch"),
    "functions": Command("validate descriptions of functions, or convert OpenAPI", "gigachat.cli.functions"),
    "check-ai": Command("tell whether a text was written by a model", "gigachat.cli.check_ai"),
    "login": Command("store the key of the account for this command", "gigachat.cli.login"),
    "doctor": Command("find out why requests fail, step by step", "gigachat.cli.doctor"),
    "config": Command("show the settings and where each comes from", "gigachat.cli.config"),
    "run": Command("run a program against a local GigaChat server", "gigachat.cli.run"),
    "serve": Command("run a local GigaChat server", "gigachat.cli.serve"),
    "version": Command("show the version and the owner of this command", "gigachat.cli.version"),
}

_DESCRIPTION = "The command of the SDK for GigaChat."
_EPILOG = """\
`gigachat COMMAND --help` describes a command.

Exit status: 0 success, 1 failure, 2 wrong arguments or settings, 3 sign-in or access refused, 4 limit of the account
reached, 5 no connection, 130 interrupted with Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        arguments: Command line without the program's name; that of the process if None.

    Returns:
        The exit status.
    """
    prepare_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    if words and words[0] in COMMANDS:
        return _run(words[0], words[1:])
    parser = _overview()
    if not words:
        parser.print_help()
        return OK
    _, rest = parser.parse_known_args(words)
    parser.error(_unknown(rest[0] if rest else words[0]))


def parser_of(name: str, module: ModuleType) -> argparse.ArgumentParser:
    """Return the parser of a subcommand.

    Args:
        name: The subcommand.
        module: Its module.
    """
    description = (module.__doc__ or "").partition("\n")[2].strip() or None
    parser = argparse.ArgumentParser(
        prog=f"gigachat {name}",
        description=description or COMMANDS[name].summary.capitalize() + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="gigachat",
        usage="gigachat [-h] [--version] COMMAND …",
        description=f"{_DESCRIPTION}\n\ncommands:\n{table}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gigachat {__version__}")
    return parser


def _unknown(word: str) -> str:
    from gigachat._suggestions import nearest

    close = nearest(word, COMMANDS)
    return f"there is no command {word!r}" + (f"; did you mean {close!r}?" if close else "; see gigachat --help")


def _run(name: str, words: list[str]) -> int:
    from gigachat.exceptions import GigaChatException

    try:
        module = import_module(COMMANDS[name].module)
        status: int = module.run(parser_of(name, module).parse_args(words))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output is gone, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except GigaChatException as error:
        print_error(str(error))
        return status_of(error)
    except ImportError as error:  # of an extra that is not installed
        print_error(str(error))
        return CONFIGURATION
    except (ValueError, TypeError) as error:  # an argument that the client refuses
        print_error(" ".join(str(error).split()))
        return CONFIGURATION
    except OSError as error:
        print_error(str(error) if error.filename is None else f"{error.filename}: {error.strerror}")
        return FAILED
    return status


def _complete() -> None:
    """Complete the command line for a shell, with argcomplete."""
    import argcomplete

    parser = _overview()
    commands = parser.add_subparsers()
    for name, command in COMMANDS.items():
        import_module(command.module).add_arguments(commands.add_parser(name, help=command.summary))
    argcomplete.autocomplete(parser)
