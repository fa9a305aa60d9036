"""The steps of a diagnosis up to the clock: names, TCP, proxy, TLS. Nothing secret is sent.

Each check returns a code and the facts of its text. The requests carry no key and no header of the settings; a proxy
gets its login.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import time
from base64 import b64encode
from contextlib import closing, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gigachat._headers import Headers, server_time
from gigachat._service import BASE_URL, NEWER_BASE_URL, is_vendor_host
from gigachat._transport.proxies import proxy_for
from gigachat._transport.tls import context_for
from gigachat.diagnosis.certificate import (
    Presented,
    alert,
    code_of_certificate,
    name_of,
    presented,
    trusting_anyone,
    until,
)
from gigachat.diagnosis.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gigachat._transport.proxies import Proxy
    from gigachat.diagnosis.codes import Found
    from gigachat.settings import Options

_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}
_ADDRESSES_OF_NOTHING = (  # reserved for documentation: nothing is sent, the system only looks for a route
    (socket.AF_INET, "192.0.2.1"),
    (socket.AF_INET6, "2001:db8::1"),
)
_MOST_SECONDS = 60
"""Difference of clocks that is not reported, in seconds."""
_RUSSIAN = "Russian Trusted"
_WANTS_CERTIFICATE = b"No required SSL certificate was sent"  # nginx, in a page with status 400


class Route:
    """The way to one address of the settings.

    Args:
        settings: Options of the client.
        url: The address.
        source: The option that holds it.
        timeout: Longest wait for the network, in seconds.

    Raises:
        ConfigurationError: The proxy of this address is invalid.
    """

    def __init__(self, settings: Options, url: str, source: str, timeout: float) -> None:
        parts = urlsplit(url)
        self.settings = settings
        self.source = source
        self.timeout = timeout
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.secure else 80)
        self.path = parts.path
        self.proxy: Proxy | None = proxy_for(settings, url)
        self.clock_difference: float | None = None
        self._addresses = 1

    @property
    def name(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @property
    def first_hop(self) -> tuple[str, int]:
        """Host and port of the first connection: the proxy's, if there is one."""
        if self.proxy is None:
            return self.name
        parts = urlsplit(self.proxy.url)
        ports = {"http": 80, "https": 443}
        return parts.hostname or "", parts.port or ports.get(parts.scheme, 1080)

    @property
    def facts(self) -> dict[str, str]:
        """The facts of all its texts."""
        proxy = {} if self.proxy is None else {"proxy": self.proxy.host_and_port, "proxy_source": self.proxy.source}
        return {**_place(self.host, self.port), "source": self.source, **proxy}

    @property
    def is_tried(self) -> bool:
        """Whether connections can be opened here. SOCKS, and TLS inside of TLS, are left to the client."""
        return self.proxy is None or (self.secure and self.proxy.url.startswith("http:"))

    def names(self) -> Found:
        """Resolve the name of the first hop."""
        host, port = self.first_hop
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            if self.proxy is not None:
                return Code.PROXY_UNREACHABLE, {"problem": "no_name"}
            if not is_local(host) and not has_route():
                return Code.NO_NETWORK, {}
            if variable := other_proxy(host):
                return Code.PROXY_NEEDED, {"problem": "no_name", "variable": variable}
            silent = isinstance(error, socket.gaierror) and error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL)
            return (Code.NAME_SERVER_SILENT if silent else Code.NAME_UNKNOWN), {}
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        self._addresses = len(addresses)
        return Code.NAME_FOUND, {**_place(host, port), "addresses": ", ".join(addresses)}

    def tcp(self) -> Found:
        """Connect to the first hop."""
        host, port = self.first_hop
        started = time.monotonic()
        try:
            socket.create_connection((host, port), self.timeout / self._addresses, all_errors=True).close()
        except ExceptionGroup as errors:
            problem, code = _problem(error for error in errors.exceptions if isinstance(error, OSError))
            return (code if self.proxy is None else Code.PROXY_UNREACHABLE), {"problem": problem}
        return Code.CONNECTED, {**_place(host, port), "seconds": f"{time.monotonic() - started:.2f}"}

    def through_proxy(self) -> Found:
        """Ask the proxy for a tunnel."""
        if self.proxy is None:
            return Code.NO_PROXY, {}
        if not self.is_tried:
            return Code.PROXY_NOT_TRIED, {}
        try:
            self._connect().close()
        except HTTPException:
            return Code.NOT_A_PROXY, {"problem": "unknown"}
        except TimeoutError:
            return Code.NOT_A_PROXY, {"problem": "timeout"}
        except OSError as error:
            status = re.search(r"\b[1-5]\d\d\b", str(error))
            if status is None or error.errno is not None:
                return Code.NOT_A_PROXY, {"problem": error.strerror or "unknown"}
            return (Code.PROXY_LOGIN if status[0] == "407" else Code.PROXY_REFUSED), {"status": status[0]}
        return Code.PROXY_WORKS, {}

    def tls(self) -> Found:
        """Perform the TLS handshake and send a request without a key."""
        if not self.is_tried:
            return Code.PROXY_NOT_TRIED, {}
        connection = self._connect()
        with closing(connection):
            if not self.secure:
                self._ask(connection)
                return Code.NO_TLS, {}
            context = context_for(self.settings, self.host)
            shown = bool(self.settings.cert_file or self.settings.ssl_context)
            try:
                tls = context.wrap_socket(connection.sock, server_hostname=self.host)
                connection.sock = tls
                version, certificate = tls.version() or "", tls.getpeercert() or {}
                page = self._ask(connection)
            except ssl.SSLCertVerificationError as error:
                return self._refused_certificate(error)
            except ssl.SSLError as error:
                return alert(error, shown=shown)
            except OSError as error:
                return Code.TLS_BROKEN, {"problem": _word(error)}
        if not shown and (_WANTS_CERTIFICATE in page if page else page is None and self._fails_in_tls_1_2()):
            return Code.CLIENT_CERTIFICATE_REQUIRED, {}
        if shown and page is None and self._fails_in_tls_1_2():
            return Code.CLIENT_CERTIFICATE_REFUSED, {"problem": "unknown"}
        facts = {"version": version, "issuer": name_of(certificate, "issuer"), "until": until(certificate)}
        return (Code.NOT_VERIFIED if context.verify_mode == ssl.CERT_NONE else Code.CERTIFICATE_TRUSTED), facts

    def clock(self) -> Found:
        """Compare the clocks, by the response of the step before."""
        if self.clock_difference is None:
            return Code.CLOCK_NOT_COMPARED, {}
        code = Code.CLOCK_WRONG if abs(self.clock_difference) > _MOST_SECONDS else Code.CLOCK_RIGHT
        return code, {"seconds": f"{abs(self.clock_difference):.0f}"}

    def _connect(self) -> HTTPConnection:
        """Open a connection to the address, without TLS."""
        connection = HTTPConnection(*self.first_hop, timeout=self.timeout)
        if self.proxy is not None:
            connection.set_tunnel(self.host, self.port, _login(self.proxy.url))
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def _ask(self, connection: HTTPConnection) -> bytes | None:
        """Send a request without a key; note the difference of clocks and return the beginning of the response.

        Returns:
            Nothing if the server did not respond in time; None if it closed the connection instead.

        Raises:
            ssl.SSLError: The server sent an alert.
        """
        connection.sock.settimeout(self.timeout / 3)  # without a response the handshake is enough
        try:
            connection.request("GET", self.path or "/", headers={"User-Agent": "gigachat-doctor"})
            response = connection.getresponse()
            headers = Headers({name.lower(): value for name, value in response.getheaders()})
            if "date" in headers:
                self.clock_difference = server_time(headers) - time.time()
            return response.read(4096)
        except TimeoutError:
            return b""
        except ssl.SSLError as error:
            # Some builds of Python raise the base class for an end without a TLS message.
            if isinstance(error, ssl.SSLEOFError) or "UNEXPECTED_EOF" in (error.reason or ""):
                return None
            raise
        except (OSError, HTTPException):
            return None

    def _fails_in_tls_1_2(self) -> bool:
        """Whether TLS 1.2 fails although TLS 1.3 did not.

        A server that refuses the client's certificate can say so in TLS 1.3 only after the handshake, and some close
        the connection without a word. In TLS 1.2 their handshake fails.
        """
        context = trusting_anyone()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        settings = self.settings
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file, settings.key_file_password or "")
        connection = self._connect()
        with closing(connection):
            try:
                connection.sock = context.wrap_socket(connection.sock, server_hostname=self.host)
            except ssl.SSLError as error:
                return "PROTOCOL_VERSION" not in (error.reason or "")
            except OSError:
                return True
        return False

    def _refused_certificate(self, error: ssl.SSLCertVerificationError) -> Found:
        code = code_of_certificate(getattr(error, "verify_code", 0))
        shown = Presented()
        with suppress(OSError, ValueError, HTTPException):
            shown = presented(self.host, self._connect, self._ask)
        if code is Code.UNKNOWN_AUTHORITY and is_vendor_host(self.host):
            if _RUSSIAN not in shown.issuer:
                code = Code.INTERCEPTED
            elif not self.settings.trust_russian_ca or self.settings.ssl_context is not None:
                code = Code.RUSSIAN_ROOT_OFF
        return code, {
            "subject": shown.subject,
            "issuer": shown.issuer,
            "until": shown.until,
            "now": datetime.now(UTC).date().isoformat(),
            "problem": getattr(error, "verify_message", ""),
        }


