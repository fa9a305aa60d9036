"""TLS and proxies over real sockets: what is trusted, for whom, and what a user reads when it is not.

The Russian root's key is not ours, so that no server here can show a certificate of it. Where its reach is tested, an
authority of the test stands in for it inside the `tls` module; that the true one is there is tested beside it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gigachat import (
    APIConnectionError,
    APITimeoutError,
    CertificateError,
    ConfigurationError,
    GigaChat,
    ResponseError,
    TotalTimeoutError,
)
from gigachat._transport import tls
from gigachat.settings import Settings
from tests.support.callers import Caller, Mode
from tests.support.certificates import careless, self_signed, server_context
from tests.support.payloads import http
from tests.support.proxies import Proxy, dripping, http_proxy, socks_proxy
from tests.support.raw_servers import Site, raw_server, site
from tests.support.systems import needs_listed_roots, needs_own_roots

KEY_PASSWORD = "password of the key"


@dataclass(frozen=True)
class Authority:
    """An authority, in all the forms in which it is handed out, and a client certificate of it."""

    issuer: trustme.CA
    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name.replace("_", ".", 1)

    def context(self, *hosts: str, **more: Any) -> ssl.SSLContext:
        return server_context(self.issuer, *(hosts or ("localhost",)), **more)


def made_authority(folder: Path) -> Authority:
    issuer = trustme.CA()
    pem = issuer.cert_pem.bytes()
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    (folder / "ca.pem").write_bytes(pem)
    (folder / "ca.der").write_bytes(der)
    (folder / "bundle.pem").write_bytes(trustme.CA().cert_pem.bytes() + b"\n" + pem)
    (folder / "commented.pem").write_bytes("# Корневой сертификат — выдан\r\n".encode() + pem.replace(b"\n", b"\r\n"))
    (folder / "cp1251.pem").write_bytes("Корневой".encode("cp1251") + b"\n" + pem)
    (folder / "named").mkdir()
    (folder / "named/ours.crt").write_bytes(pem)
    (folder / "named/README").write_text("not a certificate")
    (folder / "der").mkdir()
    (folder / "der/ours.cer").write_bytes(der)
    # As `openssl rehash` leaves them: links by the hash of the subject, one of them to nowhere; copies on Windows.
    (folder / "hashed").mkdir()
    if sys.platform == "win32":
        (folder / "hashed/5ed36f99.0").write_bytes(pem)
    else:
        (folder / "hashed/5ed36f99.0").symlink_to("../ca.pem")
        (folder / "hashed/0b1b94ef.0").symlink_to("gone.pem")
    client = issuer.issue_cert("client@example.org", common_name="client")
    client.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    (folder / "client.pem").write_bytes(b"".join(blob.bytes() for blob in client.cert_chain_pems))
    key = load_pem_private_key(client.private_key_pem.bytes(), None)
    for name, form in (("encrypted.key", PrivateFormat.PKCS8), ("traditional.key", PrivateFormat.TraditionalOpenSSL)):
        secured = key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(KEY_PASSWORD.encode()))
        (folder / name).write_bytes(secured)
    return Authority(issuer, folder)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return made_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> Iterator[Site]:
    """A server with a certificate of the authority."""
    with site(authority.context()) as running:
        yield running


def ask(mode: Mode, url: str, **options: Any) -> None:
    """Make one request, which the caller expects to succeed or to fail."""
    reach = {"base_url": url, "access_token": "t", "max_retries": 0, "timeout": 20}
    with Caller(mode, {**reach, **options}) as caller:
        assert caller.chat("x").choices == []


# Authorities of one's own.


@pytest.mark.parametrize(
    "form", ["ca.pem", "ca.der", "bundle.pem", "commented.pem", "cp1251.pem", "named", "der", "hashed"]
)
def test_an_authority_in_every_form(form: str, mode: Mode, authority: Authority, good: Site) -> None:
    ask(mode, good.url, ca_bundle_file=authority.folder / form)


def test_an_authority_is_added_to_the_systems(
    mode: Mode, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = made_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))  # how OpenSSL is told where the system's are
    tls._context.cache_clear()
    with site(system.context()) as served:
        ask(mode, served.url)
        ask(mode, served.url, ca_bundle_file=authority.folder / "ca.pem")
    tls._context.cache_clear()


@pytest.mark.parametrize("option", ["ca_bundle_file", "cert_file", "key_file"])
@pytest.mark.parametrize("problem", ["missing", "empty", "nonsense", "not readable", "gone meanwhile"])
def test_a_file_that_cannot_be_used_is_named_at_construction(
    problem: str, option: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "the-file.pem"
    if problem != "missing":
        path.write_text("" if problem == "empty" else "nonsense")
    options: dict[str, Any] = {option: str(path)}
    if option == "key_file":
        options["cert_file"] = authority.folder / "client.pem"
    if problem == "not readable":
        monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    if problem == "gone meanwhile":
        monkeypatch.setattr(os.path, "isfile", lambda _: True)
        monkeypatch.setattr(os, "access", lambda *_: True)
        path.unlink()
    with pytest.raises(ConfigurationError, match=re.escape(str(path))) as raised:
        GigaChat(access_token="t", **options)
    assert option in str(raised.value)
    for name, value in options.items():
        monkeypatch.setenv(f"GIGACHAT_{name.upper()}", str(value))
    with pytest.raises(ConfigurationError, match=re.escape(str(path))):
        GigaChat()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Lose the rights of root for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="rights are other ones on this system")
@pytest.mark.parametrize(
    ("option", "kind"), [("ca_bundle_file", "file"), ("ca_bundle_file", "folder"), ("cert_file", "file")]
)
def test_what_the_system_refuses_to_read_is_named(option: str, kind: str, authority: Authority) -> None:
    # `os.access` asks with the rights of who started the process, reading with those it has now.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        path = folder / "ca.pem" if kind == "file" else folder / "authorities"
        shutil.copy(authority.folder / "ca.pem", path) if kind == "file" else path.mkdir()
        path.chmod(0)
        options: dict[str, Any] = {option: path}
        with as_nobody(), pytest.raises(ConfigurationError, match=re.escape(f"{option}={path}")):
            GigaChat(access_token="t", **options)
    finally:
        shutil.rmtree(folder)


def test_a_folder_without_a_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no certificate in it; give certificates, PEM or DER"):
        GigaChat(access_token="t", ca_bundle_file=tmp_path)


@needs_own_roots
def test_where_the_systems_store_is_reached_otherwise(
    mode: Mode, authority: Authority, good: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on Windows and macOS; what the package for that does here stands in for what it does there.
    monkeypatch.setattr(tls, "sys", SimpleNamespace(platform="win32"))
    tls._context.cache_clear()
    ask(mode, good.url, ca_bundle_file=authority.folder / "ca.pem")
    with pytest.raises(CertificateError, match="ca_bundle_file="):
        ask(mode, good.url)
    ask(mode, good.url, verify_ssl_certs=False)
    tls._context.cache_clear()


@needs_own_roots
def test_a_renewed_file_is_read_again_by_new_clients(mode: Mode, authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(trustme.CA().cert_pem.bytes())
    with site(authority.context()) as served:
        with pytest.raises(CertificateError):
            ask(mode, served.url, ca_bundle_file=path)
        path.write_bytes((authority.folder / "bundle.pem").read_bytes())
        ask(mode, served.url, ca_bundle_file=path)


# Client certificates.


@pytest.mark.parametrize(
    ("key", "password"),
    [
        ({"cert_file": "client.pem", "key_file": "client.key"}, None),
        ({"cert_file": "both.pem"}, None),
        ({"cert_file": "client.pem", "key_file": "client.key"}, "one that is not needed"),
        ({"cert_file": "client.pem", "key_file": "encrypted.key"}, KEY_PASSWORD),
        ({"cert_file": "client.pem", "key_file": "traditional.key"}, KEY_PASSWORD),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@needs_own_roots
def test_a_client_certificate_is_shown(
    version: ssl.TLSVersion, key: dict[str, str], password: str | None, mode: Mode, authority: Authority
) -> None:
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issuer.configure_trust(context)
    files = {option: authority.folder / name for option, name in key.items()}
    with site(context) as demanding:
        ask(
            mode,
            demanding.url,
            ca_bundle_file=authority.folder / "ca.pem",
            key_file_password=password,
            access_token=None,
            **files,
        )
        assert b"authorization" not in demanding.requests[0].lower()


@pytest.mark.parametrize(
    ("version", "identity", "says"),
    [
        (ssl.TLSVersion.TLSv1_2, None, "perhaps it wants a client certificate: cert_file="),
        (ssl.TLSVersion.TLSv1_3, None, "wants a client certificate: pass cert_file="),
        (ssl.TLSVersion.TLSv1_2, "both.pem", "refused our client certificate"),
        (ssl.TLSVersion.TLSv1_3, "both.pem", "refused our client certificate"),
    ],
)
@needs_own_roots
def test_a_client_certificate_that_is_missing_or_not_wanted(
    version: ssl.TLSVersion,
    identity: str | None,
    says: str,
    mode: Mode,
    authority: Authority,
    good: Site,
    tmp_path: Path,
) -> None:
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    (authority if identity is None else made_authority(tmp_path)).issuer.configure_trust(context)
    files = {} if identity is None else {"cert_file": authority.folder / identity}
    # With 1.3 the refusal comes after the handshake: what the client sends meanwhile is read, or a reset overtakes it.
    with site(context, linger=True) as demanding:
        with pytest.raises(APIConnectionError, match=says) as raised:
            ask(mode, demanding.url, ca_bundle_file=authority.folder / "ca.pem", **files)
    assert isinstance(raised.value, CertificateError) or "perhaps" in says


def test_a_wrong_or_missing_password_is_never_asked_for(authority: Authority) -> None:
    # With a terminal, where OpenSSL would ask.
    program = f"""
