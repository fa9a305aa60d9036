"""A server that costs next to nothing: recorded answers as ready bytes over plain HTTP with kept connections.

It runs in a process of its own, so that only the client is measured, and ends when its standard input does. It checks
nothing and must stay so: what is right or wrong to ask is the business of `gigachat.server`.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EVENTS = 2000
TEXTS = 100
CROWD = 100  # calls at once
DIMENSIONS = 1024

_RECORDED = Path(__file__).parent.parent / "tests" / "contract" / "recorded"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FRAMING = ("content-length", "transfer-encoding")
_CHUNK = 8192  # bytes of a large answer in one chunk, as servers commonly buffer


def recorded(name: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the recorded answer to the one exchange that is not a sign-in."""
    response = json.loads((_RECORDED / f"{name}.json").read_bytes())[-1]["response"]
    return response["headers"], response["body"].encode()


def _chat() -> bytes:
    headers, body = recorded("chat_simple")
    return _head(headers, f"content-length: {len(body)}") + body


def _function_call() -> bytes:
    """Return the recorded answer with a call of a function in place of its text."""
    headers, body = recorded("chat_simple")
    answer = json.loads(body)
    call = {"name": "add", "arguments": {"a": 1, "b": 2}}
    message = {"role": "assistant", "content": "", "function_call": call, "functions_state_id": "state"}
    answer["choices"][0].update(message=message, finish_reason="function_call")
    content = json.dumps(answer, ensure_ascii=False).encode()
    return _head(headers, f"content-length: {len(content)}") + content


def _stream() -> bytes:
    """Return the recorded stream, its inner events repeated; each event is an HTTP chunk of its own."""
    headers, body = recorded("stream_simple")
    first, *inner, last, done, _ = body.split(b"\n\n")
    events = [first, *(inner[number % len(inner)] for number in range(EVENTS - 2)), last, done]
    return _head(headers, "transfer-encoding: chunked") + _chunked(event + b"\n\n" for event in events)


def vectors() -> bytes:
    """Return an answer with vectors of half-precision values, which is what the recorded ones are."""
    chance = random.Random(1)
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(chance), "usage": {"prompt_tokens": 7}}
        for index in range(TEXTS)
    ]
    return json.dumps({"object": "list", "model": "Embeddings", "data": data}, separators=(",", ":")).encode()


def _embeddings() -> bytes:
    headers, _ = recorded("embeddings_single")
    body = vectors()
    pieces = (body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK))
    return _head(headers, "transfer-encoding: chunked") + _chunked(pieces)


def _vector(chance: random.Random) -> list[float]:
    values = [chance.gauss(0, 1) for _ in range(DIMENSIONS)]
    return list(struct.unpack(f"{DIMENSIONS}e", struct.pack(f"{DIMENSIONS}e", *values)))


def _head(headers: dict[str, str], framing: str) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items() if name not in _FRAMING]
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, framing, "", ""]).encode()


def _chunked(pieces: Iterable[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


class _Connection(asyncio.Protocol):
    """One client: a request, its answer, the next request."""

    def __init__(self, answers: tuple[bytes, ...]) -> None:
        self._chat, self._function_call, self._stream, self._embeddings = answers
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self._received = b""
        assert self._transport is not None
        if b"/embeddings " in head:
            self._transport.write(self._embeddings)
        elif b'"functions":' in body and b'"role":"function"' not in body:
            self._transport.write(self._function_call)
        else:
            self._transport.write(self._stream if b"event-stream" in head else self._chat)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    answers = _chat(), _function_call(), _stream(), _embeddings()
    server = await loop.create_server(lambda: _Connection(answers), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