def explained(found: Found, route: Route, *, others_connect: bool) -> Found:
    """Return a better explanation of a connection that failed, where there is one.

    Args:
        found: What the step of TCP found.
        route: The address.
        others_connect: Whether another address of the settings was reached.
    """
    code, facts = found
    if code is not Code.PORT_CLOSED:
        return found
    if is_local(route.host):
        return Code.SERVER_NOT_RUNNING, facts
    if variable := other_proxy(route.host):
        return Code.PROXY_NEEDED, {**facts, "variable": variable}
    if route.host == urlsplit(BASE_URL).hostname and _newer_host_connects(route.timeout):
        return Code.OLD_HOST, facts
    if facts["problem"] == "timeout" and is_vendor_host(route.host) and not others_connect:
        return Code.PROXY_NEEDED, facts
    return found


def _newer_host_connects(timeout: float) -> bool:
    parts = urlsplit(NEWER_BASE_URL)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout).close()
    except OSError:
        return False
    return True


def has_route() -> bool:
    """Whether the system has a route to any network. Nothing is sent."""
    for family, address in _ADDRESSES_OF_NOTHING:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 53))
            return True
    return False


def is_local(host: str) -> bool:
    """Whether a host is this machine."""
    return host in ("localhost", "::1") or host.startswith("127.")


def other_proxy(host: str) -> str | None:
    """Return the variable of a proxy that does not hold for https:// addresses, if there is one."""
    if is_local(host):
        return None
    return next((name for name in ("HTTP_PROXY", "http_proxy") if os.environ.get(name)), None)


def _problem(errors: Iterable[OSError]) -> tuple[str, Code]:
    """Return the most telling of the errors of several addresses, and its code."""
    word, code = "unknown", Code.NO_CONNECTION
    for error in errors:
        if isinstance(error, ConnectionRefusedError):
            return "refused", Code.PORT_CLOSED
        if isinstance(error, TimeoutError):
            word, code = "timeout", Code.PORT_CLOSED
        elif code is not Code.PORT_CLOSED:
            word = error.strerror or "unknown"
            code = Code.NO_NETWORK if error.errno in _NO_ROUTE else Code.NO_CONNECTION
    return word, code


def _place(host: str, port: int) -> dict[str, str]:
    """Return the facts of a host, an IPv6 address in brackets, and of its port."""
    return {"host": f"[{host}]" if ":" in host else host, "port": str(port)}


def _word(error: OSError) -> str:
    return "timeout" if isinstance(error, TimeoutError) else error.strerror or type(error).__name__


def _login(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
