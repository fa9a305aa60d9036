"""Corners of the transport, over real sockets: bodies of all kinds, ends of streams, and what other libraries bring."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
import truststore

from gigachat import APITimeoutError, ConfigurationError, GigaChat, GigaChatException
from gigachat._transport import client_options
from gigachat._transport.tls import _context, context_for
from gigachat.server import GigaChatServer
from gigachat.settings import Settings
from tests.e2e.test_hooks import hook, hooks_of
from tests.support.callers import Caller, Mode, options
from tests.support.payloads import DONE, chunked, completion, event, http
from tests.support.programs import run_quietly
from tests.support.raw_servers import raw_server
from tests.support.systems import needs_fork, needs_trio, needs_uvloop
from tests.support.waiting import begun, until

CARD = {"id": "5b2a", "object": "file", "bytes": 1, "created_at": 1, "filename": "a.txt", "purpose": "general"}


# Files.


class Reader:
    """The least a file can be: neither sought in nor told where it is."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


class Broken(io.BytesIO):
    """A file on a disk that fails behind the first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 4096:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_a_file_that_can_only_be_read_is_uploaded(server: GigaChatServer, caller: Caller) -> None:
    uploaded = caller.do("upload_file", ("a.txt", Reader(b"content " * 100)))
    assert uploaded.bytes_ == 800


def test_a_file_that_fails_while_it_is_sent_is_named(mode: Mode) -> None:
    def answer(connection: socket.socket, request: bytes) -> None:
        raise AssertionError("the request came whole")

    with raw_server(answer) as (url, _), Caller(mode, {"base_url": url, "access_token": "t"}) as caller:
        with pytest.raises(GigaChatException, match=r"a\.txt cannot be read: .*Input/output error") as raised:
            caller.do("upload_file", ("a.txt", Broken(b"x" * 1_000_000)))
        assert type(raised.value) is GigaChatException  # no error of the network


def test_an_upload_that_nobody_takes_ends_with_its_own_timeout(mode: Mode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, and reads nothing
        reach = {"base_url": f"http://127.0.0.1:{listener.getsockname()[1]}", "access_token": "t"}
        timeout = httpx2.Timeout(60, write=0.1)
        with Caller(mode, {**reach, "timeout": timeout, "max_retries": 0}) as caller:
            with pytest.raises(APITimeoutError, match=r"did not take the request within 0\.1 s"):
                caller.do("upload_file", ("a.txt", b"x" * 20_000_000))


# Ends of streams.


@pytest.mark.parametrize("more", [0, 5, 1_000_000])
def test_no_more_than_a_little_is_read_behind_the_end_mark(mode: Mode, more: int) -> None:
    """Little is read, so that the connection can be kept; from much of it the reader walks away."""
    comment = b": more\n\n"
    streamed = chunked([event("да", last=True), DONE, *[comment * (1 + more // 100)] * min(more, 100)])
    connections: list[socket.socket] = []

    def answer(connection: socket.socket, request: bytes) -> None:
        if connection not in connections:
            connections.append(connection)
        with suppress(OSError):  # the reader closes it
            connection.sendall(streamed)

    with raw_server(answer) as (url, _), Caller(mode, {"base_url": url, "access_token": "t"}) as caller:
        for _ in range(2):
            assert [chunk.choices[0].delta.content for chunk in caller.read("x")] == ["да"]
    assert len(connections) == (1 if more < 16 else 2)


def test_a_stream_dropped_inside_a_request_of_an_httpx2_client_is_closed_with_the_next(server: GigaChatServer) -> None:
    """Its finalizer must not take the locks of the pool it is in."""
    with Caller("blocking", options(server)) as caller:
        streams: list[Any] = []
        seen: list[bool] = []
        responses: list[httpx2.Response] = []

        def drop(_: Any) -> None:
            if responses and streams:
                streams.clear()
                gc.collect()
                seen.append(responses[0].is_closed)

        hook(caller, drop)
        hook(caller, responses.append, "response")
        streams.append(caller.giga.stream("x"))
        next(streams[0])
        caller.chat("while it is dropped")
        assert seen == [False]
        caller.chat("next")
        assert responses[0].is_closed


@needs_fork
@pytest.mark.slow
def test_a_stream_that_is_open_while_forking_may_be_dropped_in_the_child(server: GigaChatServer) -> None:
    program = """
