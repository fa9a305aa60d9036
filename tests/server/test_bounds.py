"""What a client can make the local server hold before it has signed in."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx2
import pytest

from gigachat import GigaChat
from gigachat.server import GigaChatServer, middleware
from tests.support.callers import options

CHAT = "/api/v1/chat/completions"
LARGE = 2 * 1024 * 1024


@pytest.fixture
def server() -> Iterator[GigaChatServer]:
    with GigaChatServer(tls=False) as server:
        yield server


def connected(server: GigaChatServer) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2])))
    connection.settimeout(10)
    return connection


@pytest.mark.parametrize(("path", "status"), [(CHAT, 401), ("/nowhere", 401), ("/api/v2/oauth", 413)])
def test_a_large_body_is_refused_before_it_has_come(server: GigaChatServer, path: str, status: int) -> None:
    with connected(server) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 1000)
        assert connection.recv(100).startswith(f"HTTP/1.1 {status}".encode())
    [received] = server.requests
    assert (received.path, received.body) == (path, b"")


def test_a_large_body_of_unknown_length_is_refused_at_the_bound(server: GigaChatServer) -> None:
    with connected(server) as connection:
        connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        connection.sendall(b"%x\r\n" % LARGE + bytes(LARGE) + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 401")


def test_a_slow_body_is_waited_for_so_long(server: GigaChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "_PATIENCE", 0.05)
    with connected(server) as connection:
        connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_who_has_signed_in_may_send_a_large_body(server: GigaChatServer) -> None:
    with GigaChat(**options(server)) as giga:
        content = bytes(LARGE)
        file = giga.upload_file(("a.bin", content, "image/png"))
        assert file.bytes_ == LARGE


def test_a_large_body_is_sent_again_with_a_new_token() -> None:
    with GigaChatServer() as server, GigaChat(**options(server)) as giga:
        giga.get_models()
        server.revoke_tokens()
        assert giga.upload_file(("a.bin", bytes(3 * LARGE), "image/png")).bytes_ == 3 * LARGE
        assert [request.path for request in server.requests_to("/files")] == ["/api/v1/files"] * 2


def test_the_fault_of_a_header_needs_a_token(server: GigaChatServer) -> None:
    for path in (CHAT, "/api/v2/oauth"):
        answer = httpx2.post(server.origin + path, headers={"X-GigaChat-Fault": "delay=1000000"}, trust_env=False)
        assert answer.status_code in (400, 401)


def test_the_journal_counts_headers(server: GigaChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigachat.server.state.requests.Journal._BYTES", 100_000)
    for number in range(10):
        httpx2.get(f"{server.origin}/{number}", headers={"X-Long": "x" * 30_000}, trust_env=False)
    assert [request.path for request in server.requests] == ["/7", "/8", "/9"]


def test_a_request_without_a_token_is_noted_with_its_body(server: GigaChatServer) -> None:
    body = {"model": "GigaChat", "messages": [{"role": "user", "content": "x"}]}
    assert httpx2.post(server.origin + CHAT, json=body, trust_env=False).status_code == 401
    assert json.loads(server.requests[0].body) == body
    server.assert_asked("x")
