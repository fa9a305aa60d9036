"""The proxy for an address: the setting, or else the environment variable for this address."""

from __future__ import annotations

import logging
import os
import re
import sys
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

import httpcore2

from gigachat._engine.transport import clock
from gigachat._option_values import checked_proxy
from gigachat._secret import Secret
from gigachat._transport.requests import host_bytes
from gigachat._transport.tls import proxy_context
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from gigachat.settings import Options

_VARIABLES = [
    name for scheme in ("http", "https", "all", "no") for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())
]


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        url: Its address, with user and password.
        source: Where the address comes from, for errors.
    """

    url: Secret
    source: str

    @property
    def host_and_port(self) -> str:
        """Host and port, without user and password."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def speaks_tls(self) -> bool:
        """Whether the connection to the proxy itself is over TLS."""
        return self.url.startswith("https:")


def proxy_for(settings: Options, url: str) -> Proxy | None:
    """Return the proxy for requests to an address.

    Raises:
        ConfigurationError: The variable that holds for the address is not the address of a proxy, or it is one of SOCKS
            and the extra is not installed.
    """
    if settings.proxy is not None:
        return _usable(settings.proxy, "proxy= (or GIGACHAT_PROXY)")
    parts = urlsplit(url)
    found = _system_proxy(parts.scheme, parts.netloc, tuple(map(os.environ.get, _VARIABLES)), int(clock()))
    return found and _usable(found[1], _source(*found))


@lru_cache(maxsize=16)
def _system_proxy(scheme: str, netloc: str, variables: object, second: int) -> tuple[str, str] | None:
    """Return the proxy of the environment or of the system for an address, and the scheme that it is for.

    Each look goes through all variables, on some systems also through settings. A burst of new connections looks once:
    an answer holds for a second, unless one of the usual variables changes.
    """
    if sys.platform not in ("win32", "darwin") and not any(name.lower().endswith("proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # here: it imports clients of HTTP and FTP

    proxies = getproxies()
    for name in (scheme, "all"):
        if value := proxies.get(name):
            return None if proxy_bypass(netloc) else (name, value)
    return None


def _usable(value: str, source: str) -> Proxy:
    try:
        proxy = Proxy(Secret(checked_proxy(value)), source)
    except ValueError as error:
        raise ConfigurationError(f"{source}: {error}") from None
    if proxy.url.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError(f"{source}: a SOCKS proxy needs one package more: pip install socksio")
    return proxy


def _source(scheme: str, value: str) -> str:
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    return next((name for name in names if os.environ.get(name) == value), "the proxy of the system's settings")


def httpcore_proxy(proxy: Proxy, settings: Options) -> httpcore2.Proxy:
    """Return a proxy as httpcore2 takes it."""
    parts = urlsplit(proxy.url)
    scheme = "socks5" if parts.scheme.startswith("socks") else parts.scheme
    port = parts.port or (1080 if scheme == "socks5" else None)
    auth = None
    if parts.username is not None:
        auth = unquote(parts.username).encode(), unquote(parts.password or "").encode()
    return httpcore2.Proxy(
        httpcore2.URL(scheme=scheme, host=host_bytes(parts.hostname or ""), port=port, target="/"),
        auth=auth,
        ssl_context=proxy_context(settings) if proxy.speaks_tls else None,
    )


def _without_login(record: logging.LogRecord) -> bool:
    record.msg = re.sub(r"auth=\(.*\)", "auth=(...)", str(record.msg))
    return True


logging.getLogger("httpcore2.socks").addFilter(_without_login)
