"""The own server: drips events, holds streams open, takes uploads; without nginx it serves the canned answers too.

`python -m benchmarks.server FOLDER [CERTIFICATE]` prints its addresses, plain and TLS, and ends with its standard
input. The first part of a path says what is wanted:

* `/NAME/v1/…`: the file `NAME.v1.*` of the folder;
* `/drip-EVENTS-MILLISECONDS/…`: so many events, each after a pause, each an HTTP chunk of its own;
* `/chunked/…`: a stream at full speed, each event an HTTP chunk of its own, as the service sends them;
* `/hold/…`: one event, then nothing until the client goes;
* `/agent/…`: a call of a function, or the text when its result is in the request;
* `/upload/…`: the body is read and dropped.

It checks nothing: what is right or wrong to ask is the business of `gigachat.server`.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from functools import lru_cache
from pathlib import Path

from benchmarks.answers import EVENTS, TYPES, events

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LINE = re.compile(rb"^\w+ /([\w-]+)/(v\d)/")
_KEPT = 1 << 20  # bytes of a request's body that are kept


class Connection(asyncio.Protocol):
    """One client: a request, its answer, the next request."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._head = b""
        self._received = b""
        self._missing: int | None = None  # bytes of the body; None while it is chunked
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._head:
            self._body(data)
            return
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        self._head, self._received = head, b""
        length = _LENGTH.search(head)
        self._missing = None if _CHUNKED.search(head) else int(length[1]) if length else 0
        self._body(body)

    def _body(self, data: bytes) -> None:
        kept = self._received + data
        if self._missing is None:
            whole = kept.endswith(b"0\r\n\r\n")
        else:
            self._missing -= len(data)
            whole = self._missing <= 0
        # The end is enough to see where a long chunked body ends.
        self._received = kept if whole or len(kept) < _KEPT else kept[-16:]
        if whole:
            head, body = self._head, self._received
            self._head = self._received = b""
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        line = _LINE.match(head)
        if line is None:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return
        name, version = line[1].decode(), line[2].decode()
        match name.split("-"):
            case ["drip", count, milliseconds]:
                self._task = asyncio.get_running_loop().create_task(
                    self._drip(_dripped(version, int(count)), int(milliseconds) / 1000)
                )
            case ["chunked"]:
                self._transport.write(_chunked(version))
            case ["hold"]:
                self._transport.write(_STREAM + _dripped(version, 3)[0])
            case ["agent"]:
                answered = b'"role":"function"' in body or b'"role": "function"' in body
                self._transport.write(_canned(self._folder, "chat" if answered else "call", version))
            case _:
                self._transport.write(_canned(self._folder, name, version))

    async def _drip(self, pieces: tuple[bytes, ...], pause: float) -> None:
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._transport.write(_STREAM)
        due = loop.time()
        for piece in pieces:
            due += pause
            await asyncio.sleep(due - loop.time())
            self._transport.write(piece)
        self._transport.write(b"0\r\n\r\n")


_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@lru_cache
def _dripped(version: str, count: int) -> tuple[bytes, ...]:
    return tuple(b"%x\r\n%b\r\n" % (len(event), event) for event in events(version, count))


@lru_cache
def _chunked(version: str) -> bytes:
    return b"".join([_STREAM, *_dripped(version, EVENTS), b"0\r\n\r\n"])


@lru_cache
def _canned(folder: Path, name: str, version: str) -> bytes:
    (path,) = folder.glob(f"{name}.{version}.*")
    body = path.read_bytes()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {TYPES[path.suffix]}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve(folder: Path, certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Connection(folder), "127.0.0.1", 0, backlog=4096)]
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        servers.append(await loop.create_server(lambda: Connection(folder), "127.0.0.1", 0, ssl=context, backlog=4096))
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    addresses = [f"http://127.0.0.1:{ports[0]}", *(f"https://localhost:{port}" for port in ports[1:])]
    print(json.dumps(addresses), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for server in servers:
        server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
