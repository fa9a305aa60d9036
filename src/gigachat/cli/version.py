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
    scripts = [script.dist for script in entry_points(group="console_scripts", name="gigachat") if script.dist]
    owners = sorted({dist.name for dist in scripts})
    facts = {
        "gigachat": gigachat.__version__,
        "python": platform.python_version(),
        "location": str(Path(gigachat.__file__).parent),
        "script": owners,
        "import": sorted(set(packages_distributions().get("gigachat", ["gigachat"]))),
    }
    if options.json:
        print_json(facts)
        return OK
    print(f"gigachat {gigachat.__version__} on Python {facts['python']}, from {facts['location']}")
    for name in owners:
        if name != "gigachat":
            print(f"{name} {version(name)} also installs a command gigachat; python -m gigachat is always this package")
    return OK
