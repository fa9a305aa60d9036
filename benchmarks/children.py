"""The processes of the systems, as the run sees them: each with the interpreter of its environment."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, Self

from benchmarks.scenarios import ENVIRONMENTS, OTHER_ENVIRONMENT

if TYPE_CHECKING:
    from benchmarks.child import Order

ROOT = Path(__file__).parent.parent
TIME_LIMIT = 120.0  # seconds of one answer

# Nothing of the user's environment may reach the clients: no key, no proxy, no option of the interpreter.
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.upper().startswith(("GIGACHAT_", "OPENAI_", "PYTHON")) and not name.upper().endswith("_PROXY")
}
EXTRA = {"litellm": {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "GIGACHAT_ACCESS_TOKEN": "token"}}


class Failure(Exception):
    """A system has not answered an order."""


class Lacking(Failure):
    """A system has no such case."""


def python(system: str) -> Path | None:
    """Return the interpreter of a system's environment, if make has made it."""
    home = ROOT / ".venv-bench" / ENVIRONMENTS.get(system, OTHER_ENVIRONMENT)
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python") if (home / "ready").exists() else None


class Child:
    """A system's process. It ends with its standard input, so at the latest when this process does.

    Args:
        system: Its name.
        interpreter: Its Python.
        roots: The certificates that it trusts.
    """

    def __init__(self, system: str, interpreter: Path | str, roots: Path) -> None:
        self._system = system
        self._process = subprocess.Popen(
            [str(interpreter), "-m", "benchmarks.child", system],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if system in EXTRA else None,
            text=True,
            cwd=ROOT,
            env={**CLEAN, "SSL_CERT_FILE": str(roots), **EXTRA.get(system, {})},
        )
        try:
            told = self._line()
        except Failure:
            self.stop()
            raise
        self.versions: dict[str, str] = told["versions"]
        self.missing: str | None = told["missing"]

    def measure(self, order: Order) -> float:
        """Return the value of an order.

        Raises:
            Failure: It cannot be measured; a process that does not answer is ended.
        """
        assert self._process.stdin is not None
        try:
            print(json.dumps(asdict(order)), file=self._process.stdin, flush=True)
        except OSError:
            raise Failure("the process has ended") from None
        told = self._line()
        if "lacks" in told:
            raise Lacking(told["lacks"])
        if "error" in told:
            raise Failure(told["error"])
        value: float = told["value"]
        return value

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = Timer(TIME_LIMIT, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise Failure(f"no answer within {TIME_LIMIT:.0f} s, or the process has ended")
        told: dict[str, Any] = json.loads(line)
        return told

    def stop(self) -> None:
        try:
            self._process.communicate(timeout=10)  # which closes its standard input
        except (subprocess.TimeoutExpired, OSError, ValueError):
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_seconds(interpreter: Path, code: str) -> float:
    """Return the CPU seconds of an interpreter that starts and runs some code."""
    command = [str(interpreter), "-P", "-c", f"import time; {code}; print(time.process_time())"]
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=ROOT, env=CLEAN, timeout=TIME_LIMIT
        )
    except subprocess.CalledProcessError as error:
        raise Failure(error.stderr.strip().rpartition("\n")[2]) from None
    except subprocess.TimeoutExpired:
        raise Failure(f"no end within {TIME_LIMIT:.0f} s") from None
    return float(done.stdout)
