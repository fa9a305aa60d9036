"""The diagnosis of a client: each fault is made for real, over sockets, and found with its code and its advice.

Only names are not real: a stand-in for the system's resolver leads the service's hosts to this machine.
"""

from __future__ import annotations

import asyncio
import base64
import contextvars
import json
import socket
import ssl
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from gigachat import AsyncGigaChat, GigaChat
from gigachat._service import SCOPES
from gigachat.context import authorization_cvar, custom_headers_cvar
from gigachat.diagnosis import Code, Finding, Language, Report, Step, Verdict, diagnose, network
from gigachat.server import GigaChatServer
from tests.support.callers import Caller, Mode, options
from tests.support.certificates import careless, server_context
from tests.support.payloads import http
from tests.support.proxies import http_proxy, socks_proxy
from tests.support.raw_servers import listening, raw_server, site
from tests.support.systems import needs_own_roots
from tests.support.waiting import PATIENCE, patiently, until

pytestmark = pytest.mark.costly

LANGUAGES: tuple[Language, ...] = ("en", "ru")
OLD, NEW, SIGN_IN = "gigachat.devices.sberbank.ru", "api.giga.chat", "ngw.devices.sberbank.ru"
UNKNOWN_KEY = base64.b64encode(f"{uuid.uuid4()}:{uuid.uuid4()}".encode()).decode()
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"


@dataclass
class World:
    """Where a fault is made."""

    stack: ExitStack
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    names: dict[str, str] = field(default_factory=lambda: {OLD: "127.0.0.1", NEW: "127.0.0.1", SIGN_IN: "127.0.0.1"})

    def server(self, **more: Any) -> GigaChatServer:
        return self.stack.enter_context(GigaChatServer(**more))

    def closed_port(self) -> int:
        """A port that refuses connections as long as the test runs: it is bound and does not listen."""
        bound = self.stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])

    def silent_port(self) -> int:
        """A port that does not answer connections: its queue is full."""
        listener = self.stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            waiting = self.stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        return int(listener.getsockname()[1])

    def shows(self, context: ssl.SSLContext, answer: bytes = http(b"{}", status=401)) -> int:
        """The port of a server with this context."""
        return self.stack.enter_context(site(context, answer)).port


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    real = socket.getaddrinfo
    with ExitStack() as stack:
        made = World(stack, tmp_path, monkeypatch)

        def resolve(host: Any, *arguments: Any, **more: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            address = made.names.get(name, name)
            if address.endswith(".example"):
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            if address.endswith(".silent"):
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return real(address, *arguments, **more)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(network, "has_route", lambda: True)
        yield made


def found(report: Report, code: Code) -> Finding:
    """Return the only finding with a code."""
    matching = [finding for finding in report.findings if finding.code is code]
    assert len(matching) == 1, report.render()
    return matching[0]


def examined(client_options: Mapping[str, Any], language: Language = "en", timeout: float = 20) -> Report:
    with GigaChat(**client_options) as giga:
        return giga.diagnose(language=language, timeout=timeout)


def named(server: GigaChatServer) -> dict[str, Any]:
    """Return options of a client for a server by the name of the service."""
    return {name: str(value).replace("localhost", OLD) for name, value in options(server).items()}


# The faults


def no_network(world: World) -> dict[str, Any]:
    return {"base_url": "https://224.0.0.1/v1", "access_token": "t"}  # TCP has no route to groups of hosts


def proxy_needed(world: World) -> dict[str, Any]:
    world.monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:3128")  # holds for http:// only
    return {"base_url": f"https://{NEW}:{world.closed_port()}/v1", "access_token": "t"}


def name_unknown(world: World) -> dict[str, Any]:
    return {"base_url": "https://no-such-host.example/v1", "access_token": "t"}


def port_of_sign_in_closed(world: World) -> dict[str, Any]:
    return {**options(world.server()), "auth_url": f"https://{SIGN_IN}:{world.closed_port()}/api/v2/oauth"}


def unknown_authority(world: World) -> dict[str, Any]:
    return {**options(world.server()), "ca_bundle_file": None}


def intercepted(world: World) -> dict[str, Any]:
    proxy = trustme.CA(organization_name="Office Firewall").create_child_ca()
    port = world.shows(server_context(proxy, OLD))
    return {"base_url": f"https://{OLD}:{port}/api/v1", "access_token": "t"}


def expired(world: World) -> dict[str, Any]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(world.folder / "ca.pem"))
    port = world.shows(server_context(authority, "localhost", days=(-10, -1)))
    return {"base_url": f"https://localhost:{port}/v1", "access_token": "t", "ca_bundle_file": world.folder / "ca.pem"}


def wrong_host(world: World) -> dict[str, Any]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(world.folder / "ca.pem"))
    port = world.shows(server_context(authority, "other.example"))
    return {"base_url": f"https://localhost:{port}/v1", "access_token": "t", "ca_bundle_file": world.folder / "ca.pem"}


