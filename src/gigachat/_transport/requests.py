"""Parts of a request as httpcore2 takes them: address, timeouts, multipart body."""

from __future__ import annotations

from functools import lru_cache
from io import UnsupportedOperation
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import httpcore2

from gigachat._transport.decoding import ACCEPTED
from gigachat.exceptions import GigaChatException

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gigachat._engine.transport import Timeouts, Upload

FIXED_HEADERS = {"accept": "*/*", "accept-encoding": ACCEPTED, "connection": "keep-alive"}
WITHOUT_BODY = ("GET", "HEAD", "OPTIONS", "DELETE")
_IN_PATHS = "/%:@!$&'()*+,;=~-._"
encoded_name = lru_cache(maxsize=256)(str.encode)
"""Return the name of a header as bytes; open streams share them."""


def host_bytes(host: str) -> bytes:
    """Return a host name as it is resolved and sent.

    Raises:
        UnicodeError: It is not valid.
    """
    return host.encode("ascii") if host.isascii() else host.encode("idna")


@lru_cache(maxsize=256)
def parsed_url(url: str) -> tuple[httpcore2.URL, str]:
    """Return an address without fragment, and its `host` header.

    Raises:
        UnicodeError: The host name is not valid.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    name = host_bytes(host)
    target = quote(parts.path, safe=_IN_PATHS) or "/"
    if parts.query:
        target += f"?{quote(parts.query, safe=_IN_PATHS + '?')}"
    shown = f"[{host}]" if ":" in host else name.decode()
    if parts.port not in (None, {"http": 80, "https": 443}.get(parts.scheme)):
        shown += f":{parts.port}"
    return httpcore2.URL(scheme=parts.scheme, host=name, port=parts.port, target=target), shown


def with_query(url: httpcore2.URL, query: Mapping[str, str | Sequence[str]]) -> httpcore2.URL:
    """Return an address with more query parameters; a list repeats one."""
    more = urlencode(query, doseq=True, quote_via=quote).encode()
    target = url.target + (b"&" if b"?" in url.target else b"?") + more
    return httpcore2.URL(scheme=url.scheme, host=url.host, port=url.port, target=target)


@lru_cache(maxsize=64)
def extensions(timeouts: Timeouts) -> dict[str, Any]:
    """Return timeouts as httpcore2 takes them."""
    return {"timeout": {"connect": timeouts.connect, "read": timeouts.read, "write": timeouts.write}}


def form(upload: Upload) -> dict[str, Any]:
    """Return an upload as httpx2 takes it; its body is read from the file while it is sent."""
    file = upload.file if isinstance(upload.file, bytes) else _File(upload.file, upload.filename)
    part = upload.filename, file, upload.content_type, {**upload.headers}
    return {"data": {**upload.fields}, "files": {"file": part}}


def multipart(upload: Upload) -> tuple[dict[str, str], Iterable[bytes]]:
    """Return the headers and the body of an upload."""
    import httpx2  # deferred: the default path needs it for uploads only

    encoded: Any = httpx2.Request("POST", "http://upload", **form(upload))
    framing = ("content-type", "content-length", "transfer-encoding")
    return {name: encoded.headers[name] for name in framing if name in encoded.headers}, encoded.stream


class _File:
    """A file of the caller: measured by seeking, because a descriptor does not tell what a compressed one holds."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        if hasattr(file, "seek"):
            self.seek = self._seek
            self.tell = file.tell

    def _seek(self, *place: int) -> int:
        try:
            return self._file.seek(*place)
        except OSError as error:
            raise UnsupportedOperation(str(error)) from error  # which httpx2 takes for a file that cannot seek

    def read(self, size: int) -> bytes:
        try:
            piece = self._file.read(size)
        except OSError as error:
            # It must not be mistaken for an error of the network.
            raise GigaChatException(f"the file {self._name} cannot be read: {error}") from error
        if not isinstance(piece, bytes):  # None: it does not block, and has no bytes yet
            raise GigaChatException(f"the file {self._name} cannot be read: it gives {type(piece).__name__}, not bytes")
        return piece
