"""The table of the subcommands, and the start of one of them."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from gigachat.cli.status import ACCESS, FAILED, INTERRUPTED, OK, USAGE, status_of
from gigachat.cli.streams import discard_output, flush_notes, prepare_streams, print_error, print_note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["COMMANDS", "main", "overview", "parser_of"]


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        summary: What it does, in one line.
        module: The name of its module.
        takes_program: Whether its last arguments are a command line of another program.
    """

    summary: str
    module: str
    takes_program: bool = False


COMMANDS: dict[str, Command] = {
    "chat": Command("ask the model, or talk to it in a session", "gigachat.cli.chat"),
    "embed": Command("print the vectors of texts", "gigachat.cli.embed"),
    "tokens": Command("count the tokens of texts", "gigachat.cli.tokens"),
    "models": Command("list the models with window and price", "gigachat.cli.models"),
    "balance": Command("show how many tokens are left", "gigachat.cli.balance"),
    "files": Command("upload, list, read and delete files", "gigachat.cli.files"),
    "batch": Command("process a file of requests in the background", "gigachat.cli.batch"),
    "bulk": Command("send a request for each row of a file", "gigachat.cli.bulk"),
    "functions": Command("validate descriptions of functions, or convert OpenAPI", "gigachat.cli.functions"),
    "image": Command("draw a picture", "gigachat.cli.image"),
    "transcribe": Command("print the text of a recording", "gigachat.cli.transcribe"),
    "check-ai": Command("tell whether a text was written by a model", "gigachat.cli.check_ai"),
    "login": Command("store the key of the account for this command", "gigachat.cli.login"),
    "doctor": Command("find out why requests fail, step by step", "gigachat.cli.doctor"),
    "config": Command("show the settings and the source of each", "gigachat.cli.config"),
    "run": Command("run a program against a local GigaChat server", "gigachat.cli.run", takes_program=True),
    "serve": Command("run a local GigaChat server", "gigachat.cli.serve"),
    "version": Command("show the version and the owner of this command", "gigachat.cli.version"),
}

_DESCRIPTION = "The command of the SDK for GigaChat."
_EPILOG = """\
`gigachat COMMAND --help` describes a command.

Exit status: 0 success, 1 failure, 2 wrong arguments or settings, 3 sign-in or access refused, 4 limit of the account
reached, 5 no connection, 130 interrupted with Ctrl-C.
"""
_NOTES = {
    "GIGACHAT_CREDENTIALS": (
        "`gigachat login` stores a key for this command; `gigachat run -- gigachat chat` needs none."
    ),
}
"""What the command adds to errors of the client that have these words."""
_WIDTH = 100
_PROTECTED = "\0"  # no argument of a process contains it


class _Version(argparse.Action):
    """Print the version, and the distributions that install another script of this name."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from gigachat.cli.version import print_version

        print_version()
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """A parser whose errors show the arguments as they were given."""

    def error(self, message: str) -> NoReturn:
        """Print an error and exit."""
        for shown in (_PROTECTED, repr(_PROTECTED).strip("'")):  # the second one is within the repr of an argument
            message = message.replace(f"{shown}-", "-")
        super().error(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        arguments: Command line without the program's name; that of the process if None.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "COMP_LINE" in os.environ:  # of a shell that completes
        _complete()
    prepare_streams()
    try:
        try:
            return _main(words)
        finally:  # also after --help, which exits
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output is gone, as after `| head`
        discard_output()
        return OK
    except OSError as error:
        discard_output()
        print_error(error)
        return FAILED
    finally:
        flush_notes()


def parser_of(name: str, module: ModuleType) -> argparse.ArgumentParser:
    """Return the parser of a subcommand.

    Args:
        name: The subcommand.
        module: Its module.
    """
    description = (module.__doc__ or "").partition("\n")[2].strip() or None
    parser = _Parser(
        prog=f"gigachat {name}",
        description=description or COMMANDS[name].summary.capitalize() + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def overview() -> argparse.ArgumentParser:
    """Return the parser of the command without a subcommand."""
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="gigachat",
        usage="gigachat [-h] [--version] COMMAND ...",
        description=f"{_DESCRIPTION}\n\ncommands:\n{table}",
        epilog=_EPILOG,
        # With a width, argparse does not import shutil to learn that of the terminal.
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=_WIDTH),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    return parser


def _main(words: list[str]) -> int:
    if words and words[0] in COMMANDS:
        return _run(words[0], words[1:])
    parser = overview()
    if not words:
        parser.print_help()
        return OK
    _, rest = parser.parse_known_args(words)
    return parser.error(_unknown(rest[0] if rest else words[0]))


def _unknown(word: str) -> str:
    from gigachat._suggestions import nearest

    if word.startswith("-"):
        return f"options belong behind a command: gigachat COMMAND {word}"
    close = nearest(word, COMMANDS, 0.6)
    return f"there is no command {word!r}" + (f"; did you mean {close!r}?" if close else "; see gigachat --help")


def _run(name: str, words: list[str]) -> int:
    from gigachat.exceptions import GigaChatException

    try:
        module = import_module(COMMANDS[name].module)
        status: int = module.run(_parsed(name, module, words))
    except GigaChatException as error:
        print_error(error)
        for text, note in _NOTES.items():
            if text in str(error):
                print_note(note)
        status = status_of(error)
        if status == ACCESS:
            print_note("`gigachat doctor` finds out why, step by step.")
    except ImportError as error:  # of an extra that is not installed
        if error.name is None or error.name.startswith("gigachat"):
            raise
        print_error(error)
        return FAILED
    except (ValueError, TypeError) as error:  # an argument that the client refuses
        print_error(error)
        return USAGE
    return status


def _parsed(name: str, module: ModuleType, words: list[str]) -> argparse.Namespace:
    """Return the arguments of a subcommand. Its options may be before, between and behind the others."""
    parser = parser_of(name, module)
    if COMMANDS[name].takes_program:
        return parser.parse_args(words)
    if "--" in words:  # which parse_intermixed_args() forgets
        at = words.index("--")
        words = [*words[:at], *(f"{_PROTECTED}{word}" if word.startswith("-") else word for word in words[at + 1 :])]
    options = parser.parse_intermixed_args(words)
    for key, value in vars(options).items():
        if isinstance(value, list):
            setattr(options, key, [_unprotected(one) for one in value])
        else:
            setattr(options, key, _unprotected(value))
    return options


def _unprotected(value: object) -> object:
    return value.removeprefix(_PROTECTED) if isinstance(value, str) else value


def _complete() -> None:
    """Complete the command line for a shell that asks argcomplete to do so, if that is installed."""
    try:
        import argcomplete
    except ImportError:
        return
    parser = overview()
    commands = parser.add_subparsers()
    line = os.environ.get("COMP_LINE", "").split()
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.summary)
        if name in line:  # the others need not be loaded
            import_module(command.module).add_arguments(subparser)
    argcomplete.autocomplete(parser)