import asyncio, gc, os
from gigachat import GigaChat

giga = GigaChat()
with asyncio.Runner() as runner:
    async def begin():
        stream = giga.astream("x")
        return stream, await anext(stream)

    async def rest(stream):
        return [chunk async for chunk in stream]

    stream, _ = runner.run(begin())
    blocking = giga.stream("x")
    next(blocking)
    child = os.fork()
    if child == 0:
        del stream, blocking
        gc.collect()
        assert giga.chat("child").choices
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert runner.run(rest(stream))
    assert list(blocking)
    runner.run(giga.aclose())
giga.close()
"""
    run_quietly(program, server)


# What callers bring.


def transport_of(mode: Mode, answer: Callable[[httpx2.Request], httpx2.Response]) -> dict[str, Any]:
    transport = httpx2.MockTransport(answer)
    if mode == "blocking":
        return {"http_client": httpx2.Client(transport=transport)}
    return {"async_http_client": httpx2.AsyncClient(transport=transport)}


def test_a_client_of_the_users_own_need_have_no_network(mode: Mode) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        body = event("да", last=True) + DONE
        return httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})

    with Caller(mode, {"access_token": "t", **transport_of(mode, answer)}) as caller:
        assert [chunk.choices[0].delta.content for chunk in caller.read("x")] == ["да"]


def test_an_error_of_the_users_own_stream_is_theirs(mode: Mode) -> None:
    class Broken(httpx2.SyncByteStream, httpx2.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            raise ArithmeticError("of the user")

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"{"
            raise ArithmeticError("of the user")

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, stream=Broken())

    with Caller(mode, {"access_token": "t", **transport_of(mode, answer)}) as caller:
        with pytest.raises(ArithmeticError, match="of the user"):
            caller.chat("x")


def test_a_stream_without_a_network_ends_for_its_reader_when_another_thread_closes_it() -> None:
    go_on = threading.Event()

    class Slow(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield event("да", last=True)
            assert go_on.wait(60)
            yield event("да", last=True)

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, stream=Slow(), headers={"content-type": "text/event-stream"})

    with GigaChat(access_token="t", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))) as giga:
        stream = giga.stream("x")
        next(stream)
        more: list[Any] = []
        reader = begun(lambda: more.extend(stream))
        source: Any = stream._source
        until(lambda: source._reading is not None)
        stream.close()
        go_on.set()
        reader.join(60)
        assert more == []


@pytest.mark.parametrize(
    ("asked", "default_query", "sent"),
    [
        ({}, None, "flag&a=1"),  # as it was written
        ({"params": {"b": ["2", "3"]}}, None, "flag=&a=1&b=2&b=3"),
        ({"params": {"a": "2"}}, None, "flag=&a=2"),
        ({}, {"team": "blue"}, "flag=&a=1&team=blue"),
    ],
)
def test_the_query_of_an_address_is_sent_with_what_is_added(
    asked: dict[str, Any], default_query: dict[str, str] | None, sent: str, mode: Mode
) -> None:
    queries: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        queries.append(request.url.query.decode())
        return httpx2.Response(200, json={})

    given = {"access_token": "t", "default_query": default_query}
    with Caller(mode, {**given, **transport_of(mode, answer)}) as caller:
        caller.do("request", "GET", "/new?flag&a=1", **asked)
    assert queries == [sent]


def test_the_query_of_an_address_is_sent_with_that_of_the_users_own_client() -> None:
    queries: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        queries.append(request.url.query.decode())
        return httpx2.Response(200, json={})

    own = httpx2.Client(transport=httpx2.MockTransport(answer), params={"team": "blue"})
    GigaChat(access_token="t", http_client=own).request("GET", "/new?a=1")
    assert queries == ["team=blue&a=1"]


@pytest.mark.parametrize("kind", [httpx2.ConnectTimeout, httpx2.WriteTimeout, httpx2.ReadTimeout])
def test_the_systems_own_patience_may_end_where_ours_does_not(kind: type[httpx2.TimeoutException], mode: Mode) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise kind("Connection timed out")

    forever = {"access_token": "t", "timeout": httpx2.Timeout(None), "max_retries": 0}
    with Caller(mode, {**forever, **transport_of(mode, answer)}) as caller:
        with pytest.raises(APITimeoutError, match="devices") as raised:
            caller.chat("x")
    assert "within" not in str(raised.value)


def test_a_closed_client_has_no_http_client(server: GigaChatServer, caller: Caller) -> None:
    caller.chat("x")
    if caller.mode == "blocking":
        caller.giga.close()
    else:
        caller.run(caller.giga.aclose())
    with pytest.raises(GigaChatException, match="this client is closed"):
        hooks_of(caller)


def test_a_hook_sees_an_upload_before_it_is_read(server: GigaChatServer, caller: Caller, tmp_path: Path) -> None:
    seen: list[str] = []
    hook(caller, lambda request: seen.append(request.headers["content-type"]))
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    assert caller.do("upload_file", path).bytes_ == 7
    assert [kind.partition(";")[0] for kind in seen] == ["multipart/form-data"]


def test_a_hook_may_bring_a_body_that_is_a_list(mode: Mode) -> None:
    def replace(request: Any) -> None:
        request.headers["content-length"] = "7"
        request.stream = [b'{"a"', b":1}"]

    def answer(connection: socket.socket, request: bytes) -> None:
        connection.sendall(http(completion("да")))

    with raw_server(answer) as (url, received), Caller(mode, {"base_url": url, "access_token": "t"}) as caller:
        hook(caller, replace)
        caller.chat("x")
    assert received[0].endswith(b'\r\n\r\n{"a":1}')


# Threads, loops and packages that may be missing.


def test_threads_that_ask_first_at_once_get_one_httpx2_client(
    server: GigaChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(settings: Settings, host: str) -> ssl.SSLContext:
        threading.Event().wait(0.05)  # long enough for the others to ask as well
        return context_for(settings, host)

    monkeypatch.setattr(client_options, "context_for", slowly)
    with GigaChat(**options(server)) as giga:
        found: list[Any] = []
        barrier = threading.Barrier(5)

        def ask() -> None:
            barrier.wait(10)
            found.append(giga._client)

        for thread in [begun(ask) for _ in range(5)]:
            thread.join(10)
        assert len(found) == 5
        assert len(set(map(id, found))) == 1


@needs_trio
def test_one_client_in_loops_of_two_kinds_at_once(server: GigaChatServer) -> None:
    giga = GigaChat(**options(server))

    async def chat(question: str) -> None:
        assert question in (await giga.achat(question)).choices[0].message.content

    async def main() -> None:
        await chat("in trio")
        await trio.to_thread.run_sync(lambda: asyncio.run(chat("in asyncio")))
        await chat("in trio again")
        await giga.aclose()

    trio.run(main)


@needs_uvloop
@pytest.mark.parametrize("tls", [True, False])
def test_calls_and_streams_in_the_loop_of_uvloop(tls: bool) -> None:
    import uvloop

    async def main() -> None:
        async with GigaChat(**options(running), max_connections=1, max_retries=0) as giga:
            for text in ("short", "long " * 60_000):
                running.reply(text)
                assert (await giga.achat(text)).choices[0].message.content == text
            assert len([chunk async for chunk in giga.astream("all of it")]) > 1
            async with giga.astream("a part of it") as stream:
                await anext(stream)
            running.reply("late", after=30)
            with pytest.raises(APITimeoutError, match=r"timeout=0\.2 s"):
                await giga.with_options(timeout=0.2).achat("too late")
            await giga.achat("in time")

    with GigaChatServer(tls=tls) as running:
        uvloop.run(main())


def test_packages_that_are_up_to_the_user_may_be_missing(server: GigaChatServer) -> None:
    program = """
