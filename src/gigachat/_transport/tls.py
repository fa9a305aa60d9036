"""TLS contexts: trusted authorities, by host, and the client certificate.

One context per configuration, built once per process. The Russian root is added for the vendor's hosts only, and
only the certificate with the fingerprint below.
"""

from __future__ import annotations

import hashlib
import logging
import os
import ssl
import sys
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gigachat._secret import Secret
from gigachat._service import is_vendor_host
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from gigachat.settings import Options

logger = logging.getLogger("gigachat")

IGNORE_UNEXPECTED_EOF: int = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # OpenSSL 1.1.1 has no such option
_RUSSIAN_ROOT = "russian_trusted_root_ca.pem"
_RUSSIAN_ROOT_SHA256 = "d26d2d0231b7c39f92cc738512ba54103519e4405d68b5bd703e9788ca8ecf31"
_PEM_MARK = b"-----BEGIN"


class _Configuration(NamedTuple):
    verify: bool
    russian_root: bool
    ca_bundle: str | None
    cert: str | None
    key: str | None
    key_password: str | None
    stamps: tuple[tuple[int, int] | None, ...]
    """Time and size of the files: a renewed certificate makes another context."""


def context_for(settings: Options, host: str) -> ssl.SSLContext:
    """Return the TLS context for connections to a host.

    Raises:
        ConfigurationError: A certificate or key cannot be used; the text names the file.
    """
    if settings.ssl_context is not None:
        return settings.ssl_context
    return _context(
        _Configuration(
            settings.verify_ssl_certs,
            settings.verify_ssl_certs and settings.trust_russian_ca and is_vendor_host(host),
            settings.ca_bundle_file,
            settings.cert_file,
            settings.key_file,
            settings.key_file_password and Secret(settings.key_file_password),
            stamps(settings),
        )
    )


def proxy_context(settings: Options) -> ssl.SSLContext:
    """Return the TLS context for an `https://` proxy itself: it gets neither the Russian root nor our certificate.

    Raises:
        ConfigurationError: A certificate cannot be used; the text names the file.
    """
    stamp = _stamp(settings, "ca_bundle_file")
    return _context(_Configuration(True, False, settings.ca_bundle_file, None, None, None, (stamp,)))


def stamps(settings: Options) -> tuple[tuple[int, int] | None, ...]:
    """Return time and size of the files of certificates and keys, which change with the files.

    Raises:
        ConfigurationError: A file is missing.
    """
    return tuple(_stamp(settings, option) for option in ("ca_bundle_file", "cert_file", "key_file"))


def _stamp(settings: Options, option: str) -> tuple[int, int] | None:
    path: str | None = getattr(settings, option)
    if path is None:
        return None
    try:
        status = Path(path).stat()
    except OSError as error:
        raise ConfigurationError(f"{option}={path}: {error.strerror}") from None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=64)
def _context(configuration: _Configuration) -> ssl.SSLContext:
    context = _system_context()
    context.options &= ~IGNORE_UNEXPECTED_EOF  # which CPython sets up to 3.11.2
    if configuration.verify:
        if configuration.russian_root:
            context.load_verify_locations(cadata=russian_root())
        if configuration.ca_bundle:
            _trust(context, Path(configuration.ca_bundle))
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        logger.warning(
            "verify_ssl_certs=False: the server's certificate is not verified, anybody on the way can read and change "
            "the traffic; the vendor's hosts work with verification on"
        )
    if configuration.cert:
        _identify(context, configuration.cert, configuration.key, configuration.key_password)
    return context


def _system_context() -> ssl.SSLContext:
    if sys.platform in ("win32", "darwin"):
        # Their stores are reachable only through the system's own verification.
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context()
    except OSError as error:
        raise ConfigurationError(
            f"SSLKEYLOGFILE={os.environ.get('SSLKEYLOGFILE')}: the file cannot be written ({error.strerror}); unset "
            "the variable or name another file"
        ) from None


@lru_cache(maxsize=1)
def russian_root() -> bytes:
    try:
        pem = files("gigachat").joinpath("certs", _RUSSIAN_ROOT).read_text("ascii")
    except OSError:
        raise ConfigurationError(
            f"the installed package lacks its file certs/{_RUSSIAN_ROOT}, which the vendor's hosts need: reinstall "
            "gigachat, or add its data files to the packed program (PyInstaller: --collect-data gigachat)"
        ) from None
    der = ssl.PEM_cert_to_DER_cert(pem)
    if hashlib.sha256(der).hexdigest() != _RUSSIAN_ROOT_SHA256:
        raise ConfigurationError(
            f"the file {_RUSSIAN_ROOT} of the installed package is not the certificate it should be: reinstall gigachat"
        )
    return der


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        found = sorted(child for child in path.iterdir() if child.is_file()) if path.is_dir() else [path]
    except OSError as error:
        raise ConfigurationError(f"ca_bundle_file={path}: {error.strerror}") from None
    trusted = 0
    for file in found:
        try:
            content = file.read_bytes()
            # A PEM file may hold several certificates, with text of any encoding around them.
            context.load_verify_locations(cadata=content.decode("ascii", "ignore") if _PEM_MARK in content else content)
            trusted += 1
        except (ssl.SSLError, ValueError):
            pass  # the folder may have other files
        except OSError as error:
            if not path.is_dir():
                raise ConfigurationError(f"ca_bundle_file={path}: {error.strerror}") from None
    if not trusted:
        raise ConfigurationError(f"ca_bundle_file={path}: there is no certificate in it; give certificates, PEM or DER")


def _identify(context: ssl.SSLContext, cert: str, key: str | None, password: str | None) -> None:
    try:
        # Without a password OpenSSL would ask on the terminal.
        context.load_cert_chain(cert, key, password=password or "")
    except ssl.SSLError as error:
        # OpenSSL says little: a wrong password and a file that is not a key look the same to it.
        if "MISMATCH" in (error.reason or ""):
            problem = "the key does not belong to the certificate"
        elif b"ENCRYPTED" in Path(key or cert).read_bytes():
            problem = "the key is encrypted and key_file_password is missing or wrong"
        else:
            problem = "give a PEM certificate and its PEM key, in this file or as key_file="
    except OSError as error:
        problem = error.strerror or str(error)
    else:
        return
    files = f"cert_file={cert}, key_file={key}" if key else f"cert_file={cert}"
    raise ConfigurationError(f"{files}: {problem}")
