"""Servers of bytes with TLS or without, and what they do with a request.

A server ends by itself after some seconds, so that a test that fails does not hang.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from tests.support import servers
from tests.support.certificates import Authority
from tests.support.payloads import answer
from tests.support.servers import Act, Peer, Received

__all__ = ["Pouring", "Server", "cut", "end_tls", "stall", "together"]


class Server(servers.Server):
    """A server on a port of its own, whose good answer is "good"; without TLS it is a proxy for such requests too.

    Args:
        good: The answer where no script says otherwise.
        tls: Whose certificate it shows; without one it speaks no TLS.
        patience: Seconds after which it ends all connections, those to come too.
    """

    def __init__(self, good: bytes | None = None, *, tls: Authority | None = None, patience: float = 30.0) -> None:
        super().__init__(answer("good") if good is None else good, listening=False)
        self.gave_up = False
        self.proxied: list[str] = []  # the whole addresses that were asked for
        self._tls = tls
        if tls is not None:
            self.origin = self.origin.replace("http:", "https:")
            self.auth_url = self.auth_url.replace("http:", "https:")
            self.greeting_for_ever = self._secure
        self.port = int(self.origin.rpartition(":")[2])
        self._impatience = threading.Timer(patience, self._give_up)
        self._impatience.daemon = True
        self.listen()
        self._impatience.start()

    @property
    def reach(self) -> dict[str, Any]:
        """How a client with a ready token reaches it, without repetitions."""
        trust = {} if self._tls is None else {"ca_bundle_file": self._tls.file}
        return {"base_url": f"{self.origin}/v1", "access_token": "ready", "max_retries": 0, **trust}

    @property
    def options(self) -> dict[str, Any]:
        """How a client that signs in reaches it, without repetitions."""
        reach = self.reach
        del reach["access_token"]
        return {**reach, **super().options}

    def _secure(self, peer: Peer) -> None:
        assert self._tls is not None
        plain = peer._file
        peer._socket = self._tls.context.wrap_socket(peer._socket, server_side=True, do_handshake_on_connect=False)
        peer._file = peer._socket.makefile("rb")
        plain.close()
        assert isinstance(peer._socket, ssl.SSLSocket)
        peer._socket.do_handshake()

    def _next_act(self, request: Received) -> Act:
        if "://" in request.path:
            self.proxied.append(request.path)
            request = replace(request, path=f"/{request.path.split('/', 3)[3]}")
        return super()._next_act(request)

    def _give_up(self) -> None:
        self.gave_up = True
        self.greeting_for_ever = Peer.shut
        for peer in list(self._open.values()):
            peer.shut()

    def __exit__(self, *raised: object) -> None:
        self._impatience.cancel()
        super().__exit__(*raised)
        self._impatience.join()


def together(peer: Peer, *parts: bytes) -> None:
    """Send parts, each in a TLS record of its own, in as few segments as the system can be asked for."""
    cork = getattr(socket, "TCP_CORK", None)
    if cork is not None:
        peer._socket.setsockopt(socket.IPPROTO_TCP, cork, 1)
    for part in parts:
        peer.send(part)
    if cork is not None:
        peer._socket.setsockopt(socket.IPPROTO_TCP, cork, 0)


def cut(peer: Peer) -> None:
    """End a connection as TCP ends it, whatever TLS is spoken on it."""
    peer._file.close()
    if isinstance(peer._socket, ssl.SSLSocket):
        socket.socket(fileno=peer._socket.detach()).close()
    else:
        peer.cut()


def end_tls(peer: Peer) -> None:
    """End a connection as TLS ends it, with its word for the end, and as TCP."""
    if isinstance(peer._socket, ssl.SSLSocket):
        peer._socket.settimeout(0.2)
        with suppress(OSError, ValueError):
            peer._socket.unwrap()  # and waits for the other's, which need not come
    peer.shut()


def stall(peer: Peer, _: Received | None = None) -> None:
    """Say nothing more until the other end has gone."""
    peer.stay_silent()


@dataclass
class Pouring:
    """Sends a beginning, then the same piece again and again, and an end.

    Attributes:
        cut: Whether it ends the connection then.
        pause: Seconds between the pieces.
        poured: How many bytes of the pieces have gone out.
    """

    begin: bytes
    piece: bytes
    count: int
    end: bytes = b""
    cut: bool = False
    pause: float = 0.0
    poured: int = 0

    def __call__(self, peer: Peer, _: Received) -> None:
        pause = threading.Event()
        peer.send(self.begin)
        for _number in range(self.count):
            peer.send(self.piece)
            self.poured += len(self.piece)
            if self.pause:
                pause.wait(self.pause)
        peer.send(self.end)
        if self.cut:
            peer.cut()
