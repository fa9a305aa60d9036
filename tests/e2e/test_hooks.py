"""What gateways do to requests through `_client` and `_aclient`, the HTTP clients of 0.2.3: hooks over real sockets."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest

from gigachat import GigaChat, GigaChatException
from gigachat.server import GigaChatServer
from tests.support.callers import Caller, Mode, options
from tests.support.payloads import completion, http
from tests.support.raw_servers import raw_server

BODY = b'{"model":"other"}'


class URL:
    """An address of another HTTP library."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class ForeignBody:
    """A byte stream of another HTTP library, for callers of both kinds."""

    def __iter__(self) -> Iterator[bytes]:
        yield BODY[:5]
        yield BODY[5:]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


class ForeignAsyncBody:
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield BODY


def hooks_of(caller: Caller) -> Any:
    client = caller.giga._client if caller.mode == "blocking" else caller.giga._aclient
    return client.event_hooks


def hook(caller: Caller, act: Callable[[Any], None], kind: str = "request") -> None:
    """Install a hook of the caller's mode."""
    if caller.mode == "blocking":
        hooks_of(caller)[kind].append(act)
        return

    async def awaited(subject: Any) -> None:
        await asyncio.sleep(0)
        act(subject)

    hooks_of(caller)[kind].append(awaited)


def answer(connection: socket.socket, request: bytes) -> None:
    connection.sendall(http(completion("да")))


def sent_through(mode: Mode, act: Callable[[Any], None]) -> tuple[str, dict[str, str], bytes]:
    """Chat once with a hook and return the request line, headers and body that arrived."""
    with raw_server(answer) as (url, received), Caller(mode, {"base_url": url, "access_token": "t"}) as caller:
        hook(caller, act)
        assert caller.chat("x").choices[0].message.content == "да"
    head, _, body = received[0].partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    return line, {name.lower(): value for name, value in (header.split(": ", 1) for header in headers)}, body


def test_a_hook_may_replace_the_address(mode: Mode) -> None:
    def act(request: Any) -> None:
        request.url = request.url.copy_with(query=b"tenant=7")

    assert sent_through(mode, act)[0] == "POST /chat/completions?tenant=7 HTTP/1.1"

    def act_foreign(request: Any) -> None:
        request.url = URL(f"{request.url}?tenant=8")

    assert sent_through(mode, act_foreign)[0] == "POST /chat/completions?tenant=8 HTTP/1.1"


def test_a_hook_may_change_and_replace_the_headers(mode: Mode) -> None:
    def change(request: Any) -> None:
        request.headers["X-Own"] = "1"

    assert sent_through(mode, change)[1]["x-own"] == "1"

    def replace(request: Any) -> None:
        request.headers = {**request.headers, "x-own": "2"}

    _, headers, body = sent_through(mode, replace)
    assert (headers["x-own"], headers["authorization"]) == ("2", "Bearer t")
    assert json.loads(body)["messages"] == [{"role": "user", "content": "x"}]


def test_a_hook_may_replace_the_content_alone(mode: Mode) -> None:
    def act(request: Any) -> None:
        request._content = BODY

    _, headers, body = sent_through(mode, act)
    assert (body, headers["content-length"]) == (BODY, str(len(BODY)))


@pytest.mark.parametrize(
    ("mode", "stream"),
    [
        ("blocking", ForeignBody),
        ("blocking", lambda: httpx2.ByteStream(BODY)),
        ("hybrid", ForeignBody),
        ("hybrid", ForeignAsyncBody),
        ("hybrid", lambda: httpx2.ByteStream(BODY)),
    ],
)
def test_a_hook_may_replace_the_stream(mode: Mode, stream: Callable[[], Any]) -> None:
    def act(request: Any) -> None:
        request.stream = stream()
        request.headers["Content-Length"] = str(len(BODY))

    assert sent_through(mode, act)[2] == BODY


def test_content_and_foreign_stream_together(mode: Mode) -> None:
    def act(request: Any) -> None:
        request._content = BODY
        request.stream = ForeignBody()
        request.headers["content-length"] = str(len(BODY))

    assert sent_through(mode, act)[2] == BODY


