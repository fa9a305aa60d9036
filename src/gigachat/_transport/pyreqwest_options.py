"""Clients of pyreqwest from the options of a client, and the options that have no counterpart there.

Such an option is refused when the client is made. Certificates are those of `tls`: the system's, the Russian root for
the vendor's hosts, and those of the user.
"""

from __future__ import annotations

import re
import ssl
from contextlib import suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from gigachat._service import is_vendor_host
from gigachat._transport import tls
from gigachat._transport.proxies import proxy_for
from gigachat._transport.requests import host_bytes
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyreqwest.client import Client, SyncClient
    from pyreqwest.proxy import ProxyBuilder

    from gigachat._transport.proxies import Proxy
    from gigachat.settings import Options

KEEPALIVE = 30.0  # as `connecting` has it
_MAX_IDLE = 1000
_LATER = 0.05  # seconds: of equal timeouts, that of connecting must end first, for it tells that nothing was sent
_PEM = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def check(settings: Options, http_client: object = None) -> None:
    """Refuse what this transport cannot do.

    Raises:
        ConfigurationError: The package is not installed, or an option has no counterpart.
    """
    if find_spec("pyreqwest") is None:
        raise ConfigurationError("transport='pyreqwest' needs one package more: pip install 'gigachat[fast]'")
    refused = {
        "http_client= and async_http_client= are clients of httpx2": http_client is not None,
        "ssl_context= is of OpenSSL": settings.ssl_context is not None,
        "proxy= has a proxy that speaks TLS itself": (settings.proxy or "").startswith("https:"),
        "the key of cert_file= is encrypted": _is_encrypted(settings),
    }
    for problem, found in refused.items():
        if found:
            raise refusal(problem)
    if settings.cert_file or settings.ca_bundle_file or not settings.verify_ssl_certs:
        tls.context_for(settings, host="")  # names invalid files, and says once that nothing is verified


def refusal(problem: str) -> ConfigurationError:
    """Return the error for what this transport cannot do."""
    return ConfigurationError(
        f"{problem}, which transport='pyreqwest' cannot use: leave out transport= (and GIGACHAT_TRANSPORT) to use it"
    )


def _is_encrypted(settings: Options) -> bool:
    path = settings.key_file or settings.cert_file
    return path is not None and b"ENCRYPTED" in Path(path).read_bytes()


class ClientKind(NamedTuple):
    """What a client of pyreqwest is made for; requests of one kind share their connections."""

    blocking: bool
    russian_root: bool
    proxy: Proxy | None
    connect: float | None
    read: float | None
    stamps: tuple[Any, ...]


def route(settings: Options, url: str) -> tuple[bool, Proxy | None]:
    """Return whether the Russian root is trusted for an address, and the proxy for it.

    Raises:
        ConfigurationError: The proxy cannot be used.
    """
    proxy = proxy_for(settings, url)
    if proxy is not None and proxy.speaks_tls:
        raise refusal(f"{proxy.source} has a proxy that speaks TLS itself")
    return settings.trust_russian_ca and is_vendor_host(urlsplit(url).hostname or ""), proxy


def new_client(settings: Options, kind: ClientKind) -> Client | SyncClient:
    """Return a new client of pyreqwest.

    Raises:
        ConfigurationError: The proxy, a certificate or key cannot be used.
    """
    from pyreqwest.client import ClientBuilder, SyncClientBuilder

    builder: ClientBuilder | SyncClientBuilder = SyncClientBuilder() if kind.blocking else ClientBuilder()
    builder = builder.no_proxy().follow_redirects(False).referer(False).http1_lower_case_headers()
    # Bodies are decoded by the SDK, which bounds them.
    builder = builder.gzip(False).deflate(False).brotli(False).zstd(False)
    builder = builder.pool_idle_timeout(timedelta(seconds=KEEPALIVE)).pool_max_idle_per_host(_MAX_IDLE)
    if kind.connect is not None:
        builder = builder.connect_timeout(timedelta(seconds=kind.connect))
    if kind.read is not None:
        later = _LATER if kind.read == kind.connect else 0.0
        builder = builder.read_timeout(timedelta(seconds=kind.read + later))
    if kind.proxy is not None:
        builder = builder.proxy(_proxy(kind.proxy))
    if not settings.verify_ssl_certs:
        builder = builder.danger_accept_invalid_certs(True)
    elif kind.russian_root:
        builder = builder.add_root_certificate_der(tls.russian_root())
    for der in _authorities(settings):
        builder = builder.add_root_certificate_der(der)
    if settings.cert_file:
        files = dict.fromkeys((settings.cert_file, settings.key_file or settings.cert_file))
        pem = b"\n".join(Path(file).read_bytes() for file in files)
        try:
            builder = builder.identity_pem(pem)
        except ValueError as error:
            raise ConfigurationError(f"cert_file={settings.cert_file}: {error}") from None
    try:
        return builder.build()
    except ValueError as error:  # a certificate that rustls refuses
        raise ConfigurationError(f"transport='pyreqwest' cannot use a certificate: {error}") from None


def _proxy(proxy: Proxy) -> ProxyBuilder:
    with suppress(ValueError):  # it may show the address
        return _built_proxy(proxy)
    raise refusal(f"{proxy.source} has an address that is not valid")


def _built_proxy(proxy: Proxy) -> ProxyBuilder:
    from pyreqwest.proxy import ProxyBuilder

    parts = urlsplit(proxy.url)
    login, _, _ = parts.netloc.rpartition("@")
    host = host_bytes(parts.hostname or "").decode()
    host = f"[{host}]" if ":" in host else host
    if parts.scheme.startswith("socks"):
        # The proxy resolves the names of hosts, as with the default transport.
        return ProxyBuilder.all(f"socks5h://{login}{'@' if login else ''}{host}:{parts.port or 1080}")
    built = ProxyBuilder.all(f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}")
    return built.basic_auth(unquote(parts.username or ""), unquote(parts.password or "")) if login else built


def _authorities(settings: Options) -> Iterator[bytes]:
    """Yield the certificates of `ca_bundle_file`; its folder may have other files."""
    if not settings.ca_bundle_file or not settings.verify_ssl_certs:
        return
    path = Path(settings.ca_bundle_file)
    checking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        content = file.read_bytes() if file.is_file() else b""
        pems = _PEM.findall(content.decode("latin-1"))
        for der in map(ssl.PEM_cert_to_DER_cert, pems) if pems else [content]:
            with suppress(ssl.SSLError, ValueError):
                checking.load_verify_locations(cadata=der)
                yield der