import asyncio, sys
sys.modules["trio"] = sys.modules["socksio"] = None
from gigachat import APIConnectionError, GigaChat

giga = GigaChat()
assert "blocking" in giga.chat("blocking").choices[0].message.content

async def main():
    assert "async" in (await giga.achat("async")).choices[0].message.content
    await giga.aclose()

asyncio.run(main())
giga.close()
nowhere = GigaChat(base_url="http://127.0.0.1:1/v1", access_token="t", max_retries=0)
try:
    nowhere.chat("x")
except APIConnectionError as error:
    assert "no connection to 127.0.0.1:1" in str(error), error
else:
    raise AssertionError("somebody answered")
"""
    run_quietly(program, server)


@pytest.mark.parametrize("inside", [False, True], ids=["made before the loop", "made in the loop"])
def test_the_first_async_call_imports_nothing(server: GigaChatServer, inside: bool) -> None:
    """An import would block the event loop meanwhile."""
    make = "GigaChat" if inside else "AsyncGigaChat"
    program = f"""
import asyncio, sys
from gigachat import AsyncGigaChat, GigaChat

if not {inside}:
    giga = {make}()

async def main():
    global giga
    if {inside}:
        giga = {make}()
    imported = set(sys.modules)
    await giga.{"achat" if inside else "chat"}("x")
    async with giga.{"astream" if inside else "stream"}("x") as stream:
        assert [chunk async for chunk in stream]
    assert set(sys.modules) <= imported, set(sys.modules) - imported
    await giga.aclose()

