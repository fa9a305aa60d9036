"""What SECURITY.md names is there: tests, hosts, the fingerprint, settings."""

from __future__ import annotations

import hashlib
import re
import ssl

import pytest

from gigachat import _service
from gigachat._transport import tls
from gigachat.settings import Settings
from tests.docs.pages import READMES, ROOT, read

TEXT = " ".join((ROOT / "SECURITY.md").read_text("utf-8").split())


def test_the_tests_it_points_at_exist() -> None:
    sources = {path: path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")}
    files = re.findall(r"`(tests/[\w/.]+)`", TEXT)
    names = re.findall(r"`(test_\w+)`", TEXT)
    assert len(files) > 3
    assert all((ROOT / file).is_file() for file in files)
    assert [name for name in names if not any(f"def {name}(" in source for source in sources.values())] == []


def test_the_fingerprint_is_that_of_the_file_in_the_package() -> None:
    (named,) = re.findall(r"\b[0-9A-F]{64}\b", TEXT)
    pem = (ROOT / "src/gigachat/certs/russian_trusted_root_ca.pem").read_text("ascii")
    assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper() == named
    assert named.lower() == tls._RUSSIAN_ROOT_SHA256


def test_the_hosts_are_the_vendors() -> None:
    named = re.search(r"for connections to (.*?) and hosts below them", TEXT)
    assert named is not None
    assert tuple(re.findall(r"`([\w.]+)`", named[1])) == _service._DOMAINS


def test_the_options_it_names_exist() -> None:
    named = set(re.findall(r"`([a-z_]+)=", TEXT)) | {"ca_bundle_file", "ssl_context"}
    assert len(named) > 4
    assert named <= set(Settings.model_fields)


@pytest.mark.parametrize("page", READMES)
def test_both_readmes_point_at_it(page: str) -> None:
    assert "SECURITY.md" in read(page).links