def wrong_clock(world: World) -> dict[str, Any]:
    server = world.server()
    server.fail(headers={"Date": "Tue, 01 Jan 2030 00:00:00 GMT"}, path="/api/v1", times=None)
    return options(server)


def client_certificate_required(world: World) -> dict[str, Any]:
    return options(world.server(mtls=True))


def key_is_uuid(world: World) -> dict[str, Any]:
    return {**named(world.server(names=[OLD])), "credentials": str(uuid.uuid4())}


def key_is_jwt(world: World) -> dict[str, Any]:
    return {**named(world.server(names=[OLD])), "credentials": JWT}


def key_has_newline(world: World) -> dict[str, Any]:
    return {**named(world.server(names=[OLD])), "credentials": f"{UNKNOWN_KEY[:20]}\n{UNKNOWN_KEY[20:]}"}


def key_has_quote(world: World) -> dict[str, Any]:
    return {**named(world.server(names=[OLD])), "credentials": f'{UNKNOWN_KEY}"'}


def key_is_quoted_in_the_environment(world: World) -> dict[str, Any]:
    reach = options(world.server())
    world.monkeypatch.setenv("GIGACHAT_CREDENTIALS", f'"{reach.pop("credentials")}"\n')
    return reach


def wrong_scope(world: World) -> dict[str, Any]:
    return {**options(world.server()), "scope": "GIGACHAT_API_PERSON"}


def other_account(world: World) -> dict[str, Any]:
    return {**options(world.server(account_kind="b2b")), "scope": "GIGACHAT_API_PERS"}


def key_revoked(world: World) -> dict[str, Any]:
    return {**named(world.server(names=[OLD])), "credentials": UNKNOWN_KEY}


def no_such_model(world: World) -> dict[str, Any]:
    return {**named(world.server(names=[OLD])), "model": "GigaChat-Pro-Max"}


def no_tokens_left(world: World) -> dict[str, Any]:
    server = world.server(account_kind="pers")
    server.spend("GigaChat", 900_000)
    return options(server)


def busy(world: World) -> dict[str, Any]:
    server = world.server(account_kind="pers")
    server.stream_events([{"choices": [{"delta": {"content": "x"}, "index": 0}]}], keep_open=True)
    other = world.stack.enter_context(GigaChat(**options(server)))
    next(world.stack.enter_context(other.stream("x")))
    return options(server)


def old_host(world: World) -> dict[str, Any]:
    port = world.stack.enter_context(listening(lambda connection: None))
    world.monkeypatch.setattr(network, "NEWER_BASE_URL", f"https://{NEW}:{port}/v1")
    return {"base_url": f"https://{OLD}:{world.closed_port()}/api/v1", "access_token": "t"}


def model_of_the_newer_host(world: World) -> dict[str, Any]:
    server = world.server(names=[OLD])
    server.fail(404, "No such model", path="/models/GigaChat-3-Ultra")
    return {**named(server), "model": "GigaChat-3-Ultra"}


Fault = Callable[[World], dict[str, Any]]
FAULTS: dict[Fault, tuple[Step, Code, Verdict, str, str]] = {
    no_network: (Step.TCP, Code.NO_NETWORK, "failed", "network of the container", "сеть контейнера"),
    proxy_needed: (Step.TCP, Code.PROXY_NEEDED, "failed", "Set proxy= (GIGACHAT_PROXY)", "Задайте адрес прокси"),
    name_unknown: (Step.NAMES, Code.NAME_UNKNOWN, "failed", "Check the address in base_url=", "Проверьте адрес"),
    port_of_sign_in_closed: (
        Step.TCP,
        Code.PORT_CLOSED,
        "failed",
        "ask to open TCP port",
        "попросите открыть TCP-порт",
    ),
    unknown_authority: (Step.TLS, Code.UNKNOWN_AUTHORITY, "failed", "as ca_bundle_file=", "в ca_bundle_file="),
    intercepted: (Step.TLS, Code.INTERCEPTED, "failed", "Ask your administrator", "Возьмите у администратора"),
    expired: (Step.TLS, Code.CERTIFICATE_EXPIRED, "failed", "must renew the certificate", "должен обновить владелец"),
    wrong_host: (Step.TLS, Code.WRONG_HOST, "failed", "Check the address in base_url=", "Проверьте адрес в base_url="),
    wrong_clock: (Step.CLOCK, Code.CLOCK_WRONG, "warning", "Set the clock", "Установите верное время"),
    client_certificate_required: (
        Step.TLS,
        Code.CLIENT_CERTIFICATE_REQUIRED,
        "failed",
        "Pass cert_file= and key_file=",
        "Передайте cert_file= и key_file=",
    ),
    key_is_uuid: (Step.SETTINGS, Code.KEY_IS_UUID, "failed", "client_id= and client_secret=", "или задайте вместе"),
    key_is_jwt: (Step.SETTINGS, Code.KEY_IS_JWT, "failed", "set the token as access_token=", "токен как access_token="),
    key_has_newline: (Step.SETTINGS, Code.KEY_HAS_SPACE, "failed", "in one piece", "одной строкой и без кавычек"),
    key_has_quote: (Step.SETTINGS, Code.KEY_HAS_SPACE, "failed", "without quotes", "одной строкой и без кавычек"),
    key_is_quoted_in_the_environment: (
        Step.SETTINGS,
        Code.KEY_WAS_QUOTED,
        "warning",
        "Remove them where the variable is set",
        "Уберите их там, где задана переменная",
    ),
    wrong_scope: (Step.SCOPE, Code.WRONG_SCOPE, "failed", "GIGACHAT_API_B2B (companies", "GIGACHAT_API_B2B (компании"),
    other_account: (Step.SCOPE, Code.OTHER_ACCOUNT, "failed", "to the scope that works", "подходящее значение"),
    key_revoked: (Step.SIGN_IN, Code.KEY_REVOKED, "failed", "Make a new key", "Получите новый ключ"),
    no_such_model: (Step.MODELS, Code.NO_SUCH_MODEL, "failed", "Newer models are at", "Новые модели: base_url"),
    no_tokens_left: (Step.ANSWER, Code.NO_TOKENS_LEFT, "failed", "Buy a package", "Купите пакет"),
    busy: (Step.ANSWER, Code.BUSY, "failed", "Close streams", "Закройте потоки"),
    old_host: (Step.TCP, Code.OLD_HOST, "failed", "to https://api.giga.chat/v1", ": https://api.giga.chat/v1"),
    model_of_the_newer_host: (
        Step.MODELS,
        Code.MODEL_ELSEWHERE,
        "failed",
        "to https://api.giga.chat/v1",
        ": https://api.giga.chat/v1",
    ),
}


