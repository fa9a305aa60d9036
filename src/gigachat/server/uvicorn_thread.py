"""uvicorn in its own thread, stoppable at once. No other module imports uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import ssl

    from starlette.types import ASGIApp

_START_TIMEOUT = 10.0
_STOP_TIMEOUT = 10.0
_log = logging.getLogger("gigachat.server")
_log.addHandler(logging.NullHandler())


class UvicornThread(uvicorn.Server):
    """Serves an ASGI application on a listening socket, from a daemon thread.

    Args:
        app: The application.
        listener: The socket; it is closed when the thread ends.
        tls: Context to accept connections with; plain HTTP when None.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.connections = 0
        """Connections accepted so far, TLS handshake included."""
        config = uvicorn.Config(
            app,
            http=_protocol(self),
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            workers=1,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
        )
        config.load()
        if tls is not None:
            config.ssl = tls
        super().__init__(config)
        self._listener = listener
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve_until_stopped, name="gigachat-server", daemon=True)

    @property
    def open_connections(self) -> int:
        """Number of open connections."""
        return len(self.server_state.connections)

    def start(self) -> None:
        """Start the thread; return when connections are accepted.

        Raises:
            RuntimeError: The server did not start.
        """
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT) or not self.started:
            raise RuntimeError("the local GigaChat server did not start")

    def stop(self) -> None:
        """Close every connection and wait for the thread to end; callable from any other thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop has ended already
                self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread.ident is not None:
            self._thread.join(_STOP_TIMEOUT)

    def _serve_until_stopped(self) -> None:
        try:
            asyncio.run(self.serve(sockets=[self._listener]))
        finally:
            self._ready.set()
            self._listener.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections; uvicorn calls it."""
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)  # Sets the Date header before the first request.
        await super().startup(sockets)
        self._ready.set()

    async def main_loop(self) -> None:
        """Serve until stopped; uvicorn calls it."""
        while not self.should_exit:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)
            await self.on_tick(0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close every connection at once; uvicorn calls it."""
        # A connection that was just accepted needs some iterations of the event loop before it can be closed.
        # asyncio leaks it if the listening socket is closed first.
        for listener in sockets or []:
            with contextlib.suppress(NotImplementedError):  # the loop of Windows
                asyncio.get_running_loop().remove_reader(listener)
        await _turns(5)
        for server in self.servers:
            server.close()
        # Open streams end as they do when their client disconnects.
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        answering = list(self.server_state.tasks)
        if answering:
            await asyncio.wait(answering, timeout=2.0)
        # The remaining tasks are TLS handshakes that will never finish.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await _turns(5)


def _protocol(thread: UvicornThread) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with a count of connections and the transport passed to the application."""

    class Protocol(H11Protocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.logger = _log
            self.access_log = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            # The application closes it to cut a stream and reads the client certificate from it.
            self.app_state = {**self.app_state, "transport": transport}
            # asyncio does this only for sockets made with an explicit protocol number; without it each answer
            # waits 40 ms for the client's delayed acknowledgement.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread.connections += 1

    return Protocol


async def _turns(number: int) -> None:
    """Run so many iterations of the event loop."""
    for _ in range(number):
        await asyncio.sleep(0)
