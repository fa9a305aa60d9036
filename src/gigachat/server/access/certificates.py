"""A certificate authority of the server's own, and the files a client needs to trust it and to be trusted.

The files live in a folder that only this user can read: a temporary one that `close` removes, or one that outlives the
server, so that who trusts it today trusts it tomorrow. It must not touch the system's stores.
"""

from __future__ import annotations

import os
import secrets
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOCAL = ("localhost", "127.0.0.1", "::1")
_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


class Certificates:
    """Makes everything at once.

    Raises:
        OSError: A file cannot be written.
        ValueError: The authority's own files are damaged, or a name is none of a host.

    Args:
        host: Address the server listens on; it is named in the certificate beside the local names.
        names: Further names under which the server is found.
        folder: Where the files and the authority's own key are kept; a temporary folder when None.
    """

    def __init__(self, host: str, names: Sequence[str] = (), folder: Path | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="gigachat-server-") if folder is None else None
        self._folder = Path(self._temporary.name) if self._temporary is not None else Path(folder or "")
        self._authority = _new_authority() if folder is None else self._kept_authority()
        known: dict[str, None] = dict.fromkeys([*_LOCAL, *names, *([host] if host not in _WILDCARDS else [])])
        try:
            self._server = self._authority.issue_cert(*known)
        except ValueError as error:
            raise ValueError(f"no certificate can name {', '.join(map(repr, names or [host]))}: {error}") from None
        client = self._authority.issue_cert("client@gigachat.local", common_name="client")
        self.client_key_password = secrets.token_urlsafe(12)
        key_pem = client.private_key_pem.bytes()
        encrypted = load_pem_private_key(key_pem, password=None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self.client_key_password.encode())
        )
        authority_pem = self._authority.cert_pem.bytes()

        self.ca_bundle_file = self._write("ca.pem", authority_pem)
        self.ca_bundle_der_file = self._write("ca.der", ssl.PEM_cert_to_DER_cert(authority_pem.decode()))
        self.client_cert_file = self._write("client.pem", b"".join(blob.bytes() for blob in client.cert_chain_pems))
        self.client_key_file = self._write("client.key", key_pem)
        self.client_encrypted_key_file = self._write("client-encrypted.key", encrypted)

    def server_context(self, *, client_certificate: bool) -> ssl.SSLContext:
        """Return the context the server listens with.

        Args:
            client_certificate: Whether a client must show a certificate of this authority (mTLS).
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.configure_cert(context)
        if client_certificate:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def close(self) -> None:
        """Remove the files, unless they were to be kept."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _kept_authority(self) -> trustme.CA:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        certificate, key = self._folder / "ca.pem", self._folder / "ca.key"
        if certificate.exists() and key.exists():
            try:
                return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
            except ValueError as error:
                raise ValueError(f"{certificate} or {key} cannot be read: {error}") from None
        authority = _new_authority()
        self._write(key.name, authority.private_key_pem.bytes())
        return authority

    def _write(self, name: str, content: bytes) -> str:
        path = self._folder / name
        with open(path, "wb", opener=_private) as file:
            file.write(content)
        return str(path)


def _new_authority() -> trustme.CA:
    return trustme.CA(organization_name="Local GigaChat server")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