from gigachat import ConfigurationError, GigaChat
for key in ("encrypted.key", "traditional.key"):
    for password in (None, "", "guessed"):
        try:
            GigaChat(cert_file="{authority.folder}/client.pem", key_file="{authority.folder}/" + key,
                     key_file_password=password)
        except ConfigurationError as error:
            assert "key_file_password is missing or wrong" in str(error), error
            assert "guessed" not in str(error)
            print("refused")
"""
    pty = pytest.importorskip("pty", reason="this system has no terminals of a program's own")
    terminal, inner = pty.openpty()
    with open(terminal, "rb", buffering=0) as shown:
        with open(inner, "rb", buffering=0):
            done = subprocess.run(
                [sys.executable, "-c", program],
                stdin=inner,
                stdout=inner,
                stderr=inner,
                timeout=60,
                check=False,
                start_new_session=True,
                preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # makes it the controlling one
            )
        assert done.returncode == 0
        printed = b""
        with suppress(OSError):  # the end; what was written comes in pieces, some of them a moment later
            while piece := shown.read(10_000):
                printed += piece
    assert printed.decode().split() == ["refused"] * 6


def test_a_key_of_another_certificate_is_said_to_be_one(authority: Authority, tmp_path: Path) -> None:
    made_authority(tmp_path)
    with pytest.raises(ConfigurationError, match="does not belong to the certificate"):
        GigaChat(cert_file=authority.folder / "client.pem", key_file=tmp_path / "client.key")


# Argument against environment.


@needs_own_roots
def test_an_argument_wins_over_the_environment_on_the_wire(
    mode: Mode, authority: Authority, good: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_authority(tmp_path)
    ours, theirs = authority.folder / "ca.pem", tmp_path / "ca.pem"
    monkeypatch.setenv("GIGACHAT_CA_BUNDLE_FILE", str(theirs))
    with pytest.raises(CertificateError):
        ask(mode, good.url)
    ask(mode, good.url, ca_bundle_file=ours)
    monkeypatch.setenv("GIGACHAT_VERIFY_SSL_CERTS", "false")
    with pytest.raises(CertificateError):
        ask(mode, good.url, verify_ssl_certs=True)
    monkeypatch.setenv("GIGACHAT_CA_BUNDLE_FILE", str(ours))
    with pytest.raises(CertificateError):
        ask(mode, good.url, verify_ssl_certs=True, ca_bundle_file=theirs)
    context = ssl.create_default_context(cafile=str(theirs))
    with pytest.raises(CertificateError):
        ask(mode, good.url, ssl_context=context)  # alone, whatever the environment says
    with pytest.raises(CertificateError):
        ask(mode, good.url, ssl_context=context, ca_bundle_file=ours, verify_ssl_certs=False)


# Certificates that are refused.


@pytest.mark.parametrize(
    ("problem", "says", "advice"),
    [
        ("expired", "has expired", "check this machine's clock"),
        ("not yet valid", "is not yet valid", "check this machine's clock"),
        ("another host", "is for another host", "check the address"),
        ("self-signed", "is self-signed", "ca_bundle_file="),
        ("unknown authority", "is signed by an authority this machine does not know", "ca_bundle_file="),
    ],
)
@needs_own_roots
def test_a_certificate_is_refused_by_name(
    problem: str, says: str, advice: str, mode: Mode, authority: Authority, tmp_path: Path
) -> None:
    context = {
        "expired": lambda: authority.context(days=(-3, -1)),
        "not yet valid": lambda: authority.context(days=(1, 3)),
        "another host": lambda: authority.context("other.example"),
        "self-signed": lambda: self_signed("localhost", tmp_path),
        "unknown authority": lambda: made_authority(tmp_path).context(),
    }[problem]()
    with site(context) as served:
        for bundle in (authority.folder / "ca.pem", authority.folder / "ca.der"):
            with pytest.raises(CertificateError, match=f"the certificate of localhost:{served.port} {says}") as raised:
                ask(mode, served.url, ca_bundle_file=bundle, max_retries=2, retry_backoff_factor=100)
            assert advice in str(raised.value)
            assert "\n" not in str(raised.value)
        assert served.requests == []
        if problem == "self-signed":
            ask(mode, served.url, ca_bundle_file=tmp_path / "self.pem")


@needs_own_roots
def test_a_certificate_that_python_3_13_refuses(mode: Mode, tmp_path: Path) -> None:
    with site(careless(tmp_path, "localhost")) as served:
        for strict in (0, ssl.VERIFY_X509_STRICT):
            context = ssl.create_default_context(cafile=str(tmp_path / "careless.pem"))
            context.verify_flags = context.verify_flags & ~ssl.VERIFY_X509_STRICT | strict
            if not strict:
                ask(mode, served.url, ssl_context=context)
                continue
            with pytest.raises(CertificateError, match=r"does not follow RFC 5280, .* ssl_context="):
                ask(mode, served.url, ssl_context=context)


@pytest.mark.parametrize(
    ("number", "reason"), [(50, "application verification failure"), (None, "certificate verify failed")]
)
def test_a_number_of_openssl_that_has_no_name_here(
    number: int | None, reason: str, monkeypatch: pytest.MonkeyPatch, mode: Mode, good: Site
) -> None:
    def refused(*_: object, **__: object) -> Any:
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        if number is not None:  # only errors of the ssl module itself have one
            error.verify_code, error.verify_message = number, reason
        raise error

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refused)
    monkeypatch.setattr(ssl.SSLContext, "wrap_bio", refused)
    with pytest.raises(CertificateError, match=f"cannot be verified .*{reason}"):
        ask(mode, good.url)


@pytest.mark.parametrize(
    ("number", "says", "advice"),
    [
        (0x800B0101, "has expired or is not yet valid", "check this machine's clock"),
        (0x800B0109, "is signed by an authority this machine does not know", "ca_bundle_file="),
        (0x800B010A, "is signed by an authority this machine does not know", "ca_bundle_file="),
        (0x800B010F, "is for another host", "check the address"),
    ],
)
def test_a_number_of_windows_is_named_as_that_of_openssl(
    number: int, says: str, advice: str, monkeypatch: pytest.MonkeyPatch, mode: Mode, good: Site
) -> None:
    def refused(*_: object, **__: object) -> Any:
        error = ssl.SSLCertVerificationError("Недействительный сертификат")
        error.verify_code, error.verify_message = number, "Недействительный сертификат"
        raise error

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refused)
    monkeypatch.setattr(ssl.SSLContext, "wrap_bio", refused)
    with pytest.raises(CertificateError, match=f"{says} .Недействительный сертификат.: .*{advice}"):
        ask(mode, good.url)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_of_one_version_only(version: ssl.TLSVersion, mode: Mode, authority: Authority) -> None:
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    with site(context) as served:
        ask(mode, served.url, ca_bundle_file=authority.folder / "ca.pem")


def test_a_server_without_tls_is_said_to_be_one(mode: Mode) -> None:
    with raw_server(lambda connection, _: None) as (url, _), site(None, answers_anything=True) as plain:
        assert url
        with pytest.raises(APIConnectionError, match="no TLS is spoken there"):
            ask(mode, plain.url)


def test_an_address_without_tls_of_a_server_with_tls_is_said_to_be_one(mode: Mode, good: Site) -> None:
    with pytest.raises(APIConnectionError, match=r"[^.]; if the port expects TLS, write https:// in the address$"):
        ask(mode, good.url.replace("https://", "http://"))


def test_verification_off_for_a_certificate_that_is_all_wrong(mode: Mode, tmp_path: Path) -> None:
    with site(self_signed("other.example", tmp_path)) as served:
        ask(mode, served.url, verify_ssl_certs=False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int, mode: Mode, authority: Authority, good: Site) -> None:
    before = len(good.requests)
    answer = f"HTTP/1.1 {status} Moved\r\nLocation: {good.url}/chat/completions\r\nContent-Length: 0\r\n\r\n"
    with site(authority.context(), answer.encode()) as served:
        with pytest.raises(ResponseError, match="Redirects are not followed") as raised:
            ask(mode, served.url, ca_bundle_file=authority.folder / "ca.pem")
        assert raised.value.status_code == status
        assert len(served.requests) == 1
    assert len(good.requests) == before


# Ends.


@pytest.mark.parametrize("way", ["direct", "through a proxy", "through a proxy that speaks TLS"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_body_without_a_length_is_whole_only_where_tls_ends_in_order(
    version: ssl.TLSVersion, way: str, mode: Mode, authority: Authority
) -> None:
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    answer = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"choices":[]}'
    trust = {"ca_bundle_file": authority.folder / "ca.pem"}

    def asked(served: Site) -> None:
        if way == "direct":
            ask(mode, served.url, **trust)
            return
        speaks_tls = way != "through a proxy"
        with http_proxy(served.port, context=authority.context() if speaks_tls else None) as proxy:
            address = f"http{'s' if speaks_tls else ''}://localhost:{proxy.port}"
            ask(mode, served.url, proxy=address, **trust)

    with site(context, answer, ends="in order") as served:
        asked(served)
    with site(context, answer, ends="cut off") as served:
        with pytest.raises(APIConnectionError, match="broke during the response"):
            asked(served)


@pytest.mark.skipif(not hasattr(ssl, "OP_IGNORE_UNEXPECTED_EOF"), reason="this OpenSSL has no such option")
def test_an_own_context_cannot_hide_that_a_connection_was_cut(mode: Mode, authority: Authority) -> None:
    # CPython up to 3.11.2 sets this option on every context.
    answer = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"choices":[]}'
    context = ssl.create_default_context(cafile=str(authority.folder / "ca.pem"))
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    with site(authority.context(), answer, ends="in order") as served:
        ask(mode, served.url, ssl_context=context)
    with site(authority.context(), answer, ends="cut off") as served:
        with pytest.raises(APIConnectionError, match="broke during the response"):
            ask(mode, served.url, ssl_context=context)


# Time.


def test_a_handshake_that_comes_byte_by_byte_ends_with_its_timeout(
    mode: Mode, authority: Authority, good: Site
) -> None:
    with dripping(good.port) as port:
        reach = {"ca_bundle_file": authority.folder / "ca.pem", "timeout": (0.5, 20)}
        begun = time.monotonic()
        with pytest.raises(APITimeoutError, match=r"no connection to localhost:\d+ within 0\.5 s"):
            ask(mode, f"https://localhost:{port}/v1", **reach)
        assert time.monotonic() - begun < 15


@pytest.mark.parametrize("after", [0, 4000], ids=["in the handshake", "in the response"])
def test_what_comes_byte_by_byte_ends_with_the_total_timeout(after: int, mode: Mode, authority: Authority) -> None:
    # A record of TLS is of no use before its last byte.
    with site(authority.context(), http(b'{"choices":[]' + b" " * 12_000 + b"}")) as served:
        with dripping(served.port, after=after) as port:
            reach = {"ca_bundle_file": authority.folder / "ca.pem", "total_timeout": 0.5}
            begun = time.monotonic()
            with pytest.raises(TotalTimeoutError):
                ask(mode, f"https://localhost:{port}/v1", **reach)
            assert time.monotonic() - begun < 15


# The Russian root.


def russian(host: str, **options: Any) -> list[bytes]:
    """What is trusted for a host, as fingerprints."""
    context = tls.context_for(Settings(**options), host)
    return [hashlib.sha256(der).digest() for der in context.get_ca_certs(binary_form=True)]


FINGERPRINT = bytes.fromhex("D26D2D0231B7C39F92CC738512BA54103519E4405D68B5BD703E9788CA8ECF31")


@needs_listed_roots
def test_the_true_root_is_trusted_by_its_fingerprint(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    # The system may trust the root by itself; this one trusts the authority of the test alone.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.pem"))
    tls._context.cache_clear()
    assert FINGERPRINT in russian("gigachat.devices.sberbank.ru")
    assert FINGERPRINT not in russian("gigachat.devices.sberbank.ru", trust_russian_ca=False)
    assert FINGERPRINT not in russian("localhost")
    tls._context.cache_clear()


VENDORS = ["gigachat.devices.sberbank.ru", "devices.sberbank.ru", "api.giga.chat", "GIGA.CHAT", "x.y.sberdevices.ru"]
OTHERS = [
    "evil-sberbank.ru",
    "sberbank.ru",
    "online.sberbank.ru",
    "evildevices.sberbank.ru.example",
    "devices.sberbank.ru.evil.example",
    "xdevices.sberbank.ru",
    "evilgiga.chat",
    "giga.chat.evil.example",
    "notsberdevices.ru",
    "localhost",
]


@pytest.fixture
def stand_in(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the authority of the test stand in for the Russian root."""
    monkeypatch.setattr(tls, "russian_root", lambda: (authority.folder / "ca.der").read_bytes())
    tls._context.cache_clear()
    yield
    tls._context.cache_clear()


