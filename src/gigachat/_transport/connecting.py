"""How to connect to an address: the proxy, the TLS context, and the connection class of httpcore2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpcore2

from gigachat._transport.async_connections import AsyncConnection
from gigachat._transport.connections import BlockingConnection, Connection
from gigachat._transport.proxies import httpcore_proxy, proxy_for
from gigachat._transport.tls import context_for

if TYPE_CHECKING:
    from gigachat.settings import Options

KEEPALIVE = 30.0
"""Seconds an idle connection is kept."""


def connection_to(url: httpcore2.URL, address: str, settings: Options, *, blocking: bool) -> Connection:
    """Return a connection that opens with its first request.

    Args:
        url: Address of the request as httpcore2 has it.
        address: The same as text.
        settings: Options of the client.
        blocking: Whether the caller blocks.

    Raises:
        ConfigurationError: The proxy or a certificate cannot be used.
    """
    proxy = proxy_for(settings, address)
    kind = BlockingConnection if blocking else AsyncConnection
    connection = kind((url.scheme, url.host, url.port), proxy)
    # A pool makes connections of all kinds, also through proxies; it gets no request, so it holds none.
    pool = (httpcore2.ConnectionPool if blocking else httpcore2.AsyncConnectionPool)(
        ssl_context=context_for(settings, url.host.decode()) if url.scheme == b"https" else None,
        proxy=httpcore_proxy(proxy, settings) if proxy else None,
        keepalive_expiry=KEEPALIVE,
        network_backend=connection,  # type: ignore[arg-type]  # of the same mode
    )
    connection.wire = pool.create_connection(url.origin)
    return connection
