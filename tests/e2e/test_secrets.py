"""No credential is shown: a full run in each mode, with distinct ones planted everywhere, and a scan of all it says.

What may show some is left out by name: the frames that hold the arguments of the constructor or of `request`, and a
pickled client, which must sign in where it is unpickled.
"""

from __future__ import annotations

import base64
import copy
import logging
import pickle
import re
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from pydantic import BaseModel

from gigachat import AsyncGigaChat, GigaChat, GigaChatException
from gigachat._engine.auth.tokens import Authorization
from gigachat.context import authorization_cvar, custom_headers_cvar
from gigachat.server import GigaChatServer
from tests.support.callers import Caller, Mode, options
from tests.support.certificates import Authority, server_context
from tests.support.proxies import http_proxy, socks_proxy
from tests.support.raw_servers import raw_server, site
from tests.support.systems import needs_own_roots

KEY = base64.b64encode(b"canary-id:canary-of-the-key").decode()
PLANTED: dict[str, Any] = {
    "credentials": KEY,
    "client_secret": "canary-client-secret",
    "access_token": "canary-access-token",
    "password": "canary-password",
    "key_file_password": "canary-key-password",
    "proxy": "canary-proxy-password",
    "default_headers": "canary-default-header",
    "default_query": "canary-default-query",
    "context": "canary-of-the-context",
    "custom": "canary-of-a-custom-header",
    "extra": "canary-extra-header",
    "extra_query": "canary-extra-query",
    "provided": "canary-provided-token",
}
ARGUMENTS = {("client.py", "__init__"), ("raw_requests.py", "request"), ("endpoint.py", "blocking")}
ARGUMENTS |= {("endpoint.py", "awaitable"), ("endpoint.py", "acting"), ("client.py", "with_options")}
"""Frames that hold a call's arguments as they were given."""
STATUSES = (400, 401, 402, 403, 404, 407, 413, 418, 422, 429, 500, 503, 302)


class Out(BaseModel):
    answer: str


class Evidence:
    """All that was shown, by where it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.credentials: dict[str, str] = dict(PLANTED)

    def note(self, where: str, *texts: str) -> None:
        self.shown += [(where, text) for text in texts]

    def objects(self, where: str, *things: object) -> None:
        for thing in things:
            self.note(f"{where} {type(thing).__name__}", repr(thing), str(thing), f"{thing}")

    def error(self, where: str, error: BaseException) -> None:
        where = f"{where}: {type(error).__name__}"
        self.note(where, str(error), repr(error), *traceback.format_exception(error))
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            self.note(f"{where}, copied", str(again), repr(again))
        self.note(f"{where}, pickled", pickle.dumps(error).decode("latin-1"))
        self.locals(where, traceback.TracebackException.from_exception(error, capture_locals=True))

    def locals(self, where: str, printed: traceback.TracebackException | None) -> None:
        """What tools print that show the variables of each frame: of ours, and of the libraries below."""
        if printed is None:
            return
        for frame in printed.stack:
            path = Path(frame.filename)
            if "tests" not in path.parts and (path.name, frame.name) not in ARGUMENTS:
                for name, value in (frame.locals or {}).items():
                    self.note(f"{where}, {frame.filename}:{frame.lineno} {frame.name}: {name}", value)
        self.locals(f"{where}, its cause", printed.__cause__)
        self.locals(f"{where}, its context", printed.__context__)

    def attempt(self, where: str, work: Callable[[], Any]) -> Any:
        """Do something and note what it shows, answer or error."""
        try:
            answer = work()
        except Exception as error:
            self.error(where, error)
            return error
        self.objects(where, answer)
        return answer

    def leaks(self) -> list[str]:
        forms = {
            (name, form)
            for name, value in self.credentials.items()
            for form in (value, quote(value, safe=""), base64.b64encode(value.encode()).decode().rstrip("="))
        }
        forms |= {(name, base64.b64encode(f"me:{value}".encode()).decode()) for name, value in self.credentials.items()}
        assert all(len(form) > 8 for _, form in forms)
        found = {(where, name): text for where, text in self.shown for name, form in forms if form in text}
        return [f"{name} in {where}: {text[:300]}" for (where, name), text in found.items()]


@contextmanager
def listening(evidence: Evidence) -> Iterator[None]:
    """Note every record of every logger, at the lowest of levels, and every warning."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            evidence.note(f"log of {record.name}", self.format(record), repr(record.args), repr(vars(record)))

    root = logging.getLogger()
    handler = Handler(1)
    before = root.level
    root.addHandler(handler)
    root.setLevel(1)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
    evidence.note("warnings", *(str(warning) for warning in said))


