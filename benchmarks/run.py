"""The run: the servers, then rounds in which the systems are measured by turns, because a machine's speed drifts.

Each round starts the processes anew: where their memory lies is a matter of luck. Results are saved after each round,
so that a later run can repeat single scenarios. What fails is told and left out; nothing ends the run but its time.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import trustme

from benchmarks import answers, nginx
from benchmarks.child import Order
from benchmarks.children import ROOT, Child, Failure, Lacking, python, start_seconds
from benchmarks.scenarios import Scenario, Start

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.results import Results


class Servers(NamedTuple):
    """Addresses and files of a run."""

    canned: str
    own: str
    tls: str
    roots: Path  # certificates that clients trust
    file: Path  # to upload
    name: str  # what serves the canned answers


@contextmanager
def servers(use_nginx: bool = True) -> Iterator[Servers]:
    """Start nginx, if there is one, and the own server."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        (folder / "answers").mkdir()
        answers.write(folder / "answers")
        roots, certificate = folder / "roots.pem", folder / "certificate.pem"
        issuer = trustme.CA()
        # Among those of the system, since to load them all is what a client per message costs.
        system = ssl.get_default_verify_paths().cafile
        roots.write_bytes((Path(system).read_bytes() if system else b"") + issuer.cert_pem.bytes())
        issuer.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        own = stack.enter_context(_own_server(folder / "answers", certificate))
        found = nginx.found() if use_nginx else None
        file = folder / "answers" / "file.v1.bytes"
        if found is None:
            yield Servers(own[0], own[0], own[1], roots, file, "own server")
            return
        running = stack.enter_context(nginx.Nginx(found, folder, certificate))
        yield Servers(running.plain, own[0], running.tls, roots, file, nginx.version(found))


@contextmanager
def _own_server(folder: Path, certificate: Path) -> Iterator[list[str]]:
    command = [sys.executable, "-m", "benchmarks.server", str(folder), str(certificate)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Run:
    """Measures scenarios.

    Args:
        servers: That answer.
        interpreters: The Python of each system that takes part.
        results: To add to.
        seconds: After these, no further scenario is begun.
    """

    def __init__(
        self, servers: Servers, interpreters: Mapping[str, Path | str], results: Results, seconds: float
    ) -> None:
        self._servers, self._interpreters, self._results = servers, dict(interpreters), results
        self._ends = time.monotonic() + seconds
        self._children: dict[str, Child] = {}
        self._failed: set[tuple[str, str]] = set()
        self.versions: dict[str, dict[str, str]] = {}

    @property
    def late(self) -> bool:
        return time.monotonic() > self._ends

    def round(self, number: int, scenarios: Sequence[Scenario | Start]) -> None:
        """Measure each scenario in this round, as far as time permits."""
        try:
            for scenario in scenarios:
                if number >= scenario.rounds or self.late:
                    continue
                begun = time.monotonic()
                if number == 0:
                    self._results.start(scenario.name)
                if isinstance(scenario, Start):
                    self._start(number, scenario)
                else:
                    self._measure(number, scenario)
                print(f"  round {number + 1}: {scenario.name}, {time.monotonic() - begun:.1f} s", flush=True)
        finally:
            for child in self._children.values():
                child.stop()
            self._children.clear()

    def _measure(self, number: int, scenario: Scenario) -> None:
        warm = not scenario.fresh  # the first turn is for connections, caches and what is built when first used
        for turn in range(scenario.turns + warm):
            for system in scenario.systems:
                if system not in self._interpreters or (scenario.name, system) in self._failed:
                    continue
                try:
                    sample = self._sample(system, scenario, warm=warm and turn == 0)
                except Lacking:
                    self._failed.add((scenario.name, system))
                except Failure as failure:
                    self._fail(scenario, system, failure)
                else:
                    if turn or not warm:
                        self._results.add(scenario.name, system, number, sample)

    def _sample(self, system: str, scenario: Scenario, warm: bool) -> float:
        order = self._order(system, scenario, scenario.warm if warm and scenario.warm else scenario.together)
        if not scenario.fresh:
            return self._child(system).measure(order)
        with Child(system, self._interpreters[system], self._servers.roots) as child:
            if child.missing:
                del self._interpreters[system]
                raise Failure(child.missing)
            return child.measure(order)

    def _order(self, system: str, scenario: Scenario, together: int) -> Order:
        arguments: dict[str, Any] = dict(scenario.arguments)
        if "path" in arguments:
            arguments["path"] = str(self._servers.file)
        if scenario.server == "tls":
            arguments["auth_url"] = f"{self._servers.tls}/oauth/v2/token"
        base: str = getattr(self._servers, scenario.server)
        return Order(
            scenario.cases.get(system, scenario.case),
            f"{base}/{scenario.answers}",
            scenario.kind,
            scenario.repeats,
            together,
            arguments,
            scenario.connections,
        )

    def _child(self, system: str) -> Child:
        child = self._children.get(system)
        if child is None:
            child = Child(system, self._interpreters[system], self._servers.roots)
            self.versions[system] = child.versions
            if child.missing:
                child.stop()
                del self._interpreters[system]
                raise Failure(child.missing)
            self._children[system] = child
        return child

    def _start(self, number: int, scenario: Start) -> None:
        for system, program in scenario.programs.items():
            if system not in self._interpreters or (scenario.name, system) in self._failed:
                continue
            option = ", transport='pyreqwest'" if system == "fast" else ""
            interpreter = Path(self._interpreters[system])
            code = program.format(url=f"{self._servers.canned}/chat", option=option)
            try:
                if option:
                    self._child(system)  # which tells whether this version has the option
                if number == 0:
                    start_seconds(interpreter, code)  # to compile it
                bare = start_seconds(interpreter, "pass")
                for _ in range(3):
                    self._results.add(scenario.name, system, number, start_seconds(interpreter, code) - bare)
            except Failure as failure:
                self._fail(scenario, system, failure)

    def _fail(self, scenario: Scenario | Start, system: str, failure: Failure) -> None:
        print(f"  {scenario.name}: {system} is left out: {failure}", flush=True)
        self._failed.add((scenario.name, system))
        child = self._children.pop(system, None)
        if child is not None:
            child.stop()


def interpreters(systems: Sequence[str]) -> dict[str, Path]:
    """Return the Python of each system whose environment was made, and tell of the others."""
    found: dict[str, Path] = {}
    for system in systems:
        path = python(system)
        if path is None:
            print(f"{system} is left out: its environment was not made", flush=True)
        else:
            found[system] = path
    return found


def machine() -> dict[str, Any]:
    """Return what is known about this machine now."""
    return {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None}
