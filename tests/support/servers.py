"""A server of bytes: it answers each request by a script, to the letter, and remembers what arrived.

A script is a list of acts, one a request; when it is used up, answers are good. Sign-in has a script of its own.
Nothing here knows the client. `tests.wire.servers` adds TLS, `raw_servers` has servers without a script.
"""

from __future__ import annotations

import itertools
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeAlias

from tests.support.payloads import grant
from tests.support.waiting import PATIENCE

__all__ = ["KEY", "Act", "Peer", "Received", "Server", "cuts", "hangs", "says"]

KEY = "aWQ6c2VjcmV0"
_numbers = itertools.count()


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self._socket = connection
        self.number = number
        self._file = connection.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def cut(self) -> None:
        """End the connection in order: what was sent arrives."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self._socket.close()

    def receive(self) -> None:
        """Wait until something of a request is here."""
        self._file.read(1)

    def stay_silent(self) -> None:
        """Say nothing until the other end has gone."""
        while self._socket.recv(65536):
            pass

    def shut(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()
            self._socket.close()

    def request(self) -> Received | None:
        """Read a request; None at the end of the connection."""
        line = self._file.readline()
        if not line:
            return None
        method, path, _ = line.decode().split(" ", 2)
        headers: dict[str, str] = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            pieces = []
            while size := int(self._file.readline(), 16):
                pieces.append(self._file.read(size))
                self._file.readline()
            self._file.readline()
            body = b"".join(pieces)
        else:
            body = self._file.read(int(headers.get("content-length", 0)))
        return Received(method, path, headers, body, self.number)


Act: TypeAlias = Callable[[Peer, Received], None]


class Server:
    """A server on a port of its own.

    Args:
        good: The answer where no script says otherwise.
        listening: Whether it listens at once; until it does, connections are refused.
    """

    def __init__(self, good: bytes = b"", *, listening: bool = True) -> None:
        self.good = good
        self.script: deque[Act] = deque()
        self.for_ever: Act | None = None  # what is done when the script is used up, instead of the good answer
        self.greetings: deque[Callable[[Peer], None]] = deque()  # what is done with a connection before its requests
        self.greeting_for_ever: Callable[[Peer], None] | None = None
        self.sign_in_script: deque[Act] = deque()
        self.sign_in_for_ever: Act | None = None
        self.requests: list[Received] = []
        self.sign_ins: list[Received] = []
        self.token_lifetime = 1800.0
        self.connections = 0
        self._open: dict[int, Peer] = {}
        self._changed = threading.Condition()
        self._tokens = 0
        self._stopping = False
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        # A port may come again in another test; a token that is shared must not.
        self.auth_url = f"{self.origin}/oauth/{next(_numbers)}"
        self._threads: list[threading.Thread] = []
        if listening:
            self.listen()

    @property
    def options(self) -> dict[str, Any]:
        """How a client reaches it."""
        return {"base_url": f"{self.origin}/v1", "auth_url": self.auth_url, "credentials": KEY}

    def listen(self) -> None:
        """Take connections from now on."""
        if not self._threads:
            self._listener.listen(128)
            self._start(self._accept)

    def wait_until(self, condition: Callable[[Self], bool]) -> bool:
        """Wait for a condition that a request or an end of a connection may bring about; whether it came."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), PATIENCE)

    def wait_for_connections(self, count: int) -> bool:
        """Wait until no more than so many connections are open; whether that came."""
        return self.wait_until(lambda server: len(server._open) <= count)

    def close_idle(self) -> None:
        """End all connections from this side, and return when they have ended."""
        with self._changed:
            peers = list(self._open.values())
        for peer in peers:
            peer.shut()
        assert self.wait_for_connections(0)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self.connections += 1
                peer = Peer(connection, self.connections)
                self._open[peer.number] = peer
            self._start(partial(self._serve, peer))

    def _serve(self, peer: Peer) -> None:
        try:
            greeting = self.greetings.popleft() if self.greetings else self.greeting_for_ever
            if greeting is not None:
                greeting(peer)
            while not self._stopping and (request := peer.request()) is not None:
                self._next_act(request)(peer, request)
        except (OSError, ValueError):
            pass  # the other end has gone, or the act has closed this one
        finally:
            peer.close()
            with self._changed:
                del self._open[peer.number]
                self._changed.notify_all()

    def _next_act(self, request: Received) -> Act:
        with self._changed:
            self._changed.notify_all()
            if request.path.startswith("/oauth/"):
                self.sign_ins.append(request)
                if self.sign_in_script:
                    return self.sign_in_script.popleft()
                return self.sign_in_for_ever or self._sign_in
            self.requests.append(request)
            if self.script:
                return self.script.popleft()
            return self.for_ever or (lambda peer, _: peer.send(self.good))

    def _sign_in(self, peer: Peer, _: Received) -> None:
        with self._changed:
            self._tokens += 1
            number = self._tokens
        peer.send(grant(f"token-{number}", self.token_lifetime))

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            peers = list(self._open.values())
        for peer in peers:
            peer.shut()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def says(*parts: bytes) -> Act:
    """Send these parts."""

    def act(peer: Peer, _: Received) -> None:
        for part in parts:
            peer.send(part)

    return act


def cuts(part: bytes) -> Act:
    """Send this part and end the connection."""

    def act(peer: Peer, _: Received) -> None:
        peer.send(part)
        peer.cut()

    return act


def hangs(part: bytes) -> Act:
    """Send this part and say nothing more."""

    def act(peer: Peer, _: Received) -> None:
        peer.send(part)
        peer.stay_silent()

    return act