def everything(caller: Caller, evidence: Evidence, folder: Path) -> None:
    """Every operation once."""

    def do(name: str, *arguments: Any, **fields: Any) -> Any:
        return evidence.attempt(name, lambda: caller.do(name, *arguments, **fields))

    do("chat", "x")
    evidence.attempt("stream", lambda: caller.read("x"))
    do("chat_parse", "x", response_format=Out)
    do("chat.create", "x")
    do("chat.parse", "x", response_format=Out)
    do("embeddings", ["x"])
    do("tokens_count", ["x"])
    do("get_models")
    do("get_model", "GigaChat")
    file = do("upload_file", ("a.txt", b"text", "text/plain"))
    do("get_files")
    do("get_file", file.id_)
    do("get_file_content", file.id_)
    do("download_file", file.id_, folder / "file")
    do("delete_file", file.id_)
    do("get_image", file.id_)
    batch = do("create_batch", ["x"])
    do("get_batches", batch.id_)
    do("wait_batch", batch.id_)
    do("validate_function", {"name": "f", "parameters": {"type": "object", "properties": {}}})
    do("openapi_function_convert", "openapi: 3.0.0")
    do("check_ai", "x", "GigaCheckDetection")
    do("check_filter", ["x"])
    do("get_balance")
    assistant = do("assistants.create", "GigaChat", "name")
    do("assistants.get")
    do("assistants.delete", assistant.assistant_id)
    do("threads.run_messages", ["x"])
    do("threads.get_threads")
    do("request", "GET", "/models", params={"key": evidence.credentials["extra_query"]})
    do("get_token")
    evidence.objects("token", caller.giga._access_token)


def faults(caller: Caller, server: GigaChatServer, evidence: Evidence) -> None:
    """What goes wrong after the sign-in: an error of every class, broken streams, silence, nonsense."""
    for status in STATUSES:
        for method, arguments in (("chat", ["x"]), ("get_models", [])):
            server.fail(status, times=3)
            evidence.attempt(f"{method} {status}", partial(caller.do, method, *arguments))
            server._orders.clear()
        server.fail(status, times=3)
        evidence.attempt(f"stream {status}", lambda: caller.read("x"))
        server._orders.clear()
    for body in (b"<html>", b"{", b"[]", b'{"choices":5}'):
        server.fail(200, body=body)
        evidence.attempt("nonsense", lambda: caller.do("chat", "x"))
        server.fail(200, body=body)
        evidence.attempt("nonsense in a stream", lambda: caller.read("x"))
    server.reply('{"answer":')
    evidence.attempt("no answer to parse", lambda: caller.do("chat_parse", "x", response_format=Out))
    server.cut(1)
    evidence.attempt("cut", lambda: caller.read("x"))
    server.stream_events([{"status": 429, "message": "Too many requests"}])
    evidence.attempt("error in a stream", lambda: caller.read("x"))
    hasty = caller.giga.with_options(timeout=0.05, max_retries=0)
    server.delay(0.3)
    evidence.attempt("timeout", lambda: caller.do("chat", "x", giga=hasty))
    evidence.attempt("wrong payload", lambda: caller.do("chat", 5))
    evidence.attempt("another host", lambda: caller.do("request", "GET", "https://elsewhere.example/"))