@pytest.fixture(scope="module")
def impostor(authority: Authority) -> Iterator[Proxy]:
    """A proxy that leads every tunnel to a server whose certificate names all the hosts, by that authority."""
    names = [host.lower() for host in (*VENDORS, *OTHERS, "ngw.devices.sberbank.ru")]
    with site(authority.context(*names)) as served, http_proxy(served.port) as proxy:
        yield proxy


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("host", [*VENDORS, *OTHERS])
@needs_own_roots
def test_the_root_is_trusted_for_the_vendors_hosts_only(host: str, mode: Mode, impostor: Proxy) -> None:
    through = {"proxy": f"http://127.0.0.1:{impostor.port}"}
    url = f"https://{host}/api/v1"
    if host in OTHERS:
        with pytest.raises(CertificateError, match="does not know"):
            ask(mode, url, **through)
    else:
        ask(mode, url, **through)
    if host == VENDORS[0]:
        for off in ({"trust_russian_ca": False}, {"ssl_context": ssl.create_default_context()}):
            with pytest.raises(CertificateError, match="does not know"):
                ask(mode, url, **off, **through)
    assert impostor.asked[-1] == f"{host.lower()}:443"


@pytest.mark.usefixtures("stand_in")
@needs_own_roots
def test_each_address_of_a_client_is_trusted_for_itself(mode: Mode, impostor: Proxy) -> None:
    vendors, other = "https://api.giga.chat/v1", "https://devices.sberbank.ru.evil.example/v1"
    reach: dict[str, Any] = {"access_token": "t", "max_retries": 0, "proxy": f"http://127.0.0.1:{impostor.port}"}
    with Caller(mode, {**reach, "base_url": vendors, "v2_base_url": other}) as caller:
        assert caller.do("request", "GET", "/models").status_code == 200
        with pytest.raises(CertificateError, match=r"evil\.example .*does not know"):
            caller.do("request", "GET", f"{other}/models")
    with Caller(mode, {**reach, "base_url": other, "v2_base_url": vendors}) as caller:
        with pytest.raises(CertificateError, match=r"evil\.example .*does not know"):
            caller.do("request", "GET", "/models")
        assert caller.do("request", "GET", f"{vendors}/models").status_code == 200


