"""The run: starts the server and the clients, measures them by turns, prints one table and the targets.

By turns, because the machine's speed drifts. Each client has an environment of its own, made on first use; the
published one comes from the registry.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import venv
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from benchmarks.server import CROWD, EVENTS, TEXTS
from benchmarks.table import BARE, CHATS, JSON, OURS, PUBLISHED, Row, Target, show

ROOT = Path(__file__).parent.parent
ENGINE_ROUNDS, CALL_ROUNDS, START_ROUNDS = 5, 7, 9
RUN_TURNS = 10

ENGINE = Target(2.5, of=JSON)

# Nothing of the user's environment may reach the clients: no key, no proxy, no option of the interpreter.
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.upper().startswith(("GIGACHAT_", "PYTHON")) and not name.upper().endswith("_PROXY")
}


class Child:
    """A module run by an interpreter. It ends with its standard input, so at the latest when this process does."""

    def __init__(self, python: str, module: str, *arguments: str) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=CLEAN,
        )

    def ask(self, line: str) -> str:
        """Give the child a line and return the line it answers."""
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)
        return self.line()

    def line(self) -> str:
        """Return the child's next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._module} broke; its error stands above")
        return line.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=10)  # which closes its standard input
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def interpreter(name: str, *what: str) -> str:
    """Return an interpreter that has a client and what it needs, as its users have it, and nothing of the tests.

    Args:
        name: Of the environment, which is made and filled if it isn't there.
        what: To install, as pip takes it.
    """
    home = ROOT / f".venv-{name}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = home / "ready"
    # Our constraints: what both clients need is then the same version for both.
    constraints = ROOT / "constraints.txt"
    made_of = "\n".join([sys.version, *what, constraints.read_text(), (ROOT / "pyproject.toml").read_text()])
    if not ready.exists() or ready.read_text() != made_of:
        print(f"Installing {' '.join(what)} into {home.name}", flush=True)
        venv.create(home, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--constraint", str(constraints), *what]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise SystemExit(f"{' '.join(what)} cannot be installed:\n{done.stderr}")
        ready.write_text(made_of)
    return str(python)


def measure(
    address: str, rounds: int, clients: dict[str, tuple[str, str]], cases: dict[str, Row], turns: int = 1
) -> dict[str, str]:
    """Measure calls, and return which libraries each client brought.

    Args:
        address: Where the server is.
        rounds: How often processes are started: where their memory lies is a matter of luck.
        clients: By name, the interpreter and the kind of client.
        cases: By line for `benchmarks.measure`, the row it fills.
        turns: How many samples each process takes, by turns. A small difference needs many short ones.
    """
    libraries: dict[str, str] = {}
    for _ in range(rounds):
        with ExitStack() as stack:
            children = {
                name: stack.enter_context(Child(python, "benchmarks.measure", kind, address))
                for name, (python, kind) in clients.items()
            }
            libraries = {name: child.line() for name, child in children.items()}
            for case, row in cases.items():
                for child in children.values():
                    child.ask(case)  # for connections, caches and what is built when first used
                for _ in range(turns):
                    for name, child in children.items():
                        row.add(name, float(child.ask(case)))
    return libraries


def measure_start(address: str, here: str, published: str) -> list[Row]:
    """Measure fresh interpreters, less what a bare one takes."""
    imported = Row("import", Target(0.20)), "from gigachat import GigaChat", "import httpcore2"
    giga = f"from gigachat import GigaChat; giga = GigaChat(base_url='{address}', access_token='t', model='m')"
    http = "import httpcore2, json; http = httpcore2.ConnectionPool()"
    client = Row("until the first client"), giga, http
    post = f"json.loads(http.request('POST', '{address}/chat/completions', content=b'{{}}').content)"
    answer = Row("until the first answer", Target(0.65)), f"{giga}; giga.chat('x')", f"{http}; {post}"
    cases = (imported, client, answer)
    for number in range(START_ROUNDS + 1):
        nothing = {python: _start(python, "pass") for python in (here, published)}
        for row, ours, bare in cases:
            for name, python, code in (
                (OURS, here, ours),
                (BARE, here, bare),
                (PUBLISHED, published, ours),
            ):
                seconds = _start(python, code) - nothing[python]
                if number:  # the first round is for compiling
                    row.add(name, seconds)
    return [row for row, _, _ in cases]


def _start(python: str, code: str) -> float:
    """Return the CPU seconds of an interpreter that starts and runs some code."""
    command = [python, "-P", "-c", f"import time; {code}; print(time.process_time())"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=CLEAN)
    return float(done.stdout)


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare what the clients cost.")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    check = parser.parse_args().check
    here, published = interpreter("ours", "--editable", "."), interpreter(PUBLISHED, f"gigachat=={PUBLISHED}")
    engine = {"chat 20000": Row("engine alone, chat", ENGINE), "achat 20000": Row("engine alone, achat", ENGINE)}
    calls = {
        "chat 200": Row("chat", Target(0.55)),
        "achat 200": Row("achat", Target(0.55)),
        "crowd 4": Row(f"achat, {CROWD} at once", Target(0.30), units=CROWD),
        "stream 2": Row("stream, per event", units=EVENTS),
        "astream 2": Row("astream, per event", units=EVENTS),
        "embeddings 3": Row(f"embeddings, {TEXTS} texts"),
        "aembeddings 3": Row(f"aembeddings, {TEXTS} texts"),
    }
    runs = {"run 20": Row("run of one tool", Target(1.1, of=CHATS))}
    reading = {"embeddings 3": Row("embeddings, no network")}
    print("Measuring, about a minute", flush=True)
    with Child(sys.executable, "benchmarks.server") as server:
        address = server.line()
        measure(address, ENGINE_ROUNDS, {OURS: (here, "engine"), JSON: (here, "json")}, engine)
        clients = {OURS: (here, "gigachat"), BARE: (here, "httpcore2"), PUBLISHED: (published, "gigachat")}
        libraries = measure(address, CALL_ROUNDS, clients, calls)
        measure(address, CALL_ROUNDS, {OURS: (here, "tool-runs"), CHATS: (here, "two-chats")}, runs, RUN_TURNS)
        clients = {OURS: (here, "without-network"), PUBLISHED: (published, "without-network")}
        measure(address, CALL_ROUNDS, clients, reading)
        rows = [
            *engine.values(),
            *calls.values(),
            *runs.values(),
            *reading.values(),
            *measure_start(address, here, published),
        ]
    print(f"\n{platform.python_implementation()} {platform.python_version()}, {platform.system()}")
    for name in (OURS, PUBLISHED):
        versions = json.loads(libraries[name])
        print(f"{name:<7}{', '.join(f'{library} {version}' for library, version in versions.items())}")
    print()
    show(rows)
    missed = sum(row.missed() for row in rows)
    print(
        f"\n{missed} of {sum(row.target is not None for row in rows)} targets missed" if missed else "\nall targets met"
    )
    return int(check and missed > 0)


if __name__ == "__main__":
    sys.exit(main())
