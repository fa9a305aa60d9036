"""Servers that handle each connection by hand, on plain sockets or with TLS; that of `servers` follows a script."""

from __future__ import annotations

import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from tests.support.payloads import completion, http
from tests.support.waiting import PATIENCE

__all__ = ["Gate", "Site", "is_open", "listening", "raw_server", "read_request", "site"]


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection in a thread of its own, until left; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def served(connection: socket.socket, same: socket.socket) -> None:
        with suppress(OSError), connection:
            try:
                serve(connection)
            finally:
                same.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                # A second descriptor, to end the connection whatever the thread has made of the first.
                connections.append(connection.dup())
                threads.append(threading.Thread(target=served, args=(connection, connections[-1]), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):  # Windows ends `accept` when the socket is closed, and refuses this
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        for connection in connections:
            connection.close()


@contextmanager
def raw_server(answer: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[str, list[bytes]]]:
    """Serve connections by hand: `answer` gets the socket and the head and body of each request."""
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while request := read_request(connection):
            received.append(request)
            answer(connection, request)

    with listening(serve) as port:
        yield f"http://127.0.0.1:{port}", received


class Gate:
    """A server that answers a chat only when told to, and knows who asks at this moment, in order of arrival."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self.arrived: list[str] = []
        self.most = 0
        self._in_work = 0
        self._permits = threading.Semaphore(0)
        self._changed = threading.Condition()

    def answer(self, connection: socket.socket, request: bytes) -> None:
        with self._changed:
            self._in_work += 1
            self.most = max(self.most, self._in_work)
            self.connections.append(connection)
            self.arrived.append(str(json.loads(request.partition(b"\r\n\r\n")[2])["messages"][0]["content"]))
            self._changed.notify_all()
        self._permits.acquire()
        with self._changed:
            self._in_work -= 1
        connection.sendall(http(completion("ok")))

    def open(self, times: int = 1) -> None:
        self._permits.release(times)

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have come in all."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.arrived) >= count, PATIENCE), self.arrived


@dataclass
class Site:
    """A server: where it listens, on the loopback address, and the requests it got."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/v1"


@contextmanager
def site(
    context: ssl.SSLContext | None,
    answer: bytes = http(b'{"choices":[]}'),
    *,
    answers_anything: bool = False,
    linger: bool = False,
    ends: Literal["in order", "cut off"] | None = None,
) -> Iterator[Site]:
    """A server that gives everybody the same answer.

    Args:
        context: Without one it speaks no TLS.
        answer: What it says.
        answers_anything: Answer the first bytes, whatever they are, and close.
        linger: After a handshake that failed, read what comes, so that no reset overtakes the alert.
        ends: End the connection after an answer, TLS and all, or as who is on the way could do it.
    """
    running = Site()

    def serve(connection: socket.socket) -> None:
        if answers_anything:
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_RDWR)
            return
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with connection:
            try:
                if isinstance(connection, ssl.SSLSocket):
                    connection.do_handshake()
            except ssl.SSLError:
                with socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as rest:
                    rest.shutdown(socket.SHUT_WR)
                    while linger and rest.recv(65536):
                        pass
                return
            while request := read_request(connection):
                running.requests.append(request)
                connection.sendall(answer)
                if ends == "in order" and isinstance(connection, ssl.SSLSocket):
                    connection = connection.unwrap()
                if ends is not None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return

    with listening(serve) as running.port:
        yield running


def read_request(connection: socket.socket) -> bytes:
    """Read the head and body of a request; nothing if the connection ended."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            return b""
        body += piece
    return head + b"\r\n\r\n" + body


def is_open(connection: socket.socket) -> bool:
    """Whether the other side of a server's connection has not closed it."""
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return not readable or bool(connection.recv(1, socket.MSG_PEEK))
    except (OSError, ValueError):  # the latter of a socket that is closed here
        return False