@needs_own_roots
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_is_found_with_its_advice(fault: Fault, language: Language, world: World) -> None:
    step, code, verdict, english, russian = FAULTS[fault]
    report = examined(fault(world), language)
    finding = found(report, code)
    assert (finding.step, finding.verdict) == (step, verdict)
    assert (english if language == "en" else russian) in finding.advice
    assert finding.seen
    assert finding.meaning
    assert report.ok is (verdict != "failed")
    others = {one.code for one in report.findings if one.verdict == "failed"} - {code}
    assert not others, report.render()


@needs_own_roots
@pytest.mark.parametrize(
    ("fault", "code", "shown"),
    [
        (port_of_sign_in_closed, Code.PORT_CLOSED, f"{SIGN_IN}:"),
        (unknown_authority, Code.UNKNOWN_AUTHORITY, "Local GigaChat server"),
        (wrong_host, Code.WRONG_HOST, "for other.example"),
        (wrong_scope, Code.WRONG_SCOPE, "GIGACHAT_API_PERSON"),
        (other_account, Code.OTHER_ACCOUNT, "scopes that work: GIGACHAT_API_B2B"),
        (no_such_model, Code.NO_SUCH_MODEL, "it has: GigaChat, GigaChat-2,"),
    ],
)
def test_what_was_seen_names_the_culprit(fault: Fault, code: Code, shown: str, world: World) -> None:
    assert shown in found(examined(fault(world)), code).seen


@needs_own_roots
@pytest.mark.parametrize(("kind", "scope"), [("b2b", SCOPES[0]), ("pers", SCOPES[1]), ("pers", SCOPES[2])])
def test_a_scope_of_the_documentation_is_shown(kind: Any, scope: str, world: World) -> None:
    report = examined({**options(world.server(account_kind=kind)), "scope": scope})
    assert f"the key does not have the scope {scope};" in found(report, Code.OTHER_ACCOUNT).seen


@needs_own_roots
def test_an_intercepting_proxy_is_named_by_its_root_where_python_shows_the_chain(world: World) -> None:
    seen = found(examined(intercepted(world)), Code.INTERCEPTED).seen
    root, child = "Office Firewall", "trustme"
    assert (root if sys.version_info >= (3, 13) else child) in seen


@needs_own_roots
def test_steps_that_depend_on_a_failed_one_are_skipped_with_the_reason(world: World) -> None:
    report = examined(key_revoked(world))
    skipped = {finding.step: finding.seen for finding in report.findings if finding.verdict == "skipped"}
    rest = (Step.SCOPE, Step.MODELS, Step.ANSWER, Step.STREAM, Step.BALANCE)
    assert skipped == dict.fromkeys(rest, "not checked: sign-in")


PLACEHOLDERS = ["your-authorization-key", "YOUR_KEY", "<key>", "...", "***", "xxx", "ключ"]


@pytest.mark.parametrize("key", PLACEHOLDERS)
def test_a_placeholder_is_told_from_a_damaged_key(key: str, world: World) -> None:
    report = examined({**options(world.server(tls=False)), "credentials": key})
    assert found(report, Code.KEY_IS_PLACEHOLDER).step is Step.SETTINGS


