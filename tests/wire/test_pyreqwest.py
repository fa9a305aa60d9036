"""What is special to `transport="pyreqwest"`; the other suites run over it with `--transport pyreqwest`."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import signal
import ssl
import threading
from pathlib import Path
from traceback import TracebackException
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gigachat import APIConnectionError, APITimeoutError, AsyncGigaChat, ConfigurationError, GigaChat
from tests.docs.pages import read
from tests.support.certificates import Authority
from tests.support.differences import DIFFERENCES, REFUSED
from tests.support.payloads import answer, event
from tests.support.programs import run_program
from tests.support.servers import Peer, Received, says
from tests.support.systems import needs_fork
from tests.support.waiting import PATIENCE, patiently
from tests.wire.modes import Mode, with_client
from tests.wire.servers import Server, stall

pytest.importorskip("pyreqwest")
FAST: dict[str, Any] = {"transport": "pyreqwest"}
READY: dict[str, Any] = {"access_token": "ready", "base_url": "http://127.0.0.1:1/v1"}


def refused(match: str, **options: Any) -> None:
    for kind in (GigaChat, AsyncGigaChat):
        with pytest.raises(ConfigurationError, match=match) as raised:
            kind(**{**READY, **FAST, **options})
        assert "\n" not in str(raised.value)
        assert REFUSED in str(raised.value)


def test_own_clients_are_refused() -> None:
    with httpx2.Client() as own:
        refused("http_client= and async_http_client=", http_client=own)
    refused("http_client= and async_http_client=", async_http_client=httpx2.AsyncClient())


def test_a_tls_context_is_refused() -> None:
    refused("ssl_context=", ssl_context=ssl.create_default_context())


def test_a_proxy_that_speaks_tls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refused("proxy=", proxy="https://user:secret@proxy.example:8443")
    monkeypatch.setenv("HTTP_PROXY", "https://user:secret@proxy.example:8443")
    with GigaChat(**READY, **FAST) as giga, pytest.raises(ConfigurationError, match=REFUSED) as raised:
        giga.chat("x")
    assert "secret" not in str(raised.value)
    assert "HTTP_PROXY" in str(raised.value)


@pytest.mark.parametrize("address", ["http://{}a%20b", "http://{}xn--"])
def test_a_proxy_whose_host_is_invalid_is_refused(address: str) -> None:
    options: dict[str, Any] = {**READY, **FAST, "proxy": address.format("user:secret-mark@")}
    with GigaChat(**options) as giga, pytest.raises(ConfigurationError, match=r"proxy= .* not valid") as raised:
        giga.chat("x")
    shown = TracebackException.from_exception(raised.value, capture_locals=True)
    frames = [frame for frame in shown.stack if "tests" not in frame.filename]
    assert "secret-mark" not in f"{raised.value} {[frame.locals for frame in frames]}"


def test_an_encrypted_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issuer.issue_cert("client.example")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    secured = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "both.pem").write_bytes(secured + b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    refused("cert_file=", cert_file=tmp_path / "both.pem", key_file_password="secret")


@pytest.mark.parametrize("name", ["_client", "_aclient"])
def test_hooks_are_refused(name: str) -> None:
    with GigaChat(**READY, **FAST) as giga, pytest.raises(ConfigurationError, match=REFUSED):
        getattr(giga, name)


def test_without_the_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "gigachat._transport.pyreqwest_options.find_spec",
        lambda name: None if name == "pyreqwest" else found(name),
    )
    with pytest.raises(ConfigurationError, match=r"pip install 'gigachat\[fast\]'"):
        GigaChat(**READY, **FAST)


def test_the_variable_chooses_it_and_the_argument_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_TRANSPORT", "pyreqwest")
    with httpx2.Client() as own:
        refused("http_client=", http_client=own)
        GigaChat(**READY, transport="httpcore2", http_client=own).close()


def test_content_is_bytes(mode: Mode) -> None:
    with Server() as server:
        response = with_client(mode, server.reach | FAST, lambda giga: giga.do("request", "GET", "/new"))
    assert type(response.content) is bytes


def test_a_request_that_had_no_answer_is_not_sent_again(mode: Mode) -> None:
    """Its error is a timeout of connecting, to pyreqwest."""

    def check(seconds: float) -> None:
        with Server() as server:
            server.for_ever = stall
            options = {**server.reach, **FAST, "timeout": seconds, "max_retries": 2, "retry_backoff_factor": 0}
            with pytest.raises(APITimeoutError, match="did not answer within timeout="):
                with_client(mode, options, lambda giga: giga.chat())
            assert len(server.requests) == 1

    patiently(check)


def test_a_connection_that_is_not_opened_is_tried_again(mode: Mode) -> None:
    with Server() as server:
        port = server.port
    options = {"base_url": f"http://127.0.0.1:{port}/v1", "access_token": "ready", "retry_backoff_factor": 0.0}
    with pytest.raises(APIConnectionError, match="no connection to"):
        with_client(mode, options | FAST, lambda giga: giga.chat())


def test_a_header_that_is_not_ascii_is_left_out() -> None:
    good = answer("good", ("X-Name", "é"), ("X-Request-Id", "r-1"))
    with Server(good) as server, GigaChat(**server.reach, **FAST) as giga:
        headers = giga.chat("x").x_headers
        assert headers is not None
        assert headers["x-request-id"] == "r-1"


def test_a_cancelled_read_closes_its_connection() -> None:
    async def main() -> None:
        async with AsyncGigaChat(**server.reach, **FAST) as giga:
            stream = giga.stream("x")
            assert (await anext(stream)).choices[0].delta.content == "one"
            reading = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert await asyncio.to_thread(server.wait_for_connections, 0)

    with Server() as server:
        server.script.append(_begins)
        asyncio.run(main())


def test_a_stream_that_is_collected_closes_its_connection() -> None:
    with Server() as server, GigaChat(**server.reach, **FAST) as giga:
        server.script.append(_begins)
        stream = giga.stream("x")
        next(stream)
        del stream
        gc.collect()
        assert server.wait_for_connections(0)


def test_a_stream_that_another_thread_closes_ends_for_its_reader() -> None:
    with Server() as server, GigaChat(**server.reach, **FAST) as giga:
        server.script.append(_begins)
        stream = giga.stream("x")
        texts: list[Any] = [next(stream)]
        thread = threading.Thread(target=lambda: texts.extend(stream))
        thread.start()
        stream.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert len(texts) == 1
        assert server.wait_for_connections(0)


def _begins(peer: Peer, request: Received) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = event("one")
    says(head + f"{len(piece):x}\r\n".encode() + piece + b"\r\n")(peer, request)
    stall(peer)


INTERRUPTED = """
import os, sys
from gigachat import GigaChat

