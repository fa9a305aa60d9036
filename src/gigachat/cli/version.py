"""`gigachat version`.

Show the version of the package, and which distributions own the script and the import.
"""

from __future__ import annotations

import platform
from importlib.metadata import entry_points, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING

import gigachat
from gigachat.cli.client import add_json_argument
from gigachat.cli.status import OK
from gigachat.cli.streams import print_json

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_json_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Show the version."""
    python, location = platform.python_version(), str(Path(gigachat.__file__).parent)
    importing = sorted(set(packages_distributions().get("gigachat", ["gigachat"])))
    if options.json:
        facts = {"gigachat": gigachat.__version__, "python": python, "location": location}
        print_json({**facts, "script": _script_owners(), "import": importing})
        return OK
    print_version()
    print(f"Python {python}, {location}")
    for name in importing:
        if name != "gigachat":
            print(f"{name} {version(name)} also has modules in gigachat: uninstall both, then install the one you need")
    return OK


def print_version() -> None:
    """Print the version, and the distributions that install another script of this name."""
    print(f"gigachat {gigachat.__version__}")
    for name in _script_owners():
        if name != "gigachat":
            print(f"{name} {version(name)} also installs a command gigachat; python -m gigachat is always this package")


def _script_owners() -> list[str]:
    scripts = entry_points(group="console_scripts", name="gigachat")
    return sorted({script.dist.name for script in scripts if script.dist is not None})
