"""Look for bytes that break a target: `python -m tests.fuzz [--seconds N] [target]`.

It needs atheris, which `make fuzz` installs. Each target has its share of the time and a process of its own. What was
found before is kept in `.fuzz/`; an input that breaks a target is written there, and belongs into the target's corpus
beside this file together with the mending.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

_FOUND = Path(".fuzz")
_LONGEST = 4096  # bytes of an input


def _look(target: str, seconds: int) -> None:
    """Drive one target; ends the process."""
    atheris = import_module("atheris")  # there are wheels for Linux only: linters need not find it
    with atheris.instrument_imports(include=["gigachat"]):
        from gigachat import models

        for name in dir(models):  # loaded when first named
            getattr(models, name)
        from tests.fuzz.targets import TARGETS, corpus, seeds

    found = _FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as recorded:
        for number, data in enumerate(seeds(target)):
            Path(recorded, str(number)).write_bytes(data)
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={_LONGEST}",
            f"-artifact_prefix={found}/broken-",
            "-verbosity=0",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, str(found), str(corpus(target)), recorded], TARGETS[target])
        atheris.Fuzz()


def main() -> int:
    """Drive one target, or each in turn; return how many broke."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.fuzz")
    parser.add_argument("target", nargs="?")
    parser.add_argument("--seconds", type=int, default=60, help="time for all targets together")
    asked = parser.parse_args()
    if asked.target:
        _look(asked.target, asked.seconds)
    from tests.fuzz.targets import TARGETS  # not before: what is imported here cannot be watched there

    broken = 0
    for target in TARGETS:
        share = max(asked.seconds // len(TARGETS), 1)
        command = [sys.executable, "-m", "tests.fuzz", target, "--seconds", str(share)]
        print(f"--- {target}: {share} s", flush=True)
        broken += subprocess.run(command, check=False).returncode != 0
    print(f"{len(TARGETS)} targets, {broken} broken")
    return broken


if __name__ == "__main__":
    sys.exit(main())
