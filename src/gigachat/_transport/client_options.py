"""The options of our own clients of httpx2: TLS contexts, proxies and limits are those of the default transport."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

from gigachat._transport.connecting import KEEPALIVE
from gigachat._transport.proxies import proxy_for
from gigachat._transport.tls import context_for, proxy_context

if TYPE_CHECKING:
    from gigachat._engine.transport import Timeouts
    from gigachat.settings import Options

_PHASES = ("connect", "read", "write")


def client_options(settings: Options, url: str, timeouts: Timeouts | None = None) -> dict[str, Any]:
    """Return the options of a client of httpx2 for the host of an address.

    Args:
        settings: Options of the client.
        url: The address.
        timeouts: Timeouts in place of those of the settings.
    """
    proxy = proxy_for(settings, url)
    http_proxy = None
    if proxy is not None:
        parts = urlsplit(proxy.url)
        proxy_address = proxy.url if not parts.scheme.startswith("socks") else f"socks5://{parts.netloc}"
        http_proxy = httpx2.Proxy(proxy_address, ssl_context=proxy_context(settings) if proxy.speaks_tls else None)
    phases = settings.timeouts if timeouts is None else (timeouts.connect, timeouts.read, timeouts.write)
    return {
        "verify": context_for(settings, urlsplit(url).hostname or ""),
        "proxy": http_proxy,
        "trust_env": False,
        "limits": httpx2.Limits(
            max_connections=settings.max_connections, max_keepalive_connections=20, keepalive_expiry=KEEPALIVE
        ),
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        "timeout": httpx2.Timeout(settings.queue_timeout, **dict(zip(_PHASES, phases, strict=True))),
    }
