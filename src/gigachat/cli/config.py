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
_OTHER_NAMES = {"credentials": ("GIGACHAT_API_KEY", "GIGACHAT_AUTH_KEY")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=("show",), nargs="?", default="show", help="what to do (%(default)s)")
    parser.add_argument("--all", action="store_true", help="show settings that have their default value, too")
    add_json_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Show the settings."""
    from gigachat.settings import load_options

    stored = stored_options()
    settings = load_options(stored)
    shown: dict[str, dict[str, Any]] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        source = _source(name, stored) if name in settings.model_fields_set and value is not None else "default"
        if options.all or source != "default":
            secret = not field.repr and value is not None
            shown[name] = {"value": _HIDDEN if secret else _plain(value), "source": source}
    if options.json:
        print_json(shown)
        return OK
    if not shown:
        print("All settings have their default values. gigachat config show --all lists them.")
    for name, facts in shown.items():
        value = "not set" if facts["value"] is None else facts["value"]
        print(f"{name} = {value}  ({facts['source']})")
    return OK


def _source(name: str, stored: dict[str, Any]) -> str:
    if name in stored:
        return "keyring" if read_login()["store"] == "keyring" else str(login_file())
    given = {variable.upper(): variable for variable, value in os.environ.items() if value}
    names = (f"GIGACHAT_{name.upper()}", *_OTHER_NAMES.get(name, ()))
    return next((given[variable] for variable in names if variable in given), "environment")


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
