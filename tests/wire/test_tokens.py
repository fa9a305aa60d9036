"""Tokens and contexts: a client with transport options of its own shares no token; a call has its caller's context."""

from __future__ import annotations

import contextvars
import copy
import gc
import ssl
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from gigachat import GigaChat
from gigachat.context import (
    authorization_cvar,
    chat_url_cvar,
    custom_headers_cvar,
    request_id_cvar,
    session_id_cvar,
)
from tests.support.certificates import Authority
from tests.support.payloads import completion, grant, sse, streamed
from tests.support.servers import says
from tests.wire.modes import EACH_ASYNC_MODE, Mode
from tests.wire.servers import Server


def mock(request: httpx2.Request) -> httpx2.Response:
    if "oauth" in str(request.url):
        return httpx2.Response(200, json={"access_token": "of-the-mock", "expires_at": 9_999_999_999_999})
    return httpx2.Response(200, content=completion("of the mock"))


def mocked(mode: Mode, answer: Callable[[httpx2.Request], httpx2.Response] = mock) -> dict[str, Any]:
    """An own HTTP client without a network."""
    if mode.is_async:
        return {"async_http_client": httpx2.AsyncClient(transport=httpx2.MockTransport(answer))}
    return {"http_client": httpx2.Client(transport=httpx2.MockTransport(answer))}


def authorizations(server: Server) -> list[str]:
    return [request.headers["authorization"] for request in server.requests]


# Tokens.


def test_a_token_that_came_by_an_own_client_is_sent_by_no_other(mode: Mode) -> None:
    async def main() -> None:
        async with mode.giga(**server.options, **mocked(mode)) as giga:
            assert await giga.chat() == "of the mock"
        async with mode.giga(**server.options) as giga:
            assert await giga.chat() == "good"

    with Server() as server:
        mode.run(main)
        assert authorizations(server) == ["Bearer token-1"]
        assert len(server.sign_ins) == 1


def test_an_own_client_sends_the_token_of_no_other(mode: Mode) -> None:
    seen: list[str] = []

    def noted(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["authorization"])
        return mock(request)

    async def main() -> None:
        async with mode.giga(**server.options) as giga:
            assert await giga.chat() == "good"
        own = mocked(mode, noted)
        for _ in range(2):
            async with mode.giga(**server.options, **own) as giga:
                assert await giga.chat() == "of the mock"

    with Server() as server:
        mode.run(main)
    assert [what.split()[0] for what in seen] == [
        "Basic",
        "Bearer",
    ] * 2  # not shared by two with the same client either
    assert set(seen[1::2]) == {"Bearer of-the-mock"}


def test_an_own_client_of_the_other_mode_counts_too() -> None:
    """A client for both modes with an own HTTP client for one has its token for itself."""
    with Server() as server:
        with GigaChat(**server.options) as shared:
            shared.chat("x")
        brought = httpx2.AsyncClient(transport=httpx2.MockTransport(mock))
        with GigaChat(**server.options, async_http_client=brought) as giga:
            giga.chat("x")
        with GigaChat(**server.options) as shared:
            shared.chat("x")
        assert authorizations(server) == ["Bearer token-1", "Bearer token-2", "Bearer token-1"]


@pytest.mark.parametrize("kind", ["own client", "TLS context"])
def test_a_client_keeps_its_token_for_itself_and_its_views(mode: Mode, kind: str, authority: Authority) -> None:
    async def main() -> None:
        own = kind == "own client"
        more: dict[str, Any] = {} if own else {"ssl_context": ssl.create_default_context(cafile=authority.file)}
        async with mode.giga(own=own, **options, **more) as giga:
            await giga.chat()
            await giga.chat()
            view = copy.copy(giga)
            view.client = giga.client.with_options(max_retries=1)
            await view.chat()

    with Server(tls=authority if kind == "TLS context" else None) as server:
        options = server.options
        options.pop("ca_bundle_file", None)
        mode.run(main)
        assert authorizations(server) == ["Bearer token-1"] * 3