giga = GigaChat(base_url=sys.argv[1], access_token="ready", transport="pyreqwest")
try:
    giga.chat(str(os.getpid()))
except KeyboardInterrupt:
    print(giga.chat("x").choices[0].message.content)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such signals")
def test_ctrl_c_stops_a_call() -> None:
    def interrupt(peer: Peer, request: Received) -> None:
        os.kill(int(request.json["messages"][0]["content"]), signal.SIGINT)
        stall(peer)

    with Server() as server:
        server.script.append(interrupt)
        done = run_program(["-c", INTERRUPTED, f"{server.origin}/v1"])
    assert done.stdout == "good\n", done.stderr


@needs_fork
def test_a_child_of_a_process_that_has_used_it_works() -> None:
    with Server() as server, GigaChat(**server.reach, **FAST) as giga:
        giga.chat("x")
        child = os.fork()
        if not child:
            with GigaChat(**server.reach, **FAST) as other:
                good = [one.chat("x").choices[0].message.content for one in (giga, other)]
            os._exit(good != ["good", "good"])
        assert os.waitpid(child, 0)[1] == 0
        assert giga.chat("x").choices[0].message.content == "good"
        assert server.connections == 3


@pytest.mark.parametrize("page", ["docs/performance.md", "docs/performance.ru.md"])
def test_the_page_lists_the_differences(page: str) -> None:
    (table,) = (table for table in read(page).tables if "transport=" in table[0][1])
    first = [row[0] for row in table[1:]]
    assert len(first) == len(DIFFERENCES)
    if page == "docs/performance.md":
        assert first == [*DIFFERENCES]
