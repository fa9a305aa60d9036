"""Authorities of the tests, and servers' contexts with certificates of theirs, good and bad ones."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["Authority", "careless", "self_signed", "server_context"]

_DAY = datetime.timedelta(days=1)
_NOW = datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class Authority:
    """An authority of the test, its certificate in a file, and a server's context with a certificate of it."""

    issuer: trustme.CA
    file: Path
    context: ssl.SSLContext

    @classmethod
    def made(cls, folder: Path) -> Authority:
        issuer = trustme.CA()
        issuer.cert_pem.write_to_path(str(folder / "ca.pem"))
        return cls(issuer, folder / "ca.pem", server_context(issuer, "127.0.0.1", "localhost", "api.example"))


def server_context(authority: trustme.CA, *hosts: str, days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
    """A server's context with a certificate for these hosts, good from and until so many days from today."""
    certificate = authority.issue_cert(*hosts, not_before=_NOW + days[0] * _DAY, not_after=_NOW + days[1] * _DAY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def self_signed(host: str, folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, _NOW - _DAY, _NOW + _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _context(certificate, key, folder / "self.pem")


def careless(folder: Path, host: str) -> ssl.SSLContext:
    """A server's context with a certificate of an authority whose own certificate ignores RFC 5280."""
    issuer, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root, name = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("careless", host))
    authority = (
        x509.CertificateBuilder(root, root, issuer.public_key(), 1, _NOW - _DAY, _NOW + _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
        .sign(issuer, hashes.SHA256())
    )
    certificate = (
        x509.CertificateBuilder(root, name, key.public_key(), 2, _NOW - _DAY, _NOW + _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(issuer, hashes.SHA256())
    )
    (folder / "careless.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    return _context(certificate, key, folder / "host.pem")


def _context(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, file: Path) -> ssl.SSLContext:
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
