"""Programs in an interpreter of their own: for what changes a process for ever, and for what may make it hang."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["run_program"]

_ROOT = Path(__file__).parents[2]  # from where `tests` can be imported


def run_program(
    arguments: list[str], *, seconds: float = 60, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run an interpreter to its end.

    Args:
        arguments: Of the interpreter.
        seconds: How long it may take.
        variables: Of its environment, beside those of ours.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **(variables or {})},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