@needs_own_roots
def test_the_network_is_examined_although_the_key_is_malformed(world: World) -> None:
    report = examined(key_is_uuid(world))
    found(report, Code.CERTIFICATE_TRUSTED)
    assert {finding.seen for finding in report.findings if finding.step is Step.SIGN_IN} == {"not checked: settings"}


@needs_own_roots
def test_the_balance_is_read_although_the_tokens_are_used_up(world: World) -> None:
    assert "GigaChat: 0" in found(examined(no_tokens_left(world)), Code.BALANCE_SPENT).seen


@needs_own_roots
def test_one_of_two_addresses_fails_alone(world: World) -> None:
    report = examined(port_of_sign_in_closed(world))
    tls = [(finding.code, finding.seen) for finding in report.findings if finding.step is Step.TLS]
    assert [code for code, _ in tls] == [Code.SKIPPED, Code.CERTIFICATE_TRUSTED]
    assert tls[0][1] == f"not checked: TCP ({SIGN_IN})"


LOCAL_KEY = {
    "en": "Copy GIGACHAT_CREDENTIALS from the output of gigachat serve; each start without --state has a new key.",
    "ru": "Скопируйте GIGACHAT_CREDENTIALS из вывода gigachat serve: без --state при каждом запуске новый ключ.",
}
LOCAL_MODEL = {
    "en": "Set model= (GIGACHAT_MODEL) to one of them.",
    "ru": "Задайте в model= (GIGACHAT_MODEL) одну из них.",
}


@needs_own_roots
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("changed", "code", "advice"),
    [
        ({"credentials": "your-authorization-key"}, Code.KEY_IS_PLACEHOLDER, LOCAL_KEY),
        ({"credentials": UNKNOWN_KEY}, Code.KEY_REVOKED, LOCAL_KEY),
        ({"credentials": None, "auth_url": None}, Code.NO_KEY, LOCAL_KEY),
        ({"model": "GigaChat-Pro-Max"}, Code.NO_SUCH_MODEL, LOCAL_MODEL),
    ],
)
def test_the_advice_for_a_local_server(
    changed: dict[str, Any], code: Code, advice: dict[Language, str], language: Language, world: World
) -> None:
    assert found(examined({**options(world.server()), **changed}, language), code).advice == advice[language]


# Connections


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses connections when the queue is full")
def test_the_service_that_answers_no_connection_needs_a_proxy(world: World) -> None:
    reach = {"base_url": f"https://{NEW}:{world.silent_port()}/v1", "access_token": "t"}
    finding = found(examined(reach, timeout=0.3), Code.PROXY_NEEDED)
    assert "timed out" in finding.seen


@pytest.mark.parametrize("route", [True, False])
def test_a_name_server_that_does_not_respond_is_told_from_no_network(route: bool, world: World) -> None:
    world.monkeypatch.setattr(network, "has_route", lambda: route)
    report = examined({"base_url": "https://host.silent/v1", "access_token": "t"})
    assert found(report, Code.NAME_SERVER_SILENT if route else Code.NO_NETWORK).step is Step.NAMES


def proxied(world: World, port: int, **more: Any) -> dict[str, Any]:
    return {**options(world.server()), "proxy": f"http://127.0.0.1:{port}", **more}


@needs_own_roots
def test_a_proxy_that_works(world: World) -> None:
    server = world.server()
    with http_proxy(int(server.origin.rpartition(":")[2]), login="user:Pa%ss") as proxy:
        reach = {**options(server), "proxy": f"http://user:Pa%25ss@127.0.0.1:{proxy.port}"}
        report = examined(reach)
    assert report.ok, report.render()
    assert f"through 127.0.0.1:{proxy.port}, set by proxy= (or GIGACHAT_PROXY)" in found(report, Code.PROXY_WORKS).seen
    assert "Pa%" not in report.model_dump_json()


@needs_own_roots
def test_a_fault_behind_a_proxy_names_the_address_and_not_the_proxy(world: World) -> None:
    server = world.server(tls=False)
    with http_proxy(int(server.origin.rpartition(":")[2])) as proxy:
        reach = {"base_url": "https://service.example/v1", "access_token": "t"}
        report = examined({**reach, "proxy": f"http://127.0.0.1:{proxy.port}"})
    assert "another port in base_url=" in found(report, Code.NOT_TLS).advice


@needs_own_roots
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", Code.PROXY_LOGIN),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Code.PROXY_REFUSED),
        (b"220 mail.example ESMTP\r\n", Code.NOT_A_PROXY),
        (b"", Code.NOT_A_PROXY),
    ],
)
def test_a_proxy_that_refuses(answer: bytes, code: Code, world: World) -> None:
    with site(None, answer, answers_anything=True) as proxy:
        report = examined(proxied(world, proxy.port))
    assert found(report, code).step is Step.PROXY


def test_a_proxy_that_is_not_there(world: World) -> None:
    report = examined(proxied(world, world.closed_port()))
    assert found(report, Code.PROXY_UNREACHABLE).step is Step.TCP
    report = examined({**proxied(world, 1), "proxy": "http://proxy.example:3128"})
    finding = found(report, Code.PROXY_UNREACHABLE)
    assert finding.step is Step.NAMES
    assert finding.seen.endswith("cannot be reached (no such name)")


