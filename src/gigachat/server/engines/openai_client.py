"""A client of OpenAI-compatible servers: requests, event streams, and errors in the service's words.

Each request has its own connection: a handshake is cheap beside generation, llama.cpp closes connections after a
stream without notice, and nothing has to be closed.
"""

from __future__ import annotations

import json
import re
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2

from gigachat.server.wire.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

# The first token of a long prompt can take minutes without a graphics card.
_TIMEOUT = httpx2.Timeout(10.0, read=600.0)
_DONE = "[DONE]"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_TOO_LONG = re.compile(r"context[ _](length|size|window)|too many tokens", re.IGNORECASE)
# Statuses of the service for those of the server; other 4xx are 422, other 5xx 500. The key is the operator's.
_STATUSES = {401: 500, 403: 500, 404: 404, 408: 504, 413: 413, 429: 429, 503: 503, 504: 504}
_LONGEST_TEXT = 1000


class OpenAIClient:
    """A client of an OpenAI-compatible server.

    Args:
        url: Address of the server, with or without the path; `/v1` when there is none.
        api_key: Sent as a bearer token; nothing is sent when None.

    Raises:
        ValueError: The address is not one of HTTP, or the key is of characters that no header may hold.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        try:
            address = httpx2.URL(url)
        except httpx2.InvalidURL:  # its text can have a part of a password
            raise ValueError("not a valid address; percent-encode '/', '?' and '#' in a password") from None
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError(f"an address must begin with http:// or https://: {without_password(url)}")
        key = None if api_key is None else api_key.strip()
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ValueError("the key of the model server must have printable ASCII characters only")
        path = address.path.rstrip("/").removesuffix("/chat/completions")
        self._base = address.copy_with(path=path or "/v1", query=None, fragment=None)
        self._headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._context = ssl.create_default_context() if address.scheme == "https" else False
        # A proxy of the environment knows nothing of this machine's own addresses.
        self._proxies = address.host not in _LOOPBACK

    async def first_model(self) -> str:
        """Return the name of the first model that the server lists.

        Raises:
            Refusal: The server refused, could not be reached, or lists no model.
        """
        async with self._response("GET", "/models") as response:
            listed = _document(await response.aread()).get("data") or ()
        if not listed:
            raise Refusal(503, "The model server has no models")
        return str(listed[0]["id"])

    async def chat(self, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Send a chat and yield the events of its stream, or the one document of a server that does not stream.

        Closing the generator closes the connection, which ends the generation.

        Raises:
            Refusal: The server refused, could not be reached, broke off, or sent an error instead of an event.
        """
        async with self._response("POST", "/chat/completions", body) as response:
            if "json" in response.headers.get("content-type", ""):
                yield _document(await response.aread())
                return
            async for event in httpx2.EventSource(response):
                if event.data == _DONE:
                    return
                yield _document(event.data)

    @asynccontextmanager
    async def _response(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """Open the response to a request; errors of the network become refusals."""
        client = httpx2.AsyncClient(
            headers=self._headers, timeout=_TIMEOUT, verify=self._context, trust_env=self._proxies
        )
        url = self._base.copy_with(path=self._base.path + path)
        server = f"The model server at {without_password(str(self._base))}"
        try:
            async with client, client.stream(method, url, json=body) as response:
                if response.status_code >= 300:
                    raise _refusal(response.status_code, await response.aread())
                yield response
        except (httpx2.ConnectTimeout, httpx2.ConnectError) as error:
            raise Refusal(503, f"{server} can't be reached: {str(error) or 'no response in time'}") from None
        except httpx2.TimeoutException:
            raise Refusal(504, f"{server} took too long") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Refusal(500, f"{server} broke off: {error}") from None


def without_password(url: str) -> str:
    """Return an address without user and password."""
    return re.sub(r"//[^/?#]*@", "//", url)


def _document(content: bytes | str) -> dict[str, Any]:
    """Return a JSON object; an error sent with a 2xx status is raised."""
    document = _parsed(content)
    if not isinstance(document, dict):
        raise Refusal(500, f"The model server sent no JSON object: {_decoded(content)[:_LONGEST_TEXT]}")
    error = document.get("error")
    if error:
        code = error.get("code") if isinstance(error, dict) else None
        raise _refusal(code if isinstance(code, int) and 400 <= code < 600 else 500, content)
    return document


def _refusal(status: int, content: bytes | str) -> Refusal:
    """Return the service's refusal for an error of the server, with its text."""
    shown = _decoded(content)
    text = _error_text(_parsed(content) or shown.strip())[:_LONGEST_TEXT] or f"status {status}"
    if status in (400, 413, 422, 500) and _TOO_LONG.search(shown):
        return Refusal(413, text)
    if status < 400:
        return Refusal(500, f"The model server sends elsewhere with {text}; give the address it means")
    if status in (401, 403):
        return Refusal(500, f"The model server refused the key: {text}")
    return Refusal(_STATUSES.get(status, 422 if status < 500 else 500), text)


def _error_text(document: Any) -> str:
    """Return the text of an error of any shape."""
    if not isinstance(document, dict):
        return str(document)
    error = document.get("error") or document.get("detail") or document.get("message") or document
    if not isinstance(error, dict):
        return str(error)
    return str(error.get("message") or json.dumps(error, ensure_ascii=False))


def _parsed(content: bytes | str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _decoded(content: bytes | str) -> str:
    return content if isinstance(content, str) else content.decode("utf-8", "replace")
