"""The web service of `examples/`: browsers that leave or stop reading, and eight workers with one account."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gigachat.server import GigaChatServer, Received
from tests.support.programs import environment
from tests.support.systems import needs_fork
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.costly, needs_fork]

EXAMPLES = Path(__file__).parents[2] / "examples"
QUESTION = f"GET /chat?question={quote('Расскажи сказку')} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
UVICORN = ("uvicorn", "--no-use-colors", "--port", "0")
GUNICORN = ("gunicorn", "--config", str(EXAMPLES / "gunicorn.conf.py"), "--bind", "127.0.0.1:0", "--no-control-socket")

# Nothing here may depend on the garbage collector.
PROGRAM = f"""
import gc, sys
gc.disable()
sys.path.insert(0, {str(EXAMPLES)!r})
import sse_endpoint
sse_endpoint.SEND_TIMEOUT = 0.5
app = sse_endpoint.app
"""


@contextlib.contextmanager
def served(server: GigaChatServer, folder: Path, *command: str, **variables: str) -> Iterator[int]:
    """Run the example, and yield its port."""
    (folder / "program.py").write_text(PROGRAM, "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "program:app"],
        cwd=folder,
        env={"PYTHONUTF8": "1", **environment(server), **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    limit = threading.Timer(5 * PATIENCE, process.kill)
    limit.start()
    assert process.stderr is not None
    try:
        started = (re.search(r"(?:running on|Listening at:) http://127.0.0.1:(\d+)", line) for line in process.stderr)
        port = next((int(found[1]) for found in started if found is not None), None)
        assert port is not None, "the program has ended"
        said = threading.Thread(target=process.stderr.read)  # a full pipe would stop the program
        said.start()
        yield port
    finally:
        limit.cancel()
        process.terminate()
        process.wait(PATIENCE)
        said.join()
        process.stderr.close()


def browser(port: int) -> socket.socket:
    """Ask the question, and read the first bytes of the answer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", port))
    connection.sendall(QUESTION)
    return connection


def chats(server: GigaChatServer) -> list[Received]:
    """Return the chats in progress."""
    return [request for request in server.requests_in_progress if request.path.endswith("/chat/completions")]


def piece(text: str) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "index": 0}]}


def whole(connection: socket.socket) -> bytes:
    """Read an answer to its end."""
    received = b""
    while b"\r\n0\r\n\r\n" not in received:
        received += connection.recv(4096)
    return received


@pytest.mark.parametrize("command", [UVICORN, (*GUNICORN, "--workers", "1")], ids=["uvicorn", "gunicorn"])
@pytest.mark.parametrize("case", ["leaves while the model thinks", "leaves without reading", "stays without reading"])
def test_a_browser_that_reads_no_more_frees_its_slot(
    command: tuple[str, ...], case: str, server: GigaChatServer, tmp_path: Path
) -> None:
    pieces = [piece("Жили-были.")] if "thinks" in case else [piece("ж" * 200_000)] * 40
    server.stream_events(pieces, keep_open=True)
    server.reply("Конец.")
    with (
        served(server, tmp_path, *command, GIGACHAT_MAX_CONCURRENCY="1") as port,
        browser(port) as first,
    ):
        assert first.recv(200).startswith(b"HTTP/1.1 200")
        until(lambda: len(chats(server)) == 1)
        if case.startswith("leaves"):
            first.close()
        until(lambda: not chats(server))
        with browser(port) as second:
            assert "Конец".encode() in whole(second)


def test_eight_workers_share_what_the_account_permits(server: GigaChatServer, tmp_path: Path) -> None:
    for _ in range(1000):
        server.stream_events([piece("Жили-были.")], keep_open=True)
    with served(server, tmp_path, *GUNICORN) as port:
        for _ in range(2):  # the second time with the slots that the first browsers leave
            with contextlib.ExitStack() as browsers:
                for _ in range(200):  # the kernel chooses the worker; a browser of a busy one waits
                    connection = browsers.enter_context(browser(port))
                    connection.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        assert connection.recv(12) == b"HTTP/1.1 200"
                    if len(chats(server)) >= 8:
                        break
                until(lambda: len(chats(server)) == 8)
            until(lambda: not chats(server))
    assert len(server.requests_to("/oauth")) == 8
