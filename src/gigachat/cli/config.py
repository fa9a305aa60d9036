"""`gigachat config show`.

Show each setting, its value and where it comes from. Secrets are hidden.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gigachat.cli.client import add_json_argument
from gigachat.cli.keys import login_file, read_login, stored_options
from gigachat.cli.status import OK
from gigachat.cli.streams import print_json

if TYPE_CHECKING:
    import argparse

_HIDDEN = "********"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=("show",), nargs="?", default="show", help="what to do (%(default)s)")
    parser.add_argument("--all", action="store_true", help="show settings that have their default value, too")
    add_json_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Show the settings."""
    from gigachat.settings import Settings

    stored = stored_options()
    settings = Settings(**stored)
    shown: dict[str, dict[str, Any]] = {}
    for name, field in type(settings).model_fields.items():
        source = _source(name, stored)
        if not options.all and source == "default":
            continue
        value = getattr(settings, name)
        secret = not field.repr or name in ("default_headers", "default_query", "proxy")
        shown[name] = {"value": _HIDDEN if secret and value is not None else _plain(value), "source": source}
    if options.json:
        print_json(shown)
        return OK
    if not shown:
        print("All settings have their default values. gigachat config show --all lists them.")
    for name, facts in shown.items():
        print(f"{name} = {facts['value']}  ({facts['source']})")
    return OK


def _source(name: str, stored: dict[str, Any]) -> str:
    if name in stored:
        return "keyring" if read_login()["store"] == "keyring" else str(login_file())
    names = {"credentials": ("CREDENTIALS", "API_KEY", "AUTH_KEY")}.get(name, (name.upper(),))
    for variable in (f"GIGACHAT_{one}" for one in names):
        if os.environ.get(variable):
            return variable
    return "default"


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
