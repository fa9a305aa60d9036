"""A process that calls the API, as one of several: `python -m tests.redis.worker MODE CALLS SIDE_BY_SIDE`.

Its client is configured by the environment. It says `ready`, begins when a line comes, and prints the seconds of each
call as JSON. MODE is `threads`, `asyncio` or `trio`; `hold`, which keeps streams open until it is killed; or `bulk`,
which asks by `bulk.map_rows` and prints after how many seconds each row came.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Iterator

import trio

from gigachat import GigaChat, bulk


def main(mode: str, calls: int, side_by_side: int) -> None:
    giga = GigaChat()
    giga.get_token()
    print("ready", flush=True)
    sys.stdin.readline()
    seconds: list[float] = []
    questions: Iterator[int] = iter(range(calls))

    def next_question() -> int | None:
        return next(questions, None)

    def ask() -> None:
        while next_question() is not None:
            began = time.monotonic()
            giga.chat("x")
            seconds.append(time.monotonic() - began)

    async def ask_async() -> None:
        while next_question() is not None:
            began = time.monotonic()
            await giga.achat("x")
            seconds.append(time.monotonic() - began)

    async def in_asyncio() -> None:
        await asyncio.gather(*(ask_async() for _ in range(side_by_side)))

    async def in_trio() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(side_by_side):
                nursery.start_soon(ask_async)

    if mode == "hold":
        streams = [giga.stream("hold") for _ in range(calls)]
        for stream in streams:
            next(stream)
        print("held", flush=True)
        sys.stdin.readline()
    elif mode == "bulk":
        began = time.monotonic()
        shared = {"limits": os.environ["GIGACHAT_LIMITS"], "max_concurrency": 3}
        for row in bulk.map_rows([f"row {number}" for number in range(calls)], client=shared):
            assert row["error"] is None
            seconds.append(time.monotonic() - began)
    elif mode == "asyncio":
        asyncio.run(in_asyncio())
    elif mode == "trio":
        trio.run(in_trio)
    else:
        threads = [threading.Thread(target=ask) for _ in range(side_by_side)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