@needs_own_roots
def test_a_socks_proxy_is_left_to_the_sign_in(world: World) -> None:
    server = world.server()
    with socks_proxy(int(server.origin.rpartition(":")[2])) as proxy:
        report = examined({**options(server), "proxy": f"socks5://127.0.0.1:{proxy.port}"})
    assert report.ok, report.render()
    steps = [finding.step for finding in report.findings if finding.code is Code.PROXY_NOT_TRIED]
    assert steps == [Step.PROXY, Step.TLS]


@needs_own_roots
def test_a_certificate_refused_behind_a_socks_proxy_is_found_by_the_sign_in(world: World) -> None:
    server = world.server()
    with socks_proxy(int(server.origin.rpartition(":")[2])) as proxy:
        reach = {**options(server), "proxy": f"socks5://127.0.0.1:{proxy.port}", "ca_bundle_file": None}
        assert found(examined(reach), Code.UNKNOWN_AUTHORITY).step is Step.SIGN_IN


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_local_server_that_does_not_run(host: str, world: World) -> None:
    report = examined({"base_url": f"http://{host}:{world.closed_port()}/v1", "access_token": "t"})
    assert "gigachat serve" in found(report, Code.SERVER_NOT_RUNNING).advice


def test_an_ipv6_address_is_in_brackets(world: World) -> None:
    report = examined({"base_url": "https://[::1]:1/v1", "access_token": "t"})
    assert "API at [::1]:1," in found(report, Code.SETTINGS_READ).seen


# TLS


def test_an_address_without_tls_is_a_warning(world: World) -> None:
    report = examined(options(world.server(tls=False)))
    assert report.ok
    assert found(report, Code.NO_TLS).verdict == "warning"


def test_a_port_without_tls(world: World) -> None:
    reach = options(world.server(tls=False))
    report = examined({**reach, "base_url": reach["base_url"].replace("http:", "https:")})
    assert found(report, Code.NOT_TLS).step is Step.TLS


def test_a_connection_that_ends_in_the_handshake(world: World) -> None:
    with listening(lambda connection: None) as port:
        report = examined({"base_url": f"https://localhost:{port}/v1", "access_token": "t"})
    found(report, Code.TLS_BROKEN)


def test_verification_switched_off_is_a_warning(world: World) -> None:
    report = examined({**options(world.server()), "ca_bundle_file": None, "verify_ssl_certs": False})
    assert report.ok
    found(report, Code.NOT_VERIFIED)


@needs_own_roots
def test_a_certificate_that_is_not_yet_valid(world: World) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(world.folder / "ca.pem"))
    port = world.shows(server_context(authority, "localhost", days=(1, 9)))
    reach = {"base_url": f"https://localhost:{port}/v1", "access_token": "t", "ca_bundle_file": world.folder / "ca.pem"}
    found(examined(reach), Code.CERTIFICATE_NOT_YET_VALID)


@needs_own_roots
def test_a_russian_authority_that_is_not_trusted(world: World) -> None:
    authority = trustme.CA(organization_name="Russian Trusted Root CA")
    port = world.shows(server_context(authority, OLD))
    reach = {"base_url": f"https://{OLD}:{port}/api/v1", "access_token": "t", "trust_russian_ca": False}
    found(examined(reach), Code.RUSSIAN_ROOT_OFF)


@needs_own_roots
def test_the_clock_is_compared_although_the_certificate_is_refused(world: World) -> None:
    authority = trustme.CA()
    answer = http(b"{}", ("Date", "Tue, 01 Jan 2030 00:00:00 GMT"), status=401)
    port = world.shows(server_context(authority, "localhost"), answer)
    report = examined({"base_url": f"https://localhost:{port}/v1", "access_token": "t"})
    found(report, Code.UNKNOWN_AUTHORITY)
    found(report, Code.CLOCK_WRONG)


@needs_own_roots
def test_a_client_certificate_that_is_accepted_and_one_that_is_not(world: World) -> None:
    server = world.server(mtls=True)
    right = {"base_url": server.base_url, "ca_bundle_file": server.ca_bundle_file}
    report = examined({**right, "cert_file": server.client_cert_file, "key_file": server.client_key_file})
    assert report.ok, report.render()
    assert "client certificate" in found(report, Code.NO_SIGN_IN).seen
    other = trustme.CA().issue_cert("client@example.org")
    other.private_key_and_cert_chain_pem.write_to_path(str(world.folder / "other.pem"))
    report = examined({**right, "cert_file": world.folder / "other.pem"})
    found(report, Code.CLIENT_CERTIFICATE_REFUSED)


# Settings and authorization


