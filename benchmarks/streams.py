"""How many streams the local server bears: 200 at once, 50 events a second each, every event checked.

The server runs in a process of its own. What is printed: events lost or out of order, how late the streams were, and
the server's memory for each stream that waits.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigachat import AsyncGigaChat
from gigachat.server import ChatRequest, GigaChatServer, Piece
from gigachat.server.echo import Echo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

STREAMS = 200
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
        self._process.communicate(timeout=30)

    @property
    def memory(self) -> int:
        """Bytes that the process has in memory."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _read(giga: AsyncGigaChat, late: list[float]) -> int:
    """Read one stream; return how many events were lost, doubled or out of order."""
    wrong = expected = 0
    begun = time.perf_counter()
    async with giga.stream(str(EVENTS)) as stream:
        async for text in stream.text_stream:
            for number in map(int, text.split()):
                wrong += number != expected
                expected = number + 1
    late.append(time.perf_counter() - begun - EVENTS * PACE)
    return wrong + abs(EVENTS - expected)


async def _load(options: dict[str, Any]) -> tuple[int, list[float]]:
    late: list[float] = []
    async with AsyncGigaChat(**options, max_connections=STREAMS) as giga:
        await giga.get_token()
        wrong = await asyncio.gather(*(_read(giga, late) for _ in range(STREAMS)))
    return sum(wrong), sorted(late)


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


def main(arguments: Sequence[str]) -> int:
    """Serve with the pace given as the only argument; without one, measure."""
    if arguments:
        serve(float(arguments[0]))
        return 0
    with Server(PACE) as options:
        begun = time.perf_counter()
        wrong, late = asyncio.run(_load(options))
        took = time.perf_counter() - begun
    idle = Server(3600.0)
    with idle as options:
        memory = asyncio.run(_idle(options, idle))
    print(f"{STREAMS} streams of {EVENTS} events at {RATE:.0f} a second each, on {os.cpu_count()} cores")
    print(f"  lost, doubled or out of order   {wrong}")
    print(f"  events a second, all streams    {STREAMS * EVENTS / took:.0f}")
    print(f"  late at the end, median / worst {late[len(late) // 2]:.2f} s / {late[-1]:.2f} s of {SECONDS:.0f}")
    print(f"  memory for each waiting stream  {memory:.0f} KiB")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
