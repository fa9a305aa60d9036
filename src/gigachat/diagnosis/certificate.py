"""Certificates that servers show, and what a refusal of one means.

The ssl module decodes a certificate only if it was verified. To read one that was refused, a second handshake trusts
this very certificate.
"""

from __future__ import annotations

import re
import ssl
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from gigachat.diagnosis.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPConnection

    from gigachat.diagnosis.codes import Found

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21, 0x800B0109, 0x800B010A)
_BY_VERIFY_CODE = {
    9: Code.CERTIFICATE_NOT_YET_VALID,
    10: Code.CERTIFICATE_EXPIRED,
    0x800B0101: Code.CERTIFICATE_EXPIRED,
    **dict.fromkeys(_UNKNOWN_AUTHORITY, Code.UNKNOWN_AUTHORITY),
    **dict.fromkeys((62, 64, 0x800B010F), Code.WRONG_HOST),
}
"""Codes by the numbers of OpenSSL and Windows."""


class Presented(NamedTuple):
    """What a certificate says: for whom it is, the authority at the top of its chain, its last day."""

    subject: str = ""
    issuer: str = ""
    until: str = ""


def presented(host: str, connect: Callable[[], HTTPConnection], ask: Callable[[HTTPConnection], object]) -> Presented:
    """Return what the server's certificate says, without verification.

    Args:
        host: Name of the server.
        connect: Opens a connection to it, without TLS.
        ask: Is called with the first connection, over TLS.

    Raises:
        OSError: A connection failed.
    """
    context = trusting_anyone()
    connection = connect()
    with closing(connection):
        connection.sock = tls = context.wrap_socket(connection.sock, server_hostname=host)
        leaf = tls.getpeercert(binary_form=True) or b""
        root = _root(tls)
        with suppress(ssl.SSLError):
            ask(connection)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
    context.load_verify_locations(cadata=leaf)
    connection = connect()
    with closing(connection):
        connection.sock = tls = context.wrap_socket(connection.sock, server_hostname=host)
        certificate = tls.getpeercert() or {}
    names = [str(pair[1]) for pair in certificate.get("subjectAltName", ())]
    subject = ", ".join(names[:5]) or name_of(certificate, "subject")
    return Presented(subject, root or name_of(certificate, "issuer"), until(certificate))


def code_of_certificate(number: int) -> Code:
    """Return the code for a certificate that OpenSSL or Windows refused with a number."""
    return _BY_VERIFY_CODE.get(number, Code.CERTIFICATE_INVALID)


def alert(error: ssl.SSLError, *, shown: bool) -> Found:
    """Return what a TLS error other than that of a certificate means.

    Args:
        error: The error.
        shown: Whether the client has a certificate of its own.
    """
    reason = error.reason or ""
    if "CERTIFICATE_REQUIRED" in reason or (not shown and "HANDSHAKE_FAILURE" in reason):
        return Code.CLIENT_CERTIFICATE_REQUIRED, {}
    if re.search("ALERT_(UNKNOWN_CA|.*CERTIFICATE)", reason):
        return Code.CLIENT_CERTIFICATE_REFUSED, {"problem": reason}
    if re.search("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST", reason):
        return Code.NOT_TLS, {}
    return Code.TLS_BROKEN, {"problem": reason or "unknown"}


def trusting_anyone() -> ssl.SSLContext:
    """Return a context for connections over which nothing secret is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def name_of(certificate: Any, field: str) -> str:
    """Return the name of the subject or issuer of a decoded certificate, with its organization."""
    parts = {key: value for pairs in certificate.get(field, ()) for key, value in pairs}
    names = [parts.get(key) for key in ("commonName", "organizationName", "organizationalUnitName")]
    return ", ".join(dict.fromkeys(filter(None, names)))


def until(certificate: Any) -> str:
    """Return the last day of a decoded certificate."""
    if "notAfter" not in certificate:
        return ""
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC).date().isoformat()


def _root(tls: ssl.SSLSocket) -> str:
    """Return the name of the authority at the top of the chain that the server sent; Python 3.13 shows it."""
    get_chain: Callable[[], list[bytes]] | None = getattr(tls, "get_unverified_chain", None)
    chain = get_chain() if get_chain is not None else []
    if len(chain) < 2:
        return ""
    store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    store.load_verify_locations(cadata=chain[-1])
    return next((name_of(certificate, "issuer") for certificate in store.get_ca_certs()), "")
