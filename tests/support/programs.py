"""Programs in an interpreter of their own: for what changes a process for ever, and for what may make it hang."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # as in `callers`
    from gigachat.server import GigaChatServer

__all__ = ["LEFT_OPEN", "environment", "run_program", "run_quietly"]

_ROOT = Path(__file__).parents[2]  # from where `tests` can be imported


def run_program(
    arguments: list[str], *, seconds: float = 300, variables: Mapping[str, str] | None = None
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


def environment(server: GigaChatServer) -> dict[str, str]:
    """The environment of a program: it points at the server, and has nothing of ours but what the tests set.

    Without the other two, Windows opens no sockets and finds no libraries.
    """
    kept = ("COVERAGE_", "SSL_CERT_", "SYSTEMROOT", "PATH")
    return {**{name: value for name, value in os.environ.items() if name.startswith(kept)}, **server.environment}


LEFT_OPEN = "ignore:an async stream was left open:ResourceWarning"
"""The filter of tests that leave streams open on purpose."""


def run_quietly(program: str | Path, server: GigaChatServer) -> None:
    """Run a program in an interpreter of its own, against a server; it must print nothing.

    Warnings are errors, but those of streams that programs leave open on purpose.
    """
    source = ["-c", program] if isinstance(program, str) else [str(program)]
    command = [sys.executable, "-X", "dev", "-W", "error", "-W", LEFT_OPEN, *source]
    done = subprocess.run(command, env=environment(server), capture_output=True, text=True, timeout=300, check=False)
    # On a busy machine asyncio's debug mode remarks that a step took long.
    said = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, done.stdout, said) == (0, "", []), (done.returncode, done.stdout, said)
