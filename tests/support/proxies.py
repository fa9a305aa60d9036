"""Proxies on the loopback address: HTTP proxies that tunnel, SOCKS5 proxies, and a slow way to a port."""

from __future__ import annotations

import base64
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.raw_servers import listening, read_request

__all__ = ["Proxy", "dripping", "http_proxy", "socks_proxy"]


@dataclass
class Proxy:
    """What a proxy has seen.

    Attributes:
        port: Where it listens, on the loopback address.
        asked: `host:port` of each tunnel asked for, in order.
        refused: How many requests came without the right user and password.
        certificates: What each client of an `https://` proxy showed, nothing if none.
    """

    port: int = 0
    asked: list[str] = field(default_factory=list)
    refused: int = 0
    certificates: list[object] = field(default_factory=list)


@contextmanager
def http_proxy(leads_to: int, *, login: str = "", context: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy whose tunnels lead to a local port, whatever host is asked for.

    Args:
        leads_to: The port.
        login: `user:password` it demands.
        context: With one it is an `https://` proxy.
    """
    proxy = Proxy()
    wanted = f"proxy-authorization: basic {base64.b64encode(login.encode()).decode()}".lower()

    def serve(connection: socket.socket) -> None:
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
            proxy.certificates.append(connection.getpeercert())
        with suppress(ValueError), connection:  # the other end may go in the middle of a word
            lines = read_request(connection).decode("latin-1").split("\r\n")
            if lines == [""]:
                return
            if login and wanted not in (line.lower() for line in lines):
                proxy.refused += 1
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            method, target, _ = lines[0].split(" ")
            if method != "CONNECT":
                connection.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                return
            proxy.asked.append(target)
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _relay(connection, leads_to)

    with listening(serve) as proxy.port:
        yield proxy


@contextmanager
def dripping(leads_to: int, *, after: int = 0) -> Iterator[int]:
    """A way to a local port that brings what comes back byte by byte, slowly; its own port.

    Args:
        leads_to: The port.
        after: Bytes that come back at once before that.
    """
    left = threading.Event()

    def serve(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", leads_to)) as other:
            asking = threading.Thread(target=_forward, args=(connection, other), daemon=True)
            asking.start()
            passed = 0
            while piece := other.recv(65536):
                at_once = piece[: max(0, after - passed)]
                connection.sendall(at_once)
                for index in range(len(at_once), len(piece)):
                    connection.sendall(piece[index : index + 1])
                    if left.wait(0.005):
                        return
                passed += len(piece)

    with listening(serve) as port:
        try:
            yield port
        finally:
            left.set()


def _forward(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while piece := one.recv(65536):
            other.sendall(piece)


@contextmanager
def socks_proxy(leads_to: int, *, login: str = "") -> Iterator[Proxy]:
    """A SOCKS5 proxy whose connections lead to a local port, whatever host is asked for."""
    proxy = Proxy()

    def serve(connection: socket.socket) -> None:
        with suppress(ValueError, IndexError), connection, connection.makefile("rb") as read:  # here too
            _, count = read.read(2)
            method = 2 if login else 0
            if method not in read.read(count):
                proxy.refused += 1
                connection.sendall(b"\x05\xff")
                return
            connection.sendall(bytes((5, method)))
            if login:
                user = read.read(read.read(2)[1])
                password = read.read(read.read(1)[0])
                right = b"%b:%b" % (user, password) == login.encode()
                proxy.refused += not right
                connection.sendall(bytes((1, not right)))
                if not right:
                    return
            _, _, _, kind = read.read(4)
            host = read.read(read.read(1)[0]).decode() if kind == 3 else socket.inet_ntoa(read.read(4))
            proxy.asked.append(f"{host}:{int.from_bytes(read.read(2))}")
            connection.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            _relay(connection, leads_to)

    with listening(serve) as proxy.port:
        yield proxy


def _relay(one: socket.socket, port: int) -> None:
    """Carry bytes both ways until either side ends."""
    with socket.create_connection(("127.0.0.1", port)) as other:
        while True:
            # What TLS has read already, the system does not show.
            if isinstance(one, ssl.SSLSocket) and one.pending():
                ready: list[socket.socket] = [one]
            else:
                ready, _, _ = select.select([one, other], [], [])
            for side in ready:
                piece = side.recv(65536)
                if not piece:
                    # Closing alone ends nothing: there is a second descriptor.
                    one.shutdown(socket.SHUT_RDWR)
                    return
                (other if side is one else one).sendall(piece)
