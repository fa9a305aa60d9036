"""What is sent again and what is not, over real sockets, where the table of faults does not show it."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gigachat import APIConnectionError, APITimeoutError, GigaChatException, RateLimitError, ResponseError, ServerError
from tests.faults.faults import status_answer
from tests.faults.operations import OPERATIONS, Operation, named
from tests.faults.rules import status_error
from tests.faults.skipped import SkippedTime
from tests.support.callers import MODES, Caller, Mode
from tests.support.payloads import http
from tests.support.servers import Act, Peer, Received, Server

CHAT, MODELS, ONCE, DOWNLOAD, STREAM = named("chat", "get_models", "upload-once", "download_file", "stream")


def refusing(status: int, *headers: tuple[str, str | int]) -> Act:
    return lambda peer, _: peer.send(status_answer(status, *headers))


@pytest.fixture(autouse=True)
def _longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pause is as long as it may be."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)


@contextmanager
def calling(server: Server, mode: Mode, **options: Any) -> Iterator[tuple[Caller, SkippedTime]]:
    with Caller(mode, server.options | {"share_token": False} | options) as caller:
        yield caller, SkippedTime(caller.transport)


@pytest.mark.parametrize("status", [400, 408, 409, 418, 429, 500, 503, 504, 599])
@pytest.mark.parametrize("listed", [(), (409, 503), (418, 429, 599)])
@pytest.mark.parametrize("operation", [CHAT, MODELS, ONCE], ids=str)
def test_exactly_the_listed_statuses_are_sent_again(
    operation: Operation, listed: tuple[int, ...], status: int, tmp_path: Path
) -> None:
    mode = MODES[(status + len(listed)) % 3]
    with Server(operation.good_answer) as server:
        with calling(server, mode, retry_on_status_codes=listed, retry_backoff_factor=0) as (caller, _):
            server.script.append(refusing(status))
            if status in listed and not operation.once:
                assert operation.good(operation.perform(caller, tmp_path), tmp_path)
                assert len(server.requests) == 2
            else:
                with pytest.raises(status_error(status)):
                    operation.perform(caller, tmp_path)
                assert len(server.requests) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("operation", [CHAT, STREAM, MODELS], ids=str)
def test_without_retries_nothing_is_sent_again(operation: Operation, status: int, mode: Mode, tmp_path: Path) -> None:
    with Server(operation.good_answer) as server, calling(server, mode) as (caller, skipped):
        server.for_ever = refusing(status)
        with pytest.raises(ResponseError):
            operation.perform(caller, tmp_path, giga=caller.giga.with_options(max_retries=0))
        assert (len(server.requests), skipped.pauses) == (1, [])


@pytest.mark.parametrize("mode", MODES)
def test_pauses_double_up_to_the_retry_timeout(mode: Mode, tmp_path: Path) -> None:
    with Server() as server:
        options = {"max_retries": 50, "retry_backoff_factor": 8, "retry_timeout": 100}
        with calling(server, mode, **options) as (caller, skipped):
            server.for_ever = refusing(503)
            with pytest.raises(ServerError):
                CHAT.perform(caller, tmp_path)
            assert skipped.pauses[:3] == [8, 16, 32]
            assert skipped.pauses[3] == pytest.approx(44, abs=5)  # what is left of the 100 seconds, less the network's
            assert len(server.requests) == len(skipped.pauses) + 1
            assert sum(skipped.pauses) <= 100


@pytest.mark.parametrize("mode", MODES)
def test_429_and_failures_have_accounts_of_their_own(mode: Mode, tmp_path: Path) -> None:
    with Server(CHAT.good_answer) as server:
        with calling(server, mode, max_retries=1, retry_backoff_factor=0) as (caller, skipped):
            story = [429, 429, 503, 429]
            server.script.extend(map(refusing, story))
            assert CHAT.good(CHAT.perform(caller, tmp_path), tmp_path)
            assert skipped.pauses == [0.5, 1, 0, 2]
            server.script.extend(map(refusing, [429, 503, 503]))
            with pytest.raises(ServerError):
                CHAT.perform(caller, tmp_path)
            assert len(server.requests) == 8


@pytest.mark.parametrize("mode", MODES)
def test_a_wait_that_is_longer_than_what_is_left_is_not_begun(mode: Mode, tmp_path: Path) -> None:
    with Server() as server, calling(server, mode, rate_limit_timeout=30) as (caller, skipped):
        server.for_ever = refusing(429, ("Retry-After", 20))
        with pytest.raises(RateLimitError) as raised:
            CHAT.perform(caller, tmp_path)
        assert raised.value.retry_after == 20
        assert skipped.pauses == [25]
        assert len(server.requests) == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.kind != "reads"], ids=str)
def test_a_server_that_closes_while_nothing_is_asked(operation: Operation, mode: Mode, tmp_path: Path) -> None:
    """Connections that died in the pool are noticed: not even what may not be sent twice fails."""
    with Server(operation.good_answer) as server, calling(server, mode, max_retries=0) as (caller, _):
        for _ in range(3):
            assert operation.good(operation.perform(caller, tmp_path), tmp_path)
            server.close_idle()
        assert len(server.requests) == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("good", [1, 3])
@pytest.mark.parametrize("operation", [CHAT, STREAM, MODELS, ONCE, DOWNLOAD], ids=str)
def test_a_connection_that_breaks_after_good_answers(
    operation: Operation, good: int, mode: Mode, tmp_path: Path
) -> None:
    def keep(peer: Peer, _: Received) -> None:
        peer.send(operation.good_answer)

    with Server(operation.good_answer) as server:
        with calling(server, mode, max_connections=1, retry_backoff_factor=0) as (caller, _):
            server.script.extend([keep] * good)
            server.script.append(lambda peer, _: peer.cut())
            for _ in range(good):
                assert operation.good(operation.perform(caller, tmp_path), tmp_path)
            if operation.kind == "reads":
                assert operation.good(operation.perform(caller, tmp_path), tmp_path)
                assert len(server.requests) == good + 2
            else:
                with pytest.raises(APIConnectionError, match="before a response came"):
                    operation.perform(caller, tmp_path)
                assert len(server.requests) == good + 1
            assert len({request.connection for request in server.requests[: good + 1]}) == 1
            assert operation.good(operation.perform(caller, tmp_path), tmp_path)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", [CHAT, MODELS, ONCE], ids=str)
def test_a_host_that_does_not_answer_calls(operation: Operation, mode: Mode, tmp_path: Path) -> None:
    """Its queue of connections is full; nothing was sent, so that everything may be tried again."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        reach = {"base_url": f"http://127.0.0.1:{listener.getsockname()[1]}", "access_token": "t"}
        options = {"timeout": (0.05, 10), "retry_backoff_factor": 0, "max_retries": 1}
        with Caller(mode, reach, **options) as caller:
            skipped = SkippedTime(caller.transport)
            with pytest.raises(APITimeoutError, match=r"no connection to .* within 0\.05 s"):
                operation.perform(caller, tmp_path)
            assert skipped.pauses == [0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", ["/api/v1", "/v1"])
def test_a_refusal_of_v2_is_tried_elsewhere_once(mode: Mode, path: str, tmp_path: Path) -> None:
    """Where sources disagree on the address of API v2, a page instead of an answer leads to the other one."""
    (create,) = named("v2-create")
    page = http(b"<html>not here</html>", status=404, content_type="text/html")
    with Server() as server:
        server.for_ever = lambda peer, _: peer.send(page)
        reach = {"base_url": server.origin + path, "auth_url": server.auth_url}
        with calling(server, mode, **reach) as (caller, _):
            with pytest.raises(GigaChatException, match="v2_base_url="):
                create.perform(caller, tmp_path)
            tried = [request.path for request in server.requests]
            elsewhere = ["/api/v2/chat/completions"] if path == "/api/v1" else []
            assert tried == [*elsewhere, "/v2/chat/completions"]
            assert len(server.sign_ins) == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_upload_begun_anew_is_whole_and_one_that_cannot_be_is_refused(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_bytes(b"line\n" * 100_000)
    (upload,) = named("upload-path")
    with Server(upload.good_answer) as server:
        with calling(server, mode, retry_backoff_factor=0) as (caller, _), path.open("rb") as file:
            file.seek(1000)
            for form in (path, file, path.read_bytes()):
                server.requests.clear()
                server.script.extend([refusing(503), refusing(401), refusing(429, ("Retry-After", "0.001"))])
                caller.do("upload_file", ("large.txt", form))
                assert len(server.requests) == 4
                for request in server.requests:
                    assert request.body.count(path.read_bytes()) == 1
            assert not file.closed
