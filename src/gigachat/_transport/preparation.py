"""What the first async call would import and build, done before it, because it would block the running event loop.

The libraries import modules when a loop first uses them, and have no function for that. So a thread sends one request
in a loop of its own, over a stream without I/O.
"""

from __future__ import annotations

import asyncio
import codecs
import threading
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpcore2

from gigachat._transport.event_loops import in_trio
from gigachat._transport.proxies import proxy_for
from gigachat._transport.tls import context_for
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from gigachat.settings import Options

_PATIENCE = 10.0  # seconds; without the preparation, calls work too


def prepare_async_calls(settings: Options) -> None:
    """Import what async calls need, and build the TLS contexts of a client."""
    if not in_trio():
        _prepare_asyncio()
    for address in (settings.base_url, settings.auth_url):
        parts = urlsplit(address)
        with suppress(ConfigurationError):  # which the request raises
            proxy_for(settings, address)
            if parts.scheme == "https":
                context_for(settings, parts.hostname or "")


@lru_cache(maxsize=1)
def _prepare_asyncio() -> None:
    # A loop looks up names in a pool of threads; sockets encode them.
    codecs.lookup("idna")
    thread = threading.Thread(target=_exchange, name="gigachat", daemon=True)
    with suppress(RuntimeError):  # a system without threads, or a program that ends
        from concurrent.futures import ThreadPoolExecutor  # noqa: F401

        thread.start()
        thread.join(_PATIENCE)


def _exchange() -> None:
    with suppress(Exception), asyncio.Runner() as runner:  # not `asyncio.run`, which notebooks replace
        runner.run(_request())


async def _request() -> None:
    stream = httpcore2.AsyncMockStream([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"])
    origin = httpcore2.Origin(b"http", b"localhost", 80)
    async with httpcore2.AsyncHTTP11Connection(origin, stream) as connection:
        await connection.request("POST", "http://localhost/", content=b"{}")
