"""The private names of httpcore2 that the transport looks at are still there, in all kinds of connections."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from gigachat import AsyncGigaChat, GigaChat
from gigachat._transport.workarounds import forwarding_trailing_data, trailing_data
from gigachat.server import GigaChatServer
from tests.support.proxies import http_proxy, socks_proxy


def idle(transport: Any) -> Any:
    """Return the idle connection of a transport."""
    ((connection,),) = transport._idle()._idle.values()
    return connection


def test_of_blocking_connections() -> None:
    with GigaChatServer() as server, GigaChat(**server.client_options, share_token=False) as giga:
        giga.chat("x")
        connection = idle(giga._blocking.transport)
        assert trailing_data(connection.wire) == (b"", False)
        assert connection.is_reusable()


def test_of_async_connections() -> None:
    async def main(options: dict[str, Any]) -> None:
        async with AsyncGigaChat(**options, share_token=False) as giga:
            await giga.chat("x")
            connection = idle(giga._async.transport)
            assert trailing_data(connection.wire) == (b"", False)
            assert connection.is_reusable()

    with GigaChatServer() as server:
        asyncio.run(main(server.client_options))


def test_of_connections_through_proxies() -> None:
    with GigaChatServer() as server:
        port = urlsplit(server.base_url).port or 0
        with http_proxy(port) as tunnels, socks_proxy(port) as socks:
            for proxy in (f"http://127.0.0.1:{tunnels.port}", f"socks5://127.0.0.1:{socks.port}"):
                with GigaChat(**server.client_options, share_token=False, proxy=proxy) as giga:
                    giga.chat("x")
                    connection = idle(giga._blocking.transport)
                    assert trailing_data(connection.wire) == (b"", False)
                    assert connection.is_reusable()


class _Forwards(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "11")
        self.end_headers()
        self.wfile.write(b'{"data":[]}')

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def test_of_a_connection_that_forwards() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Forwards) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = f"http://127.0.0.1:{server.server_port}"
        with GigaChat(base_url="http://gateway.test/api/v1", access_token="t", proxy=proxy) as giga:
            giga.get_models()
            connection = idle(giga._blocking.transport)
            assert forwarding_trailing_data(connection.wire) == (b"", False)
            assert connection.is_reusable()
        server.shutdown()
