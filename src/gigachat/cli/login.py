"""`gigachat login`.

Store the authorization key for this command, in the system's keyring or in a file that only you can read. The key is
tried before it is stored. Programs do not read it: they take GIGACHAT_CREDENTIALS.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gigachat.cli.client import add_json_argument
from gigachat.cli.keys import check_keyring, forget_key, store_key
from gigachat.cli.status import OK
from gigachat.cli.streams import is_terminal, print_json, print_note, read_input

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--store", choices=("keyring", "file"), default="keyring", help="where to (%(default)s)")
    parser.add_argument("--scope", help="GIGACHAT_API_PERS, GIGACHAT_API_B2B or GIGACHAT_API_CORP")
    parser.add_argument("--no-check", action="store_true", help="store the key without signing in")
    parser.add_argument("--forget", action="store_true", help="remove the stored key")
    add_json_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Ask for the key and store it."""
    if options.forget:
        removed = forget_key()
        if options.json:
            print_json({"removed": removed})
        else:
            print_note("The key is removed." if removed else "No key is stored.")
        return OK
    if options.store == "keyring":
        check_keyring()  # before the key is asked for
    key = _given()
    if not key:
        raise ValueError("no key was given")
    if not options.no_check:
        from gigachat import GigaChat

        with GigaChat(credentials=key, scope=options.scope) as giga:
            giga.get_token()
    path = store_key(options.store, key, options.scope)
    if options.json:
        print_json({"store": options.store, "file": str(path)})
    else:
        print_note(f"The key is in the {'keyring; ' if options.store == 'keyring' else 'file '}{path}.")
    return OK


def _given() -> str:
    if not is_terminal(sys.stdin):
        return read_input().strip()
    from getpass import getpass

    try:
        return getpass("Authorization key: ").strip()
    except EOFError:
        return ""
