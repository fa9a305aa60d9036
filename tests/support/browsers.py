"""Web services in processes of their own, and browsers that leave or stop reading."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gigachat.server import GigaChatServer, Received
from tests.support.waiting import PATIENCE, until

__all__ = ["CASES", "UVICORN", "browser", "chats", "check_slot_is_freed", "piece", "served", "whole"]

UVICORN = ("uvicorn", "--no-use-colors", "--port", "0")
CASES = ("leaves while the model thinks", "leaves without reading", "stays without reading")
_STARTED = re.compile(r"(?:running on|Listening at:) http://127.0.0.1:(\d+)")


@contextlib.contextmanager
def served(folder: Path, *command: str, environment: Mapping[str, str]) -> Iterator[int]:
    """Run a server of Python in a folder, and yield its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={"PYTHONUTF8": "1", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    limit = threading.Timer(5 * PATIENCE, process.kill)
    limit.start()
    assert process.stderr is not None
    reader = threading.Thread(target=process.stderr.read)  # a full pipe would stop the program
    try:
        port = next((int(found[1]) for line in process.stderr if (found := _STARTED.search(line))), None)
        assert port is not None, "the program has ended"
        reader.start()
        yield port
    finally:
        limit.cancel()
        process.terminate()
        process.wait(PATIENCE)
        if reader.ident is not None:
            reader.join()
        process.stderr.close()


def browser(port: int, path: str) -> socket.socket:
    """Ask a question and read nothing yet; the system keeps little for it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", port))
    target = f"{path}?question={quote('Расскажи сказку')}"
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def whole(connection: socket.socket) -> str:
    """Read an answer to its end."""
    received = b""
    while b"\r\n0\r\n\r\n" not in received:
        received += connection.recv(4096)
    return received.decode()


def chats(server: GigaChatServer) -> list[Received]:
    """Return the chats in progress."""
    return [request for request in server.requests_in_progress if request.path.endswith("/chat/completions")]


def piece(text: str) -> dict[str, Any]:
    """Return a chunk of a stream."""
    return {"choices": [{"delta": {"content": text}, "index": 0}]}


def check_slot_is_freed(case: str, port: int, path: str, server: GigaChatServer) -> None:
    """Check that a browser that reads no more frees the only slot of a service, in one of `CASES`."""
    pieces = [piece("Жили-были.")] if "thinks" in case else [piece("ж" * 200_000)] * 40
    server.stream_events(pieces, keep_open=True)
    server.reply("Конец.")
    with browser(port, path) as first:
        assert first.recv(12) == b"HTTP/1.1 200"
        until(lambda: len(chats(server)) == 1)
        if case.startswith("leaves"):
            first.close()
        until(lambda: not chats(server))
        with browser(port, path) as second:
            assert "Конец." in whole(second)
