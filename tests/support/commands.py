"""The command `gigachat` in a process of its own, with a home directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gigachat.server import GigaChatServer
from tests.support.programs import environment
from tests.support.waiting import PATIENCE

__all__ = ["COMMAND", "Done", "Installed"]

COMMAND = [sys.executable, "-W", "error", "-m", "gigachat"]


@dataclass(frozen=True)
class Done:
    """What a process left: its exit status and its texts."""

    status: int
    out: str
    err: str


@dataclass
class Installed:
    """The command, for one user.

    Attributes:
        home: The home directory, where it also runs.
        server: The service; without one the environment authorizes nothing.
        variables: More of the environment.
    """

    home: Path
    server: GigaChatServer | None = None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> Path:
        """The directory of the command's files."""
        return self.home / "gigachat"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process."""
        kept = ("COVERAGE_", "SSL_CERT_", "SYSTEMROOT", "PATH")
        base = {name: value for name, value in os.environ.items() if name.startswith(kept)}
        places = {name: str(self.home) for name in ("HOME", "XDG_CONFIG_HOME", "APPDATA", "USERPROFILE")}
        limits = {"GIGACHAT_MAX_RETRIES": "0", "PYTHONIOENCODING": "utf-8"}
        served = {} if self.server is None else environment(self.server)
        return {**base, **served, **places, **limits, **self.variables}

    def run(
        self, *arguments: str, stdin: str | bytes = b"", command: Sequence[str] = COMMAND, cwd: Path | None = None
    ) -> Done:
        """Run it to its end, with pipes.

        Args:
            *arguments: Of the command.
            stdin: Standard input.
            command: What is run with the arguments.
            cwd: Where it runs, instead of `home`.
        """
        encoding = self.environment["PYTHONIOENCODING"]
        done = subprocess.run(
            [*command, *arguments],
            env=self.environment,
            cwd=cwd or self.home,
            input=stdin if isinstance(stdin, bytes) else stdin.encode(encoding),
            capture_output=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        out, err = (text.decode(encoding).replace("\r\n", "\n") for text in (done.stdout, done.stderr))
        return Done(done.returncode, out, err)