@pytest.mark.slow
def test_a_tls_context_shares_no_token(mode: Mode) -> None:
    """Not with one that comes to lie where another was, and not with itself in another client."""

    async def main() -> None:
        for _ in range(5):
            async with mode.giga(**server.options, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as giga:
                await giga.chat()
            del giga
            gc.collect()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for _ in range(2):
            async with mode.giga(**server.options, ssl_context=context) as giga:
                await giga.chat()
        async with mode.giga(**server.options) as giga:
            await giga.chat()

    with Server() as server:
        mode.run(main)
        assert len(server.sign_ins) == 8
        assert len(set(authorizations(server))) == 8


def test_clients_of_one_kind_share_a_token(mode: Mode) -> None:
    async def main() -> None:
        for _ in range(3):
            async with mode.giga(**server.options) as giga:
                await giga.chat()

    with Server() as server:
        mode.run(main)
        assert authorizations(server) == ["Bearer token-1"] * 3


# Context variables.


@pytest.fixture
def contexts() -> tuple[contextvars.Context, contextvars.Context]:
    """Those of two tenants."""
    made = []
    for tenant in ("A", "B"):
        context = contextvars.copy_context()
        context.run(authorization_cvar.set, f"Bearer {tenant}")
        context.run(custom_headers_cvar.set, {"X-Custom": tenant})
        context.run(session_id_cvar.set, f"session-{tenant}")
        context.run(chat_url_cvar.set, f"/chat/{tenant}")
        made.append(context)
    return made[0], made[1]


def tenants(server: Server) -> list[tuple[str, str, str, str]]:
    return [
        (
            request.headers["authorization"],
            request.headers.get("x-custom", ""),
            request.headers.get("x-session-id", ""),
            request.path.removeprefix("/v1"),
        )
        for request in server.requests
    ]


OF_A = ("Bearer A", "A", "session-A", "/chat/A")
OF_B = ("Bearer B", "B", "session-B", "/chat/B")


@pytest.mark.parametrize("way", ["iterated", "entered", "whole"])
def test_a_stream_is_of_the_context_it_was_made_in(
    way: str, contexts: tuple[contextvars.Context, contextvars.Context]
) -> None:
    """Where and by whom it is read does not matter: a web framework reads in another thread."""
    a, b = contexts

    def read(stream: Any) -> None:
        if way == "iterated":
            list(stream)
        elif way == "entered":
            with stream:
                list(stream)
        else:
            stream.get_final_text()

    with Server(streamed("good")) as server, GigaChat(**server.reach) as giga:
        b.run(read, a.run(giga.stream, "x"))
        read(a.run(giga.stream, "x"))
        stream = a.run(giga.stream, "x")
        thread = threading.Thread(target=b.copy().run, args=(read, stream))
        thread.start()
        thread.join()
        a.run(read, a.run(giga.stream, "x"))
        a.run(read, b.run(giga.stream, "x"))
        assert tenants(server) == [OF_A] * 4 + [OF_B]


@pytest.mark.parametrize("hybrid", [False, True], ids=["", "hybrid"])
@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
def test_an_async_stream_is_of_the_context_it_was_made_in(
    mode: Mode, hybrid: bool, contexts: tuple[contextvars.Context, contextvars.Context]
) -> None:
    """It is a plain method that makes it, whatever task reads."""
    a, b = contexts

    async def main() -> None:
        async with mode.giga(hybrid=hybrid, **server.reach) as giga:
            await giga.read(a.run(giga.stream))

            async def read_in_b() -> None:
                for variable, value in b.items():
                    variable.set(value)
                await giga.read(a.run(giga.stream))
                async with a.run(giga.stream) as stream:
                    await giga.read(stream)
                await giga.read()

            await mode.together(read_in_b)

    with Server(streamed("good")) as server:
        mode.run(main)
        assert tenants(server) == [OF_A] * 3 + [OF_B]


def test_a_stream_in_the_second_version_of_the_api_is_too(
    mode: Mode, contexts: tuple[contextvars.Context, contextvars.Context]
) -> None:
    a, _ = contexts
    event = {"messages": [{"role": "assistant", "content": [{"text": "good"}]}], "finish_reason": "stop"}
    done = sse(event, "response.message.done")

    async def main() -> None:
        async with mode.giga(**server.reach) as giga:
            stream = a.run(giga.client.chat.stream, "x")
            if mode.is_async:
                async for _ in stream:
                    pass
            else:
                list(stream)

    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%b" % (len(done), done)
    with Server(body) as server:
        mode.run(main)
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer A"]


def test_what_changes_after_the_call_does_not_matter(mode: Mode) -> None:
    """The values are taken, not the variables, and not the dictionary that somebody goes on using."""
    custom = {"X-Custom": "A"}

    async def main() -> None:
        async with mode.giga(**server.reach) as giga:
            before = custom_headers_cvar.set(custom)
            stream = giga.stream()
            custom["X-Custom"] = "B"
            custom["X-More"] = "B"
            custom_headers_cvar.reset(before)
            await giga.read(stream)

    with Server(streamed("good")) as server:
        mode.run(main)
        headers = server.requests[0].headers
        assert (headers.get("x-custom"), headers.get("x-more")) == ("A", None)


@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
def test_a_coroutine_is_of_the_context_it_starts_in(
    mode: Mode, contexts: tuple[contextvars.Context, contextvars.Context]
) -> None:
    """As every coroutine is; what the caller changes while it runs does not matter."""
    a, b = contexts

    async def main() -> None:
        async with mode.giga(**server.reach) as giga:
            made_in_a = a.run(giga.client.chat, "x")

            async def in_b() -> None:
                for variable, value in b.items():
                    variable.set(value)
                await made_in_a

            await mode.together(in_b)

    with Server() as server:
        mode.run(main)
        assert tenants(server) == [OF_B]


def test_a_blocking_call_is_of_the_context_it_is_called_in(
    contexts: tuple[contextvars.Context, contextvars.Context],
) -> None:
    a, b = contexts
    with Server() as server, GigaChat(**server.reach) as giga:
        for context in (a, b):
            context.run(giga.chat, "x")
        assert tenants(server) == [OF_A, OF_B]


def test_repetitions_are_of_the_same_context(mode: Mode) -> None:
    """A hook or a provider of tokens that changes a variable meanwhile changes nothing of this call."""

    def provide() -> str:
        request_id_cvar.set("of another")
        return "provided"

    async def main() -> None:
        options = server.reach | {"max_retries": 2, "retry_backoff_factor": 0, "access_token": None}
        async with mode.giga(**options, access_token_provider=provide) as giga:
            request_id_cvar.set("of this one")
            await giga.chat()

    with Server() as server:
        server.script.append(says(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"))
        contextvars.copy_context().run(mode.run, main)
        assert [request.headers["x-request-id"] for request in server.requests] == ["of this one"] * 2


def test_the_sign_in_is_of_no_context(mode: Mode, contexts: tuple[contextvars.Context, contextvars.Context]) -> None:
    async def main() -> None:
        async with mode.giga(**server.options) as giga:
            session_id_cvar.set("session-A")
            custom_headers_cvar.set({"X-Custom": "A"})
            await giga.read()

    with Server(streamed("good")) as server:
        server.sign_in_script.append(says(grant("token", 1800)))
        contextvars.copy_context().run(mode.run, main)
        headers = server.sign_ins[0].headers
        assert not {"x-session-id", "x-custom"} & set(headers)
        assert server.requests[0].headers["x-custom"] == "A"
