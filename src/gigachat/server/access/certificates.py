"""The server's own certificate authority, and the files that clients need for TLS and mTLS.

The files are in a folder that only the user can read: a temporary one, or that of the state. The state also keeps the
authority and the server's certificate, so that clients and browsers trust the server again after a restart.
"""

from __future__ import annotations

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
from cryptography.x509 import load_pem_x509_certificate

from gigachat.server.state.store import write_private

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigachat.server.state.store import Store

_AUTHORITY = "authority"
_SERVER = "certificate"
_LOCAL = ("localhost", "127.0.0.1", "::1")
_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


class Certificates:
    """The certificates of the authority, of the server and of a client. The constructor writes them to files.

    Args:
        host: Address the server listens on; the certificate names it and the local names.
        names: Further names of the server.
        store: Stores the authority and the files; None means a temporary folder.

    Raises:
        OSError: A file cannot be written.
        ValueError: The authority cannot be read, or a name is not a host name.
    """

    def __init__(self, host: str, names: Sequence[str] = (), store: Store | None = None) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if store is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="gigachat-server-")
            self._folder, self._authority = Path(self._temporary.name), _new_authority()
        else:
            self._folder, self._authority = store.certificates, _kept_authority(store)
        unique: dict[str, None] = dict.fromkeys([*_LOCAL, *names, *([host] if host not in _WILDCARDS else [])])
        known = list(unique)
        server_pem = _kept_server(store, known) if store is not None else None
        if server_pem is None:
            try:
                issued = self._authority.issue_cert(*known)
            except ValueError as error:
                raise ValueError(f"no certificate can name {', '.join(map(repr, names or [host]))}: {error}") from None
            server_pem = issued.private_key_and_cert_chain_pem.bytes()
            if store is not None:
                store.save(_SERVER, _SERVER, {"names": known, "pem": server_pem.decode()})
        client = self._authority.issue_cert("client@gigachat.local", common_name="client")
        self.client_key_password = secrets.token_urlsafe(12)
        key_pem = client.private_key_pem.bytes()
        encrypted = load_pem_private_key(key_pem, password=None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self.client_key_password.encode())
        )
        authority_pem = self._authority.cert_pem.bytes()

        self._server_file = self._write("server.pem", server_pem)
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
        context.load_cert_chain(self._server_file)
        if client_certificate:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def close(self) -> None:
        """Remove the temporary files."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _write(self, name: str, content: bytes) -> str:
        path = self._folder / name
        write_private(path, content)
        return str(path)


def _new_authority() -> trustme.CA:
    return trustme.CA(organization_name="Local GigaChat server")


def _kept_authority(store: Store) -> trustme.CA:
    known = store.read(_AUTHORITY, lambda cert, key: trustme.CA.from_pem(cert.encode(), key.encode()))
    if known:
        return known[0]
    authority = _new_authority()
    pems = {"cert": authority.cert_pem.bytes().decode(), "key": authority.private_key_pem.bytes().decode()}
    store.save(_AUTHORITY, _AUTHORITY, pems)
    return authority


def _kept_server(store: Store, names: list[str]) -> bytes | None:
    """Return the certificate of the last server with its key, if it has these names: browsers remember it."""

    def read(names: list[str], pem: str) -> tuple[list[str], bytes]:
        content = pem.encode()
        load_pem_private_key(content, password=None)
        load_pem_x509_certificate(content)
        return names, content

    return next((pem for known, pem in store.read(_SERVER, read) if known == names), None)