def innards(caller: Caller, evidence: Evidence) -> None:
    """The client and what it is made of, printed."""
    giga = caller.giga
    service, sessions = giga._service, (giga._blocking, giga._async)
    transports: tuple[Any, ...] = tuple(session.transport for session in sessions)
    things = [giga, giga.chat, giga.threads, giga._options, giga._settings, service, *sessions, *transports]
    things += [service.headers, service.authorization, giga.stream("x")]
    evidence.objects("innards", *things)
    for thing in (giga, service, *sessions, *transports, service.authorization):
        evidence.note(f"variables of {type(thing).__name__}", repr(getattr(thing, "__dict__", None)))
    if isinstance(service.authorization, Authorization):
        method, entry = service.authorization._method, service.authorization._entry
        evidence.objects("token", method, method.identity, entry, entry.token, entry.token and entry.token.grant)
    kept = [getattr(transports[0], "_threads", None), *getattr(transports[1], "_loops", {}).values()]
    evidence.note("connections", *(repr(vars(one)) for connections in kept if connections for one in connections._open))


@pytest.fixture
def evidence() -> Iterator[Evidence]:
    collected = Evidence()
    contexts = authorization_cvar.set(None), custom_headers_cvar.set({"X-Tenant": PLANTED["custom"]})
    with listening(collected):
        yield collected
    authorization_cvar.reset(contexts[0])
    custom_headers_cvar.reset(contexts[1])
    assert len(collected.shown) > 20
    leaks = collected.leaks()
    assert leaks == [], "\n".join(leaks)


def with_canaries(server: GigaChatServer, **more: Any) -> dict[str, Any]:
    always = {
        "default_headers": {"X-Key": PLANTED["default_headers"]},
        "default_query": {"key": PLANTED["default_query"]},
        "retry_backoff_factor": 0,
        "rate_limit_timeout": 0,
    }
    return {**options(server), **always, **more}


def of(server: GigaChatServer, evidence: Evidence) -> None:
    """Take the server's own credentials and the tokens it gave out for planted ones; and note what it shows."""
    evidence.credentials |= {"its key": server.credentials, "its secret": server.account.client_secret}
    evidence.credentials |= {
        "its password": server.account.password,
        "the password of its key": server.certificates.client_key_password,
    }
    tokens = {request.headers.get("authorization", "x ").partition(" ")[2] for request in server.requests}
    evidence.credentials |= {f"token {number}": token for number, token in enumerate(tokens - {""})}
    evidence.objects("server", server, server._state, server.requests, *server.requests)


@pytest.mark.parametrize(
    "way", ["key", *(pytest.param(way, marks=pytest.mark.slow) for way in ("pair", "password", "provider"))]
)
def test_a_full_run_shows_no_credential(
    way: str, mode: Mode, server: GigaChatServer, evidence: Evidence, tmp_path: Path
) -> None:
    ways: dict[str, dict[str, Any]] = {
        "key": {},
        "pair": {"client_id": server.account.client_id, "client_secret": server.account.client_secret},
        "password": {"user": server.account.user, "password": server.account.password},
    }
    more = ways.get(way, {})
    if way == "provider":
        with GigaChat(**options(server)) as other:
            granted = other.get_token()
        assert granted is not None
        more = {"access_token_provider": partial(getattr, granted, "access_token")}
    with Caller(mode, with_canaries(server, **({"credentials": None} if more else {}), **more)) as caller:
        caller.giga = caller.giga.with_options(
            extra_headers={"X-Extra": PLANTED["extra"]}, extra_query={"extra": PLANTED["extra_query"]}
        )
        everything(caller, evidence, tmp_path)
        faults(caller, server, evidence)
        innards(caller, evidence)
        sent = server.requests[-1]
        assert sent.headers["x-key"] == PLANTED["default_headers"]
        assert sent.headers["x-tenant"] == PLANTED["custom"]
        if way != "provider":
            assert sent.headers["authorization"].removeprefix("Bearer ").encode() not in pickle.dumps(caller.giga)
        caller.do("close")
        evidence.attempt("closed", lambda: caller.do("chat", "x"))
    of(server, evidence)


