"""TLS over any stream of bytes, by `ssl.MemoryBIO`. In blocking mode it is used only inside the TLS of a proxy."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Protocol

from gigachat._transport.deadlines import end_of, left_until

_RECORD = 64 * 1024


class ByteStream(Protocol):
    """Bytes over a connection; times out with TimeoutError, fails with OSError."""

    async def read(self, size: int, timeout: float | None) -> bytes:
        """Return some bytes, none at the end."""
        ...

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Send all bytes."""
        ...

    def unread(self) -> bool:
        """Whether bytes, or the end of the connection, were received and not read."""
        ...


class TLS:
    """TLS over another stream.

    It raises an error where the peer closes the connection without close_notify.
    """

    def __init__(self, stream: ByteStream, context: ssl.SSLContext, hostname: str | None) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)

    async def handshake(self, timeout: float | None) -> None:
        """Perform the TLS handshake."""
        until = end_of(timeout)
        while True:
            try:
                self._ssl.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush(until)
                await self._fill(until)
            except ssl.SSLError:
                with suppress(OSError):
                    await self._flush(until)  # the alert that tells the peer why
                raise
            else:
                await self._flush(until)
                return

    async def read(self, size: int, timeout: float | None) -> bytes:
        until = end_of(timeout)
        while True:
            try:
                return self._ssl.read(size)
            except ssl.SSLWantReadError:
                await self._flush(until)
                await self._fill(until)

    async def write(self, data: bytes, timeout: float | None) -> None:
        until = end_of(timeout)
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._ssl.write(rest) :]  # a record at a time
            except ssl.SSLWantReadError:  # pragma: no cover - a renegotiation, which TLS 1.3 does not have
                await self._flush(until)
                await self._fill(until)
            await self._flush(until)

    def unread(self) -> bool:
        return bool(self._ssl.pending() or self._incoming.pending) or self._stream.unread()

    async def _flush(self, until: float | None) -> None:
        if data := self._outgoing.read():
            await self._stream.write(data, left_until(until))

    async def _fill(self, until: float | None) -> None:
        data = await self._stream.read(_RECORD, left_until(until))
        if not data:
            # OpenSSL itself would take this for close_notify if the context has OP_IGNORE_UNEXPECTED_EOF.
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
        self._incoming.write(data)
