"""The transports: implementations of the protocol in `_engine.transport`, for both modes.

The default one sends requests over httpcore2, another one over clients of httpx2, the third one over pyreqwest. Only
`client` imports this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

    from gigachat._engine.transport import Transport
    from gigachat.settings import Options

__all__ = ["async_transport", "blocking_transport"]


def blocking_transport(settings: Options, client: httpx2.Client | None = None) -> Transport:
    """Return the transport of blocking callers, over the user's own HTTP client if there is one."""
    if settings.transport == "pyreqwest":
        return _over_pyreqwest(settings, client, "BlockingPyreqwestTransport")
    if client is None:
        from gigachat._transport.transport import BlockingTransport

        return BlockingTransport(settings)
    from gigachat._transport.httpx_clients import BlockingClientTransport

    return BlockingClientTransport(settings, client)


def async_transport(settings: Options, client: httpx2.AsyncClient | None = None) -> Transport:
    """Return the transport of async callers, over the user's own HTTP client if there is one."""
    if settings.transport == "pyreqwest":
        return _over_pyreqwest(settings, client, "AsyncPyreqwestTransport")
    if client is None:
        from gigachat._transport.transport import AsyncTransport

        return AsyncTransport(settings)
    from gigachat._transport.httpx_clients import AsyncClientTransport

    return AsyncClientTransport(settings, client)


def _over_pyreqwest(settings: Options, client: object, kind: str) -> Transport:
    from gigachat._transport import pyreqwest_options

    pyreqwest_options.check(settings, client)
    from gigachat._transport import pyreqwest_transport

    transport: Transport = getattr(pyreqwest_transport, kind)(settings)
    return transport
