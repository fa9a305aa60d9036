"""gpt2giga's own server process between the `openai` package and a strict local GigaChat."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gigachat.server import GigaChatServer

PUBLISHED = (str(Path(sys.executable).with_name("gpt2giga")),)
OPENED = (sys.executable, str(Path(__file__).with_name("opened.py")))


class Proxy:
    """A running gpt2giga.

    Args:
        server: The service behind it.
        folder: Where it runs and writes its log.
        command: The program.
        environment: What points our client at the service; the server's own variables when None.
        **settings: Its options, as in its environment after `GPT2GIGA_`.
    """

    def __init__(
        self,
        server: GigaChatServer,
        folder: Path,
        command: tuple[str, ...] = PUBLISHED,
        environment: Mapping[str, str] | None = None,
        **settings: str,
    ) -> None:
        self.lines: list[str] = []
        self.port = 0  # until it is up
        kept = {name: value for name, value in os.environ.items() if _harmless(name)}
        own = {"HOST": "127.0.0.1", "PORT": "0", **settings}
        variables = {
            **kept,
            **(server.environment if environment is None else environment),
            **{f"GPT2GIGA_{name}": value for name, value in own.items()},
            "PYTHONUNBUFFERED": "1",
        }
        self._process = subprocess.Popen(
            command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._up = threading.Event()
        self._reader = threading.Thread(target=self._read, name="gpt2giga-output", daemon=True)
        self._reader.start()
        if not self._up.wait(120) or not self.port:
            self.stop()
            raise RuntimeError("gpt2giga did not start:\n" + "\n".join(self.lines))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def stop(self) -> int:
        """End the process as a user does; by force when that takes more than 20 seconds."""
        self._process.terminate()
        try:
            code = self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait(20)
        self._reader.join(20)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())
            if running := re.search(r"Uvicorn running on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(running[1])
                self._up.set()
        self._up.set()


def _harmless(name: str) -> bool:
    return not name.upper().startswith(("GIGACHAT_", "GPT2GIGA_", "OPENAI_")) and not name.lower().endswith("_proxy")


@contextlib.contextmanager
def proxy_of(
    server: GigaChatServer,
    folder: Path,
    command: tuple[str, ...] = PUBLISHED,
    environment: Mapping[str, str] | None = None,
    **settings: str,
) -> Iterator[Proxy]:
    """Run gpt2giga; afterwards its process has ended as told and its port is free."""
    proxy = Proxy(server, folder, command, environment, **settings)
    try:
        yield proxy
    finally:
        code = proxy.stop()
    assert code == 0 or code == -15, proxy.output
    assert "Traceback" not in proxy.output, proxy.output
    with socket.create_server(("127.0.0.1", proxy.port)):
        pass


@pytest.fixture(scope="module")
def service() -> Iterator[GigaChatServer]:
    """One service for all checks of a module: starting gpt2giga takes seconds."""
    with GigaChatServer(strict=True) as running:
        yield running


@pytest.fixture(scope="module")
def running(service: GigaChatServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy_of(service, tmp_path_factory.mktemp("gpt2giga")) as proxy:
        yield proxy


@pytest.fixture
def server(service: GigaChatServer) -> GigaChatServer:
    """The service, with nothing received and nothing ordered yet."""
    service.clear()
    return service


@pytest.fixture
def proxy(running: Proxy, server: GigaChatServer) -> Proxy:
    return running