def test_a_client_without_a_key(world: World) -> None:
    world.names = dict.fromkeys((OLD, SIGN_IN), "unknown.example")
    report = examined({})
    assert found(report, Code.NO_KEY).step is Step.SETTINGS
    hosts = [finding.seen.partition(":")[0] for finding in report.findings if finding.code is Code.NAME_UNKNOWN]
    assert hosts == [OLD, SIGN_IN]


def test_a_misspelled_variable_is_named_before_the_missing_key(world: World) -> None:
    world.names = dict.fromkeys((OLD, SIGN_IN), "unknown.example")
    world.monkeypatch.setenv("GIGACHAT_KEY", UNKNOWN_KEY)
    findings = [finding for finding in examined({}).findings if finding.step is Step.SETTINGS]
    assert [finding.code for finding in findings] == [Code.VARIABLE_NOT_READ, Code.NO_KEY]
    assert findings[0].advice == "Rename it to GIGACHAT_CREDENTIALS."


def test_a_client_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_TIMEOUT", "soon")
    report = diagnose(GigaChat, language="en")
    assert "GIGACHAT_TIMEOUT" in found(report, Code.SETTINGS_INVALID).seen


def test_a_gateway_that_adds_the_key(world: World) -> None:
    with site(None, http(b'{"data": [], "object": "list"}')) as gateway:
        report = examined({"base_url": f"http://localhost:{gateway.port}/v1"})
    assert found(report, Code.NO_SIGN_IN).verdict == "ok"


@needs_own_roots
@pytest.mark.parametrize("place", ["view", "default_headers", "custom_headers", "variable"])
def test_an_own_header_of_authorization(place: str, world: World) -> None:
    server = world.server(names=[OLD])
    with GigaChat(**options(server)) as giga:
        token = giga.get_token()
    assert token is not None
    authorization = f"Bearer {token.access_token}"
    header = {"Authorization": authorization}
    reach: dict[str, Any] = {"base_url": server.base_url.replace("localhost", OLD)}
    reach["ca_bundle_file"] = server.ca_bundle_file
    if place == "default_headers":
        reach["default_headers"] = header
    context = contextvars.copy_context()
    if place == "custom_headers":
        context.run(custom_headers_cvar.set, header)
    if place == "variable":
        context.run(authorization_cvar.set, authorization)
    with GigaChat(**reach) as giga:
        view = giga.with_options(extra_headers=header) if place == "view" else giga
        report = context.run(view.diagnose, language="en")
    assert report.ok, report.render()
    assert "own header Authorization" in found(report, Code.NO_SIGN_IN).seen


@needs_own_roots
def test_user_and_password(world: World) -> None:
    server = world.server()
    reach: dict[str, Any] = {"base_url": server.base_url, "ca_bundle_file": server.ca_bundle_file}
    reach |= {"user": server.account.user, "password": server.account.password}
    report = examined(reach)
    assert report.ok, report.render()
    found(report, Code.SCOPE_NOT_USED)
    found(examined({**reach, "password": "wrong"}), Code.PASSWORD_WRONG)


@needs_own_roots
def test_a_ready_token_that_has_expired(world: World) -> None:
    server = world.server()
    reach = {"base_url": server.base_url, "ca_bundle_file": server.ca_bundle_file, "access_token": "expired"}
    assert found(examined(reach), Code.TOKEN_REFUSED).step is Step.MODELS


@needs_own_roots
def test_the_addresses_of_two_services(world: World) -> None:
    one, other = world.server(), world.server()
    report = examined({**options(one), "base_url": other.base_url, "verify_ssl_certs": False})
    assert found(report, Code.NEW_TOKEN_REFUSED).step is Step.MODELS


def test_a_local_address_without_a_key(world: World) -> None:
    report = examined({"base_url": world.server(tls=False).base_url})
    assert found(report, Code.NO_KEY).step is Step.MODELS


@needs_own_roots
def test_a_model_of_another_kind(world: World) -> None:
    report = examined({**options(world.server()), "model": "Embeddings"})
    assert found(report, Code.NOT_A_CHAT_MODEL).step is Step.ANSWER


@needs_own_roots
def test_too_many_sign_ins(world: World) -> None:
    server = world.server()
    server.fail(429, path="/oauth")
    assert found(examined(options(server)), Code.SIGN_IN_LIMIT).step is Step.SIGN_IN


@needs_own_roots
def test_an_address_that_issues_no_tokens(world: World) -> None:
    reach = options(world.server())
    for path in ("/api/v1", "/oauth"):
        auth_url = reach["auth_url"].replace("/api/v2/oauth", path)
        found(examined({**reach, "auth_url": auth_url}), Code.WRONG_AUTH_ADDRESS)


@needs_own_roots
def test_a_base_url_without_an_api(world: World) -> None:
    reach = options(world.server())
    report = examined({**reach, "base_url": reach["base_url"].replace("/api/v1", "/v9")})
    found(report, Code.MODELS_NOT_LISTED)
    assert found(report, Code.WRONG_ADDRESS).step is Step.ANSWER


