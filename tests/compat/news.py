"""Print what the newest version of the vendor's `gigachat`, pre-releases included, has and ours lacks.

Run by hand with `make compat-news`: it asks the package index.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from tests.compat.surface import compared


def main() -> None:
    """Install the newest version in a folder of its own, take its surface there and compare."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--pre"]
        subprocess.run([*pip, "--target", folder, "gigachat"], check=True)
        [version] = [found.version for found in metadata.distributions(name="gigachat", path=[folder])]
        program = Path(__file__).with_name("surface.py")
        environment = {**os.environ, "PYTHONPATH": folder}
        printed = subprocess.run(
            [sys.executable, str(program)], env=environment, cwd=folder, stdout=subprocess.PIPE, check=True
        ).stdout
    lines = list(compared(json.loads(printed)))
    differences = [f"{name} {difference}" for name, difference in lines if difference]
    print(f"gigachat {version}: {len(lines) - len(differences)} of {len(lines)} names hold here")
    print(*differences, sep="\n")


if __name__ == "__main__":
    main()
