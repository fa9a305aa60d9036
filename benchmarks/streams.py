"""How many streams the local server bears: 200 at once, 50 events a second each, every event checked.

The server runs in a process of its own, the clients in two others. The command prints the events that were lost or out
of order, the events a second, the processor time, and the server's memory for each stream that waits.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigachat import AsyncGigaChat
from gigachat.server import ChatRequest, GigaChatServer, Piece
from gigachat.server.engines.echo import Echo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

STREAMS = 200
READERS = 2  # processes
RATE = 50.0  # events a second, of each
SECONDS = 10.0
PACE = 1 / RATE
EVENTS = round(RATE * SECONDS)


class Numbers(Echo):
    """Counts from zero, for as long as the question says."""

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        for number in range(int(request.messages[-1].content)):
            yield f"{number} "


def serve(pace: float) -> None:
    with GigaChatServer(engine=Numbers(), pace=pace) as server:
        print(json.dumps(server.client_options), flush=True)
        sys.stdin.read()


class Server:
    """The server's process."""

    def __init__(self, pace: float) -> None:
        command = [sys.executable, "-m", "benchmarks.streams", str(pace)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        options: dict[str, Any] = json.loads(self._process.stdout.readline())
        return options

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def busy(self) -> float:
        """Seconds of processor time it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> int:
        """Bytes that the process has in memory."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _read(giga: AsyncGigaChat, spans: list[float]) -> int:
    """Read one stream; return how many events were lost, doubled or out of order."""
    wrong = expected = 0
    first = 0.0
    async with giga.stream(str(EVENTS)) as stream:
        async for text in stream.text_stream:
            for number in map(int, text.split()):
                wrong += number != expected
                expected = number + 1
            first = first or time.perf_counter()
    spans.append(time.perf_counter() - first)
    return wrong + abs(EVENTS - expected)


@dataclass(frozen=True)
class Share:
    """What one of the readers has seen."""

    wrong: int
    spans: list[float]  # seconds from the first event of a stream to its end
    busy: float


async def _load(options: dict[str, Any], streams: int) -> Share:
    spans: list[float] = []
    async with AsyncGigaChat(**options, max_connections=streams) as giga:
        await giga.get_token()
        busy = time.process_time()
        wrong = await asyncio.gather(*(_read(giga, spans) for _ in range(streams)))
        return Share(sum(wrong), spans, time.process_time() - busy)


def read_share(options: dict[str, Any], streams: int) -> Share:
    return asyncio.run(_load(options, streams))


async def _idle(options: dict[str, Any], server: Server) -> float:
    """Return the server's memory for each stream that has begun and waits, in KiB."""
    async with AsyncGigaChat(**options, max_connections=2 * STREAMS) as giga:
        await giga.chat("1")
        streams = [giga.stream("3") for _ in range(2 * STREAMS)]
        await asyncio.gather(*(anext(stream) for stream in streams[:STREAMS]))  # the first ones also fill free lists
        before = server.memory
        await asyncio.gather(*(anext(stream) for stream in streams[STREAMS:]))
        grown = server.memory - before
        for stream in streams:
            await stream.close()
    return grown / STREAMS / 1024


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        wrong: Events lost, doubled or out of order.
        rates: Events a second of each stream, the slowest first.
        server: Processor time of the server, in seconds.
        readers: Processor time of each reader, in seconds.
        memory: Memory of the server for each stream that waits, in KiB.
    """

    wrong: int
    rates: list[float]
    server: float
    readers: list[float]
    memory: float

    @property
    def rate(self) -> float:
        return self.rates[len(self.rates) // 2]

    def show(self) -> None:
        print(f"{STREAMS} streams of {EVENTS} events at {RATE:.0f} a second each, on {os.cpu_count()} cores")
        print(f"  lost, doubled or out of order   {self.wrong}")
        print(f"  events a second of a stream     {self.rate:.1f}, of the slowest {self.rates[0]:.1f}")
        print(f"  processor time, server          {self.server:.1f} s")
        print(f"  processor time, readers         {' + '.join(f'{busy:.1f}' for busy in self.readers)} s")
        print(f"  memory for each waiting stream  {self.memory:.0f} KiB")


def measure() -> Figures:
    loaded = Server(PACE)
    with loaded as options, ProcessPoolExecutor(READERS, get_context("spawn")) as pool:
        shares = list(pool.map(partial(read_share, options), [STREAMS // READERS] * READERS))
        busy = loaded.busy
    idle = Server(3600.0)
    with idle as options:
        memory = asyncio.run(_idle(options, idle))
    return Figures(
        sum(share.wrong for share in shares),
        sorted((EVENTS - 1) / span for share in shares for span in share.spans),
        busy,
        [share.busy for share in shares],
        memory,
    )


def main(arguments: Sequence[str]) -> int:
    """Serve with the pace given as the only argument; without one, measure."""
    if arguments:
        serve(float(arguments[0]))
        return 0
    figures = measure()
    figures.show()
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