@needs_own_roots
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Code.REFUSED),
        (403, Code.ACCESS_DENIED),
        (423, Code.MODEL_OFF),
        (500, Code.SERVICE_FAILED),
        (302, Code.WRONG_ADDRESS),
    ],
)
def test_statuses_of_the_answer(status: int, code: Code, world: World) -> None:
    server = world.server()
    server.fail(status, path="/chat/completions")
    report = examined(options(server))
    assert found(report, code).step is Step.ANSWER
    assert len(server.requests_to("/chat/completions")) == 1


@needs_own_roots
def test_a_stream_that_is_interrupted(world: World) -> None:
    server = world.server()
    server.cut(after_events=1)
    report = examined(options(server))
    assert found(report, Code.STREAM_INTERRUPTED).step is Step.STREAM
    found(report, Code.ANSWERED)


@needs_own_roots
def test_an_account_without_a_balance(world: World) -> None:
    report = examined({**options(world.server(account_kind="corp")), "scope": "GIGACHAT_API_CORP"})
    assert report.ok
    found(report, Code.NO_BALANCE)


@needs_own_roots
def test_a_service_that_is_silent_is_left_after_the_timeout(world: World) -> None:
    server = world.server()
    server.fail(delay=60, path="/oauth", times=None)

    def check(seconds: float) -> None:
        assert found(examined(options(server), timeout=seconds), Code.TIMED_OUT).step is Step.SIGN_IN

    patiently(check)


@needs_own_roots
def test_the_own_function_for_tokens(world: World) -> None:
    server = world.server()
    reach: dict[str, Any] = {"base_url": server.base_url, "ca_bundle_file": server.ca_bundle_file}
    with GigaChat(**options(server)) as giga:
        token = giga.get_token()
    assert token is not None
    report = examined({**reach, "access_token_provider": lambda: token.access_token})
    assert report.ok, report.render()

    def failing() -> str:
        raise RuntimeError("a secret")

    report = examined({**reach, "access_token_provider": failing})
    assert found(report, Code.TOKEN_FUNCTION_FAILED).seen == "access_token_provider= failed: RuntimeError"


@needs_own_roots
def test_an_own_http_client_is_not_examined(world: World) -> None:
    import httpx2

    with httpx2.Client() as http_client:
        report = examined({**options(world.server()), "http_client": http_client})
    assert report.ok
    assert found(report, Code.OWN_HTTP_CLIENT).verdict == "warning"


# The client


@needs_own_roots
def test_the_diagnosis_in_each_mode(mode: Mode, world: World) -> None:
    server = world.server()
    with Caller(mode, options(server)) as caller:
        report = caller.do("diagnose", language="ru")
        assert report.ok, report.render()
        assert caller.chat("x").text  # the client can still be used


@needs_own_roots
def test_the_async_client_awaits_its_function_for_tokens(world: World) -> None:
    server = world.server()
    reach: dict[str, Any] = {"base_url": server.base_url, "ca_bundle_file": server.ca_bundle_file}
    with Caller("async", options(server)) as caller:
        token = caller.do("get_token")

        async def provide() -> str:
            return str(token.access_token)

        giga = AsyncGigaChat(**reach, access_token_provider=provide)
        assert caller.do("diagnose", giga=giga, language="en").ok

        async def failing() -> str:
            raise RuntimeError("a secret")

        giga = AsyncGigaChat(**reach, access_token_provider=failing)
        found(caller.do("diagnose", giga=giga, language="en"), Code.TOKEN_FUNCTION_FAILED)


def test_a_cancelled_diagnosis_sends_nothing_more() -> None:
    released = threading.Event()

    def answer(connection: socket.socket, request: bytes) -> None:
        released.wait(PATIENCE)
        connection.sendall(http(b"{}", status=401))

    async def main(url: str, received: list[bytes]) -> None:
        async with AsyncGigaChat(base_url=f"{url}/v1", access_token="t") as giga:
            diagnosis = asyncio.create_task(giga.diagnose(timeout=PATIENCE))
            await asyncio.to_thread(until, lambda: received)
            diagnosis.cancel()
            with pytest.raises(asyncio.CancelledError):
                await diagnosis
        released.set()

    with raw_server(answer) as (url, received):
        asyncio.run(main(url, received))
        until(lambda: not any(thread.name == "gigachat" for thread in threading.enumerate()))
        assert len(received) == 1


@needs_own_roots
def test_trio(world: World) -> None:
    trio = pytest.importorskip("trio")

    async def main() -> Report:
        async with AsyncGigaChat(**options(world.server())) as giga:
            return await giga.diagnose(language="en")

    assert trio.run(main).ok


@pytest.mark.parametrize("wrong", [{"language": "de"}, {"timeout": 0}, {"timeout": float("nan")}, {"timeout": -1}])
def test_a_wrong_argument_is_refused(wrong: dict[str, Any]) -> None:
    with GigaChat(access_token="t") as giga, pytest.raises(ValueError, match=next(iter(wrong))):
        giga.diagnose(**wrong)