def test_what_is_said_is_not_logged(mode: Mode, server: GigaChatServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(1), Caller(mode, options(server)) as caller:
        assert "canary of the talk" in repr(caller.do("chat", "canary of the talk"))
        assert caller.read("canary of the talk")
        server.fail(500, times=2)
        assert "canary of the talk" in repr(caller.do("chat.create", "canary of the talk"))
    assert len(caplog.records) > 20
    assert "canary" not in caplog.text


def test_what_others_log_through_the_library_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    GigaChat(access_token="t")
    with caplog.at_level(1):
        logging.getLogger("httpx2").info("to %s", httpx2.URL("https://localhost/?key=theirs"))
        logging.getLogger("httpx2").info("to %(host)s", {"host": "localhost"})
        logging.getLogger("httpx2").info("100 %")
        logging.getLogger("httpcore2.socks").debug("connect_tcp.started host='localhost'")
    said = ["to https://localhost/?key=theirs", "to localhost", "100 %", "connect_tcp.started host='localhost'"]
    assert caplog.messages == said


# Sign-in.

WRONG: dict[str, dict[str, Any]] = {
    "key": {"credentials": PLANTED["credentials"]},
    "pair": {"client_id": "canary-id", "client_secret": PLANTED["client_secret"]},
    "password": {"user": "me", "password": PLANTED["password"]},
    "token": {"access_token": PLANTED["access_token"]},
    "provider": {"access_token_provider": lambda: PLANTED["provided"]},
    "broken provider": {"access_token_provider": lambda: PLANTED["provided"] + " é"},
    "placeholder": {"credentials": f"<{PLANTED['credentials']}>"},
    "spaces inside": {"credentials": f"{PLANTED['credentials']} x"},
    "colon": {"credentials": f"id:{PLANTED['client_secret']}"},
}


@pytest.mark.parametrize("way", WRONG)
def test_a_refused_sign_in_shows_no_credential(
    way: str, mode: Mode, server: GigaChatServer, evidence: Evidence
) -> None:
    with Caller(mode, with_canaries(server, **{"credentials": None, **WRONG[way]})) as caller:
        for method in ("get_models", "get_token"):
            evidence.attempt(method, partial(caller.do, method))
        evidence.attempt("stream", lambda: caller.read("x"))
        for status, body in ((200, b'{"token":"%b"}' % PLANTED["access_token"].encode()), (200, b"<html>"), (500, b"")):
            server.fail(status, path="oauth", times=3, body=body or None)
            server.fail(status, path="token", times=3, body=body or None)
            evidence.attempt(f"sign-in {status}", lambda: caller.do("get_models"))
            server._orders.clear()
        innards(caller, evidence)
    of(server, evidence)


def test_the_authorization_of_a_context_is_not_shown(mode: Mode, server: GigaChatServer, evidence: Evidence) -> None:
    with Caller(mode, with_canaries(server)) as caller:
        for value in (f"Bearer {PLANTED['context']}", f"Bearer {PLANTED['context']} é", PLANTED["context"]):
            before = authorization_cvar.set(value)
            evidence.attempt("context", lambda: caller.do("chat", "x"))
            evidence.attempt("stream in a context", lambda: caller.read("x"))
            authorization_cvar.reset(before)
            headers = {"Authorization": value}
            view = evidence.attempt("a view", partial(caller.giga.with_options, extra_headers=headers))
            if not isinstance(view, ValueError):
                evidence.attempt("header of a view", partial(caller.do, "chat", "x", giga=view))
            evidence.attempt(
                "header of a request",
                partial(caller.do, "request", "GET", "/models", headers=headers),
            )
        innards(caller, evidence)
    of(server, evidence)


# Refused options, and what is printed of good ones.

BAD_VALUES: dict[str, Any] = {
    "credentials": 5,
    "client_id": "without a secret",
    "timeout": "soon",
    "base_url": f"https://me:{PLANTED['password']}@host/v1",
    "auth_url": f"https://host/oauth?key={PLANTED['default_query']}",
    "proxy": f"http://me:{PLANTED['proxy']}@host:port",
    "default_headers": {"X-Key": f"{PLANTED['default_headers']}é"},
    "default_query": {"key": [PLANTED["default_query"]]},
    "ca_bundle_file": f"-----BEGIN PRIVATE KEY-----{PLANTED['key_file_password']}",
    "key_file": __file__,
}


@pytest.mark.parametrize("option", BAD_VALUES)
def test_a_refused_option_shows_no_credential(option: str, evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("credentials", "password", "key_file_password", "access_token")
    good: dict[str, Any] = {name: PLANTED[name] for name in names} | {"user": "me"}
    good["default_headers"] = {"X-Key": PLANTED["default_headers"]}
    for kind in (GigaChat, AsyncGigaChat):
        raised = evidence.attempt(option, partial(kind, **good | {option: BAD_VALUES[option]}))
        assert isinstance(raised, GigaChatException), option
    for name, value in (good | {option: BAD_VALUES[option]}).items():
        if isinstance(value, str):
            monkeypatch.setenv(f"GIGACHAT_{name.upper()}", value)
    evidence.attempt(option, GigaChat)


def test_good_options_are_not_shown_but_a_pickled_client_has_them(evidence: Evidence) -> None:
    given = {name: PLANTED[name] for name in ("credentials", "access_token", "password", "key_file_password")}
    proxy = f"http://me:{PLANTED['proxy']}@127.0.0.1:1"
    giga = GigaChat(
        **given,
        user="me",
        proxy=proxy,
        default_headers={"X-Key": PLANTED["default_headers"]},
        default_query={"key": PLANTED["default_query"]},
    )
    settings = giga._settings
    evidence.objects("options", giga, settings, settings.model_dump(), settings.__dict__, giga._service, vars(giga))
    for name in ("credentials", "access_token", "password", "key_file_password", "proxy"):
        evidence.note(name, repr(getattr(settings, name)), f"{getattr(settings, name)!r}")
    pickled = pickle.dumps(giga)
    for name in ("credentials", "proxy", "default_headers", "default_query"):
        assert PLANTED[name].encode() in pickled
    evidence.objects("unpickled", pickle.loads(pickled), copy.deepcopy(giga), pickle.loads(pickled)._settings)


# The network.


@needs_own_roots
def test_errors_of_the_network_show_no_credential(
    mode: Mode, evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.made(tmp_path)
    login = f"me:{PLANTED['proxy']}"
    reach = {
        "access_token": PLANTED["access_token"],
        "default_headers": {"X-Key": PLANTED["default_headers"]},
        "default_query": {"key": PLANTED["default_query"]},
        "max_retries": 1,
        "retry_backoff_factor": 0,
        "timeout": (5, 0.2),
        "ca_bundle_file": authority.file,
        "base_url": "https://localhost/v1",
    }

    def attempt(where: str, **more: Any) -> None:
        with Caller(mode, {**reach, **more}) as caller:
            raised = evidence.attempt(where, lambda: caller.do("chat", "x"))
            assert isinstance(raised, GigaChatException), raised
            evidence.attempt(f"{where}, stream", lambda: caller.read("x"))
            innards(caller, evidence)

    def through(where: str, proxy: str) -> None:
        attempt(where, proxy=proxy)
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        attempt(f"{where} of the environment")
        monkeypatch.delenv("HTTPS_PROXY")

    elsewhere = server_context(authority.issuer, "other.example")
    with site(authority.context) as good, site(elsewhere) as other:
        attempt("certificate", base_url=other.url)
        attempt("unknown authority", base_url=good.url, ca_bundle_file=None)
        for open_proxy, scheme in ((http_proxy, "http"), (socks_proxy, "socks5")):
            with open_proxy(other.port, login="me:other-password") as proxy:
                through(f"{scheme} proxy refuses", f"{scheme}://{login}@127.0.0.1:{proxy.port}")
                assert proxy.refused
            with open_proxy(other.port, login=login) as proxy:
                through(f"certificate behind a {scheme} proxy", f"{scheme}://{login}@127.0.0.1:{proxy.port}")
                assert proxy.asked
        with http_proxy(good.port, login=login, context=elsewhere) as proxy:
            through("certificate of a proxy", f"https://{login}@localhost:{proxy.port}")
    for scheme in ("http", "socks5"):
        through("no proxy", f"{scheme}://{login}@127.0.0.1:1")
    for garbled in (f"http://me:1{PLANTED['proxy']}/x@127.0.0.1:1", f"http://me:1#{PLANTED['proxy']}@127.0.0.1:1"):
        monkeypatch.setenv("HTTPS_PROXY", garbled)
        attempt("garbled proxy")
        monkeypatch.delenv("HTTPS_PROXY")

    def reset(connection: socket.socket, _: bytes) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    for answer in (
        reset,
        lambda connection, _: connection.recv(1),
        lambda connection, _: connection.sendall(b"junk\n\n"),
    ):
        with raw_server(answer) as (url, _):
            attempt("broken", base_url=url)
    # While the request is still on its way out, with its headers among the library's variables.
    with monkeypatch.context() as patched:
        patched.setattr("h11.Connection.send", lambda *_: (_ for _ in ()).throw(ConnectionResetError("reset")))
        with site(None) as plain:
            attempt("broken while sending", base_url=f"http://127.0.0.1:{plain.port}/v1")


def test_the_variables_of_the_callers_own_errors_are_left_alone(mode: Mode) -> None:
    """What is cleared, so that no tool prints it, is ours."""

    def fail() -> None:
        own = "to be seen in a report"
        raise LookupError(own)

    with Caller(mode, {"base_url": "http://127.0.0.1:1", "access_token": "t", "max_retries": 0}) as caller:
        try:
            fail()
        except LookupError as error:
            with pytest.raises(GigaChatException, match="no connection"):
                caller.chat("x")
            *_, frame = traceback.TracebackException.from_exception(error, capture_locals=True).stack
            assert frame.locals == {"own": "'to be seen in a report'"}


def test_a_key_that_cannot_be_decrypted_shows_no_password(server: GigaChatServer, evidence: Evidence) -> None:
    identity = {"cert_file": server.client_cert_file, "key_file": server.certificates.client_encrypted_key_file}
    for kind in (GigaChat, AsyncGigaChat):
        more = {**identity, "key_file_password": PLANTED["key_file_password"]}
        evidence.attempt("wrong password", partial(kind, **options(server) | more))
        more["key_file_password"] = server.certificates.client_key_password
        with_key = evidence.attempt("right password", partial(kind, **options(server) | more))
        assert isinstance(with_key, GigaChat | AsyncGigaChat)
    of(server, evidence)


# The local server as a program.


def test_the_local_server_prints_its_own_key_and_nothing_it_receives(evidence: Evidence) -> None:
    command = [sys.executable, "-u", "-X", "dev", "-m", "gigachat", "serve", "--port", "0", "--no-tls"]
    process: subprocess.Popen[str]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        printed = ""
        while "GIGACHAT_SCOPE" not in printed:
            printed += process.stdout.readline()
        given = dict(re.findall(r"^(?:export |\$env:)(\w+) ?= ?'?([^'\n]*)", printed, re.MULTILINE))
        own_key = given["GIGACHAT_CREDENTIALS"]
        assert printed.count(own_key) == 1  # once more in the line for the other shell, which is not read yet
        reach: dict[str, Any] = {"base_url": given["GIGACHAT_BASE_URL"], "auth_url": given["GIGACHAT_AUTH_URL"]}
        for way in ("key", "pair", "password", "token"):
            with GigaChat(**reach, default_query={"key": PLANTED["default_query"]}, **WRONG[way]) as giga:
                evidence.attempt(way, giga.get_models)
        with socket.create_connection(("127.0.0.1", int(reach["base_url"].rsplit(":", 1)[1].split("/")[0]))) as raw:
            raw.sendall(f"GET /{PLANTED['access_token']} nonsense\r\n\r\n".encode())
            raw.recv(100)
        process.terminate()
        printed += process.communicate(timeout=60)[0]
    evidence.note("printed", printed, *[f"line {number}" for number in range(20)])
    assert own_key in printed
