"""TLS handshakes that are cancelled. The library closes a connection whose handshake fails, not one that is cancelled
in it: that would stay open until the collector finds it.

It offers no way to say so: where its parts have other names, they do as they see fit.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import httpx2

__all__ = ["guarded"]

ClientT = TypeVar("ClientT", bound="httpx2.AsyncClient")


def guarded(client: ClientT) -> ClientT:
    """Return a client, its connections closed when their handshake is cancelled."""
    for transport in (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()):
        backend = getattr(getattr(transport, "_pool", None), "_network_backend", None)
        if backend is not None:
            backend.connect_tcp = _closing(backend.connect_tcp)
    return client


def _closing(connect: Any) -> Any:
    async def connect_tcp(*args: Any, **kwargs: Any) -> Any:
        stream = await connect(*args, **kwargs)
        known = weakref.ref(stream)  # no circle, so that a forgotten connection is freed at once

        async def start_tls(*args: Any, **kwargs: Any) -> Any:
            stream: Any = known()
            try:
                return await type(stream).start_tls(stream, *args, **kwargs)
            except BaseException:
                await stream.aclose()
                raise

        stream.start_tls = start_tls
        return stream

    return connect_tcp
