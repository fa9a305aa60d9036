"""Corporate surroundings over real sockets: certificates of every kind, an HTTP proxy that tunnels, a SOCKS5 proxy."""

from __future__ import annotations

import base64
import datetime
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.callers import http, read_request

__all__ = ["Proxy", "Site", "dripping", "http_proxy", "self_signed", "server_context", "site", "socks_proxy"]

_DAY = datetime.timedelta(days=1)
_NOW = datetime.datetime.now(datetime.UTC)


def server_context(authority: trustme.CA, *hosts: str, days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
    """A server's context with a certificate for these hosts, good from and until so many days from today."""
    certificate = authority.issue_cert(*hosts, not_before=_NOW + days[0] * _DAY, not_after=_NOW + days[1] * _DAY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def self_signed(host: str, folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, _NOW - _DAY, _NOW + _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "self.pem").write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "self.pem")
    return context


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

    with _listening(serve) as running.port:
        yield running


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
        with connection:
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

    with _listening(serve) as proxy.port:
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

    with _listening(serve) as port:
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
        with connection, connection.makefile("rb") as read:
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

    with _listening(serve) as proxy.port:
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


@contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection in a thread of its own, until left; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def quietly(connection: socket.socket) -> None:
        with suppress(OSError, ValueError, IndexError), connection:  # the other end may go in the middle of a word
            serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                # A second descriptor, to end the connection whatever the thread has made of the first.
                connections.append(connection.dup())
                threads.append(threading.Thread(target=quietly, args=(connection,), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in threads:
            thread.join(5)
