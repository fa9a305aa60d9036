"""A real redis-server, and an engine of the local server that counts what is in progress."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Self

from gigachat.server.engine import ChatRequest
from tests.support.waiting import PATIENCE

PASSWORD = "pass-of-redis"


class Redis:
    """A redis-server on a port of its own, which can be stopped and started again. It keeps nothing on disk.

    Args:
        folder: Where it works.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        return f"unix://:{PASSWORD}@{self._folder}/redis.sock?db=0"

    def start(self) -> Self:
        program = shutil.which("redis-server")
        assert program is not None, "make test-redis installs redis-server"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
        options += ["--unixsocket", f"{self._folder}/redis.sock"]
        self._process = subprocess.Popen(
            [program, *options, "--save", "", "--appendonly", "no", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE).close()
            except ConnectionRefusedError:
                assert time.monotonic() < end, "redis-server did not start"
                time.sleep(0.01)
            else:
                return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()


class Counting:
    """An engine that counts the answers in progress; each takes a time.

    Args:
        seconds: The time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0
        self.most = 0
        self.answered = 0
        self.begun: list[float] = []

    async def complete(self, request: ChatRequest) -> AsyncGenerator[str, None]:
        self.now += 1
        self.most = max(self.most, self.now)
        self.begun.append(time.monotonic())
        try:
            yield "An "
            await asyncio.sleep(60 if request.messages[-1].content == "hold" else self.seconds)
            yield "answer."
            self.answered += 1
        finally:
            self.now -= 1
