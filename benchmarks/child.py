"""One system under measurement, in a process and an environment of its own.

`python -m benchmarks.child SYSTEM` prints the installed releases. Then it answers each line, an `Order` as JSON, with a
value as JSON, and ends with its standard input. Packages that only one environment has are imported when they are
needed.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import sys
import time
import tracemalloc
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import bare, parsing, systems

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.systems import System

CLASSES: dict[str, type[System]] = {
    "ours": systems.Ours,
    "fast": systems.OursFast,
    "0.2.3": systems.GigaChatClient,
    "openai": systems.OpenAI,
    "litellm": systems.LiteLLM,
    "httpcore2": bare.HTTPCore2,
    "httpx2": bare.HTTPX2,
    "aiohttp": bare.AIOHTTP,
    "pyreqwest": bare.Pyreqwest,
    "http.client": bare.StandardLibrary,
    "chunks": parsing.Chunks,
    "pydantic": parsing.OneArray,
}
PACKAGES = (
    "gigachat",
    "openai",
    "litellm",
    "httpcore2",
    "httpx2",
    "httpx",
    "aiohttp",
    "pyreqwest",
    "pydantic",
    "numpy",
)
SMAPS = Path("/proc/self/smaps_rollup")


@dataclass(frozen=True)
class Order:
    """What to measure.

    Attributes:
        case: Name of a method.
        url: Address and first part of the path.
        kind: Name of the function here that measures.
        repeats: How often in a sample.
        together: Async operations at once.
        arguments: Arguments of the method; a file's path is given as `path`.
        connections: Most connections of the client.
    """

    case: str
    url: str
    kind: str = "cpu"
    repeats: int = 1
    together: int = 1
    arguments: dict[str, Any] = field(default_factory=dict)
    connections: int | None = None


def cpu(system: System, order: Order, runner: asyncio.Runner) -> float:
    """Return the CPU seconds of one operation, or of one event if the operation returns a number of events."""
    method = _method(system, order)
    gc.collect()
    if inspect.iscoroutinefunction(getattr(system, order.case)):
        seconds, counted = runner.run(_acpu(method, order))
    else:
        started = time.process_time()
        counted = sum(_count(method()) for _ in range(order.repeats))
        seconds = time.process_time() - started
    return seconds / counted


async def _acpu(method: Callable[[], Any], order: Order) -> tuple[float, int]:
    counted = 0
    started = time.process_time()
    for _ in range(order.repeats):
        if order.together == 1:
            counted += _count(await method())
        else:
            counted += sum(map(_count, await asyncio.gather(*(method() for _ in range(order.together)))))
    return time.process_time() - started, counted


def _count(result: object) -> int:
    if not isinstance(result, int):
        return 1
    assert result > 0, "a stream without events"
    return result


def _method(system: System, order: Order) -> Callable[[], Any]:
    method = getattr(system, order.case)
    arguments = {name: Path(value) if name == "path" else value for name, value in order.arguments.items()}
    return lambda: method(**arguments)


def after_burst(system: System, order: Order, runner: asyncio.Runner) -> float:
    """Return how much dearer a call is after many at once, as a ratio."""
    alone = Order(order.case, order.url, repeats=order.repeats)
    burst = Order(order.case, order.url, together=order.together)
    cpu(system, alone, runner)
    before = cpu(system, alone, runner)
    cpu(system, burst, runner)
    return cpu(system, alone, runner) / before


def client_memory(system: System, order: Order, runner: asyncio.Runner) -> float:
    """Return the bytes that the library and a client that has made one call add to this process."""
    _method(system, order)()
    gc.collect()
    return _private() - _AT_START


def stream_memory(system: System, order: Order, runner: asyncio.Runner) -> float:
    """Return the bytes of each open stream, the first ones left out: they also fill free lists."""

    async def measure() -> float:
        method = _method(system, order)
        first = [await method() for _ in range(order.together // 5)]
        gc.collect()
        before = _private()
        streams = await asyncio.gather(*(method() for _ in range(order.together)))
        gc.collect()
        grown = _private() - before
        del first, streams
        return grown / order.together

    return runner.run(measure())


def kept_memory(system: System, order: Order, runner: asyncio.Runner) -> float:
    """Return the bytes of Python and numpy objects that a result keeps."""
    method = _method(system, order)
    method()
    gc.collect()
    tracemalloc.start()
    result = method()
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del result
    return kept


def _private() -> int:
    """Return the bytes of memory that only this process has."""
    lines = SMAPS.read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


KINDS = {kind.__name__: kind for kind in (cpu, after_burst, client_memory, stream_memory, kept_memory)}
_AT_START = _private() if SMAPS.exists() else 0


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class Measured:
    """The system of this process; each case has a client of its own."""

    def __init__(self, name: str, runner: asyncio.Runner) -> None:
        self._class, self._runner = CLASSES[name], runner
        self._system: System | None = None
        self._case = ("", "")

    def missing(self) -> str | None:
        """Return why the system cannot be measured here, if it need not be there at all."""
        if self._class.optional:
            try:
                self._runner.run(self._class("http://localhost").close())
            except Exception as error:
                return f"{type(error).__name__}: {error}"
        return None

    def answer(self, order: Order) -> dict[str, Any]:
        if not hasattr(self._class, order.case):
            return {"lacks": order.case}
        try:
            if (order.case, order.url) != self._case or order.kind != "cpu":
                self.close()
                self._system = self._class(order.url, order.connections)
                self._case = order.case, order.url
            assert self._system is not None
            return {"value": KINDS[order.kind](self._system, order, self._runner)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"[:300]}

    def close(self) -> None:
        if self._system is not None:
            self._runner.run(self._system.close())
            self._system = None
            gc.collect()


def main(name: str) -> None:
    with asyncio.Runner() as runner:
        measured = Measured(name, runner)
        print(json.dumps({"versions": versions(), "missing": measured.missing()}), flush=True)
        for line in sys.stdin:
            print(json.dumps(measured.answer(Order(**json.loads(line)))), flush=True)
        measured.close()


if __name__ == "__main__":
    main(sys.argv[1])