asyncio.run(main())
"""
    run_quietly(program, server)


@pytest.mark.parametrize("kind", ["GigaChat", "AsyncGigaChat"])
def test_a_client_leaves_the_event_loop_of_its_thread_alone(server: GigaChatServer, kind: str) -> None:
    program = f"""
import asyncio
from gigachat import {kind}

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
{kind}()
assert asyncio.get_event_loop() is loop
loop.close()
"""
    run_quietly(program, server)


# Certificates and logs.


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_where_the_systems_store_is_reachable_by_its_own_verification_only_that_is_used(
    server: GigaChatServer, mode: Mode, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    used: list[str] = []

    class Context(truststore.SSLContext):
        def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
            used.append(options["server_hostname"])
            return super().wrap_socket(*arguments, **options)

        def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
            used.append(options["server_hostname"])
            return super().wrap_bio(*arguments, **options)

    _context.cache_clear()
    try:
        with monkeypatch.context() as patched:
            patched.setattr("gigachat._transport.tls.sys", type("System", (), {"platform": system}))
            patched.setattr(truststore, "SSLContext", Context)
            with Caller(mode, options(server)) as caller:
                assert "x" in caller.chat("x").choices[0].message.content
        assert used
        assert set(used) == {"localhost"}
    finally:
        _context.cache_clear()


def test_a_certificate_that_cannot_be_opened_is_named(server: GigaChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    _context.cache_clear()
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refuse)
    with pytest.raises(ConfigurationError, match=r"cert_file=.*: Permission denied"):
        GigaChat(cert_file=server.client_cert_file, key_file=server.client_key_file)


def test_what_others_write_to_the_librarys_logs_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "httpx2"):
        logging.getLogger("httpx2").info("%(what)s", {"what": "by name"})
        logging.getLogger("httpx2").info("%s %d", "in a row", 2)
        logging.getLogger("httpx2").info("plain")
    assert [record.getMessage() for record in caplog.records] == ["by name", "in a row 2", "plain"]