def test_a_blocking_request_cannot_have_an_async_body() -> None:
    def act(request: Any) -> None:
        request.stream = ForeignAsyncBody()

    with raw_server(answer) as (url, _), Caller("blocking", {"base_url": url, "access_token": "t"}) as caller:
        hook(caller, act)
        with pytest.raises(TypeError, match="async body"):
            caller.chat("x")


def test_a_body_of_another_length_than_announced_is_our_error(mode: Mode) -> None:
    def act(request: Any) -> None:
        request.stream = ForeignBody()

    with raw_server(answer) as (url, _), Caller(mode, {"base_url": url, "access_token": "t"}) as caller:
        hook(caller, act)
        with pytest.raises(GigaChatException, match="cannot be sent"):
            caller.chat("x")


def test_hooks_see_answers_and_each_attempt_but_no_sign_in(caller: Caller, server: GigaChatServer) -> None:
    asked: list[str] = []
    answered: list[int] = []
    hook(caller, lambda request: asked.append(request.url.path))
    hook(caller, lambda response: answered.append(response.status_code), "response")
    server.fail(500, path="/chat/completions")
    caller.chat("x")
    assert asked == ["/api/v1/chat/completions"] * 2
    assert answered == [500, 200]
    assert len(server.requests_to("/oauth")) == 1


def test_the_hooks_of_a_stream_hold_too(caller: Caller) -> None:
    seen: list[Any] = []
    hook(caller, seen.append)
    assert caller.read("x")
    assert len(seen) == 1


def test_what_a_hook_raises_passes_through(caller: Caller, server: GigaChatServer) -> None:
    def act(request: Any) -> None:
        raise LookupError("no tenant")

    hook(caller, act)
    with pytest.raises(LookupError, match="no tenant"):
        caller.chat("x")
    assert server.requests_to("/chat/completions") == []


def test_hooks_can_be_replaced_and_removed(caller: Caller) -> None:
    seen: list[Any] = []
    hook(caller, seen.append)
    client = caller.giga._client if caller.mode == "blocking" else caller.giga._aclient
    hooks = client.event_hooks
    assert isinstance(hooks, dict)
    client.event_hooks = {"request": list(hooks["request"]) * 2}
    caller.chat("x")
    assert len(seen) == 2
    hooks["request"].clear()
    caller.chat("x")
    assert len(seen) == 2


def test_async_hooks_hold_in_every_event_loop(server: GigaChatServer) -> None:
    seen: list[str] = []

    async def act(request: Any) -> None:
        seen.append(request.url.path)

    with GigaChat(**options(server)) as giga:
        giga._aclient.event_hooks["request"].append(act)

        async def main() -> None:
            assert giga._aclient is giga._aclient
            giga._aclient.event_hooks["request"].append(act)
            await giga.achat("x")

        asyncio.run(main())
        asyncio.run(main())
    assert len(seen) == 2 + 3


def test_hooks_hold_for_all_threads(server: GigaChatServer) -> None:
    seen: list[Any] = []
    with GigaChat(**options(server)) as giga:
        giga._client.event_hooks["request"].append(seen.append)
        threads = [threading.Thread(target=giga.get_models) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert len(seen) == 4


def test_the_client_of_the_users_own_is_shown(server: GigaChatServer) -> None:
    with httpx2.Client() as own, GigaChat(**options(server), http_client=own) as giga:
        assert giga._client is own
        assert not inspect.iscoroutinefunction(giga._client.send)


def test_requests_of_ones_own_go_under_the_base_address_and_keep_to_the_timeout(
    server: GigaChatServer, mode: Mode
) -> None:
    with Caller(mode, {**options(server), "timeout": (7, 8)}) as caller:
        token = caller.do("get_token").access_token
        headers = {"Authorization": f"Bearer {token}"}

        async def asking() -> Any:
            client = caller.giga._aclient
            return client, await client.get("/models", headers=headers)

        if mode == "blocking":
            client = caller.giga._client
            answer = client.get("/models", headers=headers)
        else:
            client, answer = caller.run(asking())
        assert answer.status_code == 200
        assert len(server.requests_to("models")) == 1
        assert (client.timeout.connect, client.timeout.read) == (7, 8)