@pytest.mark.usefixtures("stand_in")
def test_a_request_that_a_hook_moves_takes_its_trust_along(mode: Mode, impostor: Proxy) -> None:
    def move(request: Any) -> None:
        request.url = request.url.copy_with(host="sberbank.ru")

    async def move_async(request: Any) -> None:
        move(request)

    reach = {"access_token": "t", "proxy": f"http://127.0.0.1:{impostor.port}", "base_url": "https://giga.chat/v1"}
    with Caller(mode, reach) as caller:
        caller.transport.client(reach["base_url"]).event_hooks["request"].append(
            move if mode == "blocking" else move_async
        )
        assert caller.do("request", "GET", "/models").status_code == 200
    assert impostor.asked[-1] == "sberbank.ru:443"


@pytest.mark.usefixtures("stand_in")
@needs_own_roots
def test_the_root_is_not_trusted_for_a_proxys_own_tls(
    mode: Mode, authority: Authority, good: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def local(host: str, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if host in ("proxy.giga.chat", b"proxy.giga.chat") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    context = authority.context("proxy.giga.chat")
    context.verify_mode = ssl.CERT_OPTIONAL
    authority.issuer.configure_trust(context)
    with http_proxy(good.port, context=context) as proxy:
        address = f"https://proxy.giga.chat:{proxy.port}"
        for options in ({"proxy": address}, {}):
            if not options:
                monkeypatch.setenv("HTTPS_PROXY", address)
            with pytest.raises(CertificateError, match=r"or of the proxy proxy\.giga\.chat:\d+\) is signed by"):
                ask(mode, "https://api.giga.chat/v1", **options)
        assert proxy.asked == []
        # Whoever knows its authority says so. A certificate of ours is for the service.
        trust = {"ca_bundle_file": authority.folder / "ca.pem", "cert_file": authority.folder / "both.pem"}
        ask(mode, good.url, proxy=address, **trust)
        assert proxy.certificates[-1] in (None, {})
        assert proxy.asked == [f"localhost:{good.port}"]


@pytest.mark.parametrize(
    ("root", "says"),
    [("altered", "is not the certificate it should be"), ("missing", "lacks its file certs/")],
)
def test_an_altered_or_missing_root_is_refused(
    root: str, says: str, mode: Mode, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "certs").mkdir()
    if root == "altered":
        shutil.copy(authority.folder / "ca.pem", tmp_path / "certs/russian_trusted_root_ca.pem")
    monkeypatch.setattr(tls, "files", lambda _: tmp_path)
    tls.russian_root.cache_clear()
    tls._context.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match=says):
            ask(mode, "https://api.giga.chat/v1", proxy="http://127.0.0.1:1")
        with pytest.raises(APIConnectionError, match=r"127\.0\.0\.1:1"):
            ask(mode, "https://api.giga.chat/v1", proxy="http://127.0.0.1:1", trust_russian_ca=False)
    finally:
        tls.russian_root.cache_clear()
        tls._context.cache_clear()


# Proxies.

LOGIN = "me:hid%40den"  # an @ in the password
Opener = Callable[..., Any]
ways = pytest.mark.parametrize("way", ["proxy", "GIGACHAT_PROXY", "https_proxy", "ALL_PROXY"])
kinds = pytest.mark.parametrize(("scheme", "opened"), [("http", http_proxy), ("socks5", socks_proxy)])


def given(way: str, address: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    if way == "proxy":
        return {"proxy": address}
    monkeypatch.setenv(way, address)
    return {}


@ways
@kinds
def test_a_proxy_is_used_wherever_it_comes_from(
    way: str,
    scheme: str,
    opened: Opener,
    mode: Mode,
    authority: Authority,
    good: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trust = {"ca_bundle_file": authority.folder / "ca.pem"}
    with opened(good.port) as proxy:
        options = given(way, f"{scheme}://127.0.0.1:{proxy.port}", monkeypatch)
        ask(mode, good.url, **trust, **options)
        assert proxy.asked == [f"localhost:{good.port}"]
    with opened(good.port, login="me:hid@den") as proxy:
        ask(mode, good.url, **trust, **given(way, f"{scheme}://{LOGIN}@127.0.0.1:{proxy.port}", monkeypatch))
        assert proxy.asked == [f"localhost:{good.port}"]


@pytest.mark.parametrize("way", ["proxy", "HTTPS_PROXY"])
@kinds
@pytest.mark.parametrize("login", ["", "me:wr0ng@"])
def test_a_proxy_that_wants_another_login_is_asked_once_and_named(
    login: str, way: str, scheme: str, opened: Opener, mode: Mode, good: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(good.port, login="me:hid@den") as proxy:
        options = given(way, f"{scheme}://{login}127.0.0.1:{proxy.port}", monkeypatch)
        with pytest.raises(APIConnectionError) as raised:
            ask(mode, good.url, max_retries=2, retry_backoff_factor=0, **options)
        assert (proxy.refused, proxy.asked) == (1, [])
    text = str(raised.value)
    assert f"through the proxy 127.0.0.1:{proxy.port}: " in text
    assert "needs other user and password" in text
    assert "wr0ng" not in text
    assert "407" in text or scheme == "socks5"


@pytest.mark.parametrize(("scheme", "opened"), [("http", http_proxy), ("socks5", socks_proxy)])
def test_the_name_of_a_proxy_may_be_in_cyrillic(
    scheme: str, opened: Opener, mode: Mode, authority: Authority, good: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    name = "прокси.example".encode("idna")

    def local(host: str | bytes, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if host in (name, name.decode()) else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    with opened(good.port) as proxy:
        trust = {"ca_bundle_file": authority.folder / "ca.pem"}
        ask(mode, good.url, proxy=f"{scheme}://прокси.example:{proxy.port}", **trust)
        assert proxy.asked == [f"localhost:{good.port}"]


def test_a_proxy_with_an_impossible_name_is_refused(mode: Mode, good: Site) -> None:
    with pytest.raises(ConfigurationError, match="not valid"):
        ask(mode, good.url, proxy=f"http://{'я' * 60}.example:3128")


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize(
    ("exempt", "goes_direct"),
    [
        ("localhost", True),
        ("example.com, localhost", True),
        ("*", True),
        ("otherhost", False),
        ("", False),
        ("[::1],fd00::/8,::/0", False),
    ],
)
def test_hosts_that_no_proxy_names_are_reached_directly(
    name: str,
    exempt: str,
    goes_direct: bool,
    mode: Mode,
    authority: Authority,
    good: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with http_proxy(good.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv(name, exempt)
        ask(mode, good.url, ca_bundle_file=authority.folder / "ca.pem")
        assert bool(proxy.asked) is not goes_direct


@pytest.mark.parametrize(("name", "is_used"), [("HTTPS_PROXY", True), ("all_proxy", True), ("HTTP_PROXY", False)])
def test_the_variable_for_the_kind_of_address_holds(
    name: str, is_used: bool, mode: Mode, authority: Authority, good: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:1hid/den@host:1")  # and no other is looked at
    with http_proxy(good.port) as proxy:
        if is_used:
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        ask(mode, good.url, ca_bundle_file=authority.folder / "ca.pem")
        assert bool(proxy.asked) is is_used
        with pytest.raises(ConfigurationError, match=r"(?i)HTTP_PROXY") as raised:  # no case on Windows
            ask(mode, "http://api.example/v1")
        assert "1hid" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["socks", "socks5", "socks5h"])
def test_socks_by_every_name(scheme: str, mode: Mode, authority: Authority, good: Site) -> None:
    with socks_proxy(good.port) as proxy:
        trust = {"ca_bundle_file": authority.folder / "ca.pem"}
        ask(mode, good.url, proxy=f"{scheme}://127.0.0.1:{proxy.port}", **trust)
        assert proxy.asked == [f"localhost:{good.port}"]


def test_sign_in_goes_through_the_proxy_too(mode: Mode, authority: Authority) -> None:
    grant = b'{"access_token":"granted","expires_at":0,"choices":[]}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(grant), grant)
    with site(authority.context("oauth.example", "api.example"), answer) as served, http_proxy(served.port) as proxy:
        ask(
            mode,
            "https://api.example/v1",
            access_token=None,
            credentials="YTpi",
            auth_url="https://oauth.example/oauth",
            ca_bundle_file=authority.folder / "ca.pem",
            proxy=f"127.0.0.1:{proxy.port}",
        )
        assert proxy.asked == ["oauth.example:443", "api.example:443"]


@pytest.mark.parametrize("says", [b"junk\n\n", b"\x05", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_none_is_a_connection_error(scheme: str, says: bytes, mode: Mode) -> None:
    with site(None, says, answers_anything=True) as nonsense:
        with pytest.raises(APIConnectionError):
            ask(mode, "https://api.example/v1", proxy=f"{scheme}://127.0.0.1:{nonsense.port}")


@pytest.mark.parametrize("address", ["http://me:hid@a..b:1", "http://me:1hid/den@host:1", "http://me:1hid#den@host:1"])
@pytest.mark.parametrize("way", ["proxy", "GIGACHAT_PROXY", "HTTPS_PROXY"])
def test_an_address_that_is_none_is_refused_without_its_password(
    way: str, address: str, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((ConfigurationError, APIConnectionError)) as raised:
        ask(mode, "https://api.example/v1", **given(way, address, monkeypatch))
    assert isinstance(raised.value, ConfigurationError) or way == "HTTPS_PROXY"
    assert "hid" not in str(raised.value)
    assert "me:1" not in str(raised.value)


def test_a_host_that_is_none_is_refused(mode: Mode) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        ask(mode, "https://a..b/v1")