# Secrets and the shape of a report

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC1zZWNyZXQ="
SECRETS: list[dict[str, Any]] = [
    {"credentials": SECRET},
    {"credentials": SECRET[:-1]},
    {"credentials": f'{SECRET}"'},
    {"credentials": None, "client_id": str(uuid.uuid4()), "client_secret": SECRET},
    {"credentials": None, "user": "user", "password": SECRET},
    {"credentials": None, "access_token": SECRET},
    {"scope": SECRET},
    {"model": SECRET},
    {"session_id": SECRET},
    {"default_headers": {"X-Key": SECRET}},
    {"default_query": {"key": SECRET}},
    {"flags": [SECRET]},
    {"proxy": f"http://user:{SECRET}@127.0.0.1:1"},
    {"proxy": f"http://{SECRET}:x@127.0.0.1:1"},
    {"key_file_password": SECRET},
]


@needs_own_roots
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("setting", SECRETS, ids=lambda setting: "-".join(setting))
def test_no_secret_is_in_a_report(setting: dict[str, Any], language: Language, world: World) -> None:
    report = examined({**options(world.server()), **setting}, language)
    assert SECRET[:20] not in report.model_dump_json() + report.render() + repr(report)


@needs_own_roots
@pytest.mark.parametrize("path", ["/oauth", "/models", "/chat/completions", "/balance"])
def test_a_service_that_repeats_the_key_puts_no_secret_into_a_report(path: str, world: World) -> None:
    server = world.server()
    for status in (400, 401, 403, 500):
        body = json.dumps({"message": server.credentials, "code": 3}).encode()
        server.fail(status, path=path, body=body, headers={"x-request-id": server.credentials})
        assert server.credentials not in examined(options(server)).model_dump_json()
        server.clear()


@contextmanager
def distribution(folder: Path, name: str, *, module: bool) -> Iterator[None]:
    """A distribution that installs a command `gigachat`, and perhaps the module."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[console_scripts]\ngigachat = other:main\n")
    if module:
        (info / "top_level.txt").write_text("gigachat\n")
    yield


@needs_own_roots
def test_other_owners_of_the_command_and_of_the_import_are_named(world: World) -> None:
    world.monkeypatch.syspath_prepend(str(world.folder))
    with distribution(world.folder, "gigachat-cli", module=False), distribution(world.folder, "sber-gpt", module=True):
        report = examined(options(world.server()))
    assert found(report, Code.SHARED_SCRIPT).seen == "gigachat-cli, sber-gpt also installs a command gigachat"
    assert "gigachat, sber-gpt" in found(report, Code.SHARED_IMPORT).seen
    assert report.ok


@pytest.mark.parametrize("module", [True, False])
def test_damaged_metadata_of_another_package_stops_nothing(module: bool, world: World) -> None:
    world.monkeypatch.syspath_prepend(str(world.folder))
    with distribution(world.folder, "other", module=module):
        (world.folder / "other-1.0.dist-info" / "METADATA").unlink()
        report = examined(options(world.server(tls=False)))
    assert report.ok, report.render()


def test_metadata_that_cannot_be_read_are_a_warning(world: World) -> None:
    def fail() -> None:
        raise KeyError("Name")

    world.monkeypatch.setattr("importlib.metadata.packages_distributions", fail)
    report = examined(options(world.server(tls=False)))
    assert found(report, Code.METADATA_DAMAGED).step is Step.INSTALLATION
    assert report.ok


@needs_own_roots
def test_the_json_of_a_report_has_stable_keys(world: World) -> None:
    report = examined(options(world.server()))
    dumped = json.loads(report.model_dump_json())
    assert list(dumped) == ["language", "findings", "ok"]
    assert list(dumped["findings"][0]) == ["step", "verdict", "code", "seen", "meaning", "advice"]
    assert [(finding["step"], finding["verdict"], finding["code"]) for finding in dumped["findings"]] == [
        ("installation", "ok", "installed"),
        ("settings", "ok", "settings_read"),
        ("names", "ok", "name_found"),
        ("tcp", "ok", "connected"),
        ("proxy", "ok", "no_proxy"),
        ("tls", "ok", "certificate_trusted"),
        ("clock", "ok", "clock_right"),
        ("sign_in", "ok", "signed_in"),
        ("scope", "ok", "scope_granted"),
        ("models", "ok", "model_found"),
        ("answer", "ok", "answered"),
        ("stream", "ok", "streamed"),
        ("balance", "ok", "balance"),
    ]
    assert Report.model_validate_json(report.model_dump_json()) == report


@needs_own_roots
def test_certificates_of_a_careless_authority(world: World) -> None:
    context = careless(world.folder, "localhost")
    port = world.shows(context)
    reach = {"base_url": f"https://localhost:{port}/v1", "access_token": "t"}
    report = examined({**reach, "ca_bundle_file": world.folder / "careless.pem"})
    code = Code.CERTIFICATE_INVALID if sys.version_info >= (3, 13) else Code.CERTIFICATE_TRUSTED
    found(report, code)
