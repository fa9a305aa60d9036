"""A client of OpenAI-compatible servers: requests, event streams, and errors in the service's words.

Each request has its own connection: a handshake is cheap beside generation, llama.cpp closes connections after a
stream without notice, and nothing has to be closed.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any

import httpx2

from gigachat.server.wire.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping

# The first token of a long prompt can take minutes without a graphics card.
_TIMEOUT = httpx2.Timeout(10.0, read=600.0)
_DONE = "[DONE]"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_TOO_LONG = re.compile(r"context (length|size|window)|exceed_context|too many tokens", re.IGNORECASE)
# Statuses of the service for those of the server; other 4xx are 422, other 5xx 500. The key is the operator's.
_STATUSES = {401: 500, 403: 500, 404: 404, 408: 504, 413: 413, 429: 429, 503: 503, 504: 504}
_LONGEST_TEXT = 1000


class Wire:
    """An OpenAI-compatible server, by its address.

    Args:
        url: Address, with or without the path; `/v1` when there is none.
        api_key: Sent as a bearer token; nothing is sent when None.

    Raises:
        ValueError: The address is not one of HTTP, or the key is of characters that no header may hold.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        try:
            address = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise ValueError(f"not an address: {without_password(url)}: {error}") from None
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError(f"an address begins with http:// or https://: {without_password(url)}")
        key = None if api_key is None else api_key.strip()
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ValueError("the key of the model server is of printable ASCII characters")
        path = address.path.rstrip("/").removesuffix("/chat/completions")
        self._base = address.copy_with(path=path or "/v1", query=None, fragment=None)
        self._shown = without_password(str(self._base))
        self._headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._context = ssl.create_default_context() if address.scheme == "https" else False
        # A proxy of the environment knows nothing of this machine's own addresses.
        self._proxies = address.host not in _LOOPBACK
        self._streams: set[socket.socket] = set()

    async def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object at a path below the address.

        Raises:
            Refusal: The server refused, could not be reached, or sent no JSON.
        """
        return await self._plain("GET", path)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a JSON object and return the one that comes back.

        Raises:
            Refusal: The server refused, could not be reached, or sent no JSON.
        """
        return await self._plain("POST", path, body)

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Send a JSON document and yield the events of the stream that comes back; closing it ends the connection.

        Raises:
            Refusal: The server refused, could not be reached, broke off, or sent an error instead of an event.
        """
        with self._told(), self._noted() as note:
            async with (
                self._client() as client,
                client.stream("POST", self._url(path), json=dict(body), extensions={"trace": note}) as response,
            ):
                if response.status_code >= 300:
                    raise _refusal(response.status_code, await response.aread())
                if "json" in response.headers.get("content-type", ""):
                    yield _document(await response.aread())
                    return
                async for data in _data_lines(response):
                    if data == _DONE:
                        return
                    yield _document(data)

    def break_off(self) -> None:
        """End the connections of all streams, waited for or read; callable from any thread."""
        for connection in list(self._streams):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _noted(self) -> Iterator[Callable[[str, Mapping[str, Any]], Awaitable[None]]]:
        """Note the socket of a stream once it is connected, so that `break_off` works before the first byte."""
        connections: list[socket.socket] = []

        async def note(name: str, info: Mapping[str, Any]) -> None:
            if name == "connection.connect_tcp.complete":
                connections.append(info["return_value"].get_extra_info("socket"))
                self._streams.update(connections)

        try:
            yield note
        finally:
            self._streams.difference_update(connections)

    async def _plain(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        with self._told():
            async with self._client() as client:
                response = await client.request(method, self._url(path), json=body)
        if response.status_code >= 300:
            raise _refusal(response.status_code, response.content)
        return _document(response.content)

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers=self._headers, timeout=_TIMEOUT, verify=self._context, trust_env=self._proxies
        )

    def _url(self, path: str) -> httpx2.URL:
        """Return the address of a path; one that begins with two slashes replaces `/v1`."""
        if path.startswith("//"):
            return self._base.copy_with(path=path[1:])
        return self._base.copy_with(path=self._base.path + path)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the network does into refusals."""
        try:
            yield
        except httpx2.ConnectTimeout:
            raise Refusal(503, f"The model server at {self._shown} can't be reached: no answer in time") from None
        except httpx2.TimeoutException:
            raise Refusal(504, f"The model server at {self._shown} took too long") from None
        except httpx2.ConnectError as error:
            raise Refusal(503, f"The model server at {self._shown} can't be reached: {error}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Refusal(500, f"The model server at {self._shown} broke off: {error}") from None


async def _data_lines(response: httpx2.Response) -> AsyncGenerator[str, None]:
    """Yield the data of the events; lines end with a line feed only, whatever else a model writes."""
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            # llama.cpp sends an error under its own name.
            if line.startswith((b"data:", b"error:")):
                yield line.partition(b":")[2].strip().decode("utf-8", "replace")


def without_password(url: str) -> str:
    """Return an address without user and password."""
    return re.sub(r"//[^/?#]*@", "//", url)


def _document(content: bytes | str) -> dict[str, Any]:
    """Return a JSON object; an error sent with a 2xx status is raised."""
    shown = (content.decode("utf-8", "replace") if isinstance(content, bytes) else content)[:_LONGEST_TEXT]
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise Refusal(500, f"The model server sent no JSON: {shown}") from None
    if not isinstance(document, dict):
        raise Refusal(500, f"The model server sent no JSON object: {shown}")
    if document.get("error"):
        error = document["error"]
        code = error.get("code") if isinstance(error, dict) else None
        raise _refused(code if isinstance(code, int) and 400 <= code < 600 else 500, document)
    return document


def _refusal(status: int, content: bytes) -> Refusal:
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError):
        document = content.decode("utf-8", "replace").strip()
    return _refused(status, document)


def _refused(status: int, document: Any) -> Refusal:
    """Return the service's refusal for an error of the server, with its text."""
    kind, text = _told_by(document)
    text = text[:_LONGEST_TEXT] or f"status {status}"
    if status in (400, 413, 422, 500) and (_TOO_LONG.search(kind) or _TOO_LONG.search(text)):
        return Refusal(413, text)
    if status < 400:
        return Refusal(500, f"The model server sends elsewhere with {text}; give the address it means")
    if status in (401, 403):
        return Refusal(500, f"The model server refused the key: {text}")
    return Refusal(_STATUSES.get(status, 422 if status < 500 else 500), text)


def _told_by(document: Any) -> tuple[str, str]:
    """Return the kind and the text of an error of any shape."""
    if not isinstance(document, dict):
        return "", str(document or "")
    error = document.get("error") or document.get("detail") or document.get("message") or document
    if not isinstance(error, dict):
        return "", str(error)
    kind = f"{error.get('type') or ''} {error.get('code') or ''}".replace("context_length", "context length")
    return kind, str(error.get("message") or json.dumps(error, ensure_ascii=False))
